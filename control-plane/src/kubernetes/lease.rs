//! Which replica counts: what all would write alike is written by one. What must not wait for another replica, such as
//! letting devices in, each does.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use tokio::{sync::Notify, time::sleep};

use super::is_conflict;
use crate::journal::Journal;

const NAME: &str = "flotta-edge-api";
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// One that isn't renewed for so long is another one's to take. The holder stops before that.
const LIFE: Duration = Duration::from_secs(15);

/// The lease of one replica, or of none.
pub(crate) struct Election {
    leases: Api<Lease>,
    /// This replica.
    name: String,
    journal: Arc<Journal>,
    /// When it was last renewed by this replica.
    held: Mutex<Option<Instant>>,
    renewed: Notify,
    has_ended: AtomicBool,
}

impl Election {
    pub(crate) fn new(client: Client, home: &str, journal: Arc<Journal>) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_default();
        let name = format!("{host}-{}", uuid::Uuid::new_v4());
        let leases = Api::namespaced(client, home);
        Self {
            leases,
            name,
            journal,
            held: Mutex::default(),
            renewed: Notify::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Waits until this replica has it, with some time to act.
    pub(crate) async fn win(&self) {
        while !self.is_won() {
            self.renewed.notified().await;
        }
    }

    fn is_won(&self) -> bool {
        let held = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_some_and(|since| since.elapsed() < LIFE - RENEWAL)
    }

    /// Takes it when it is free, and keeps it, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut seen: Option<(LeaseSpec, Instant)> = None;
        let mut trouble = String::new();
        while !self.has_ended.load(Relaxed) {
            match self.step(&mut seen).await {
                Ok(()) => trouble.clear(),
                Err(error) => {
                    let text = format!("failed to renew the lease '{NAME}': {error:#}");
                    if text != trouble {
                        self.journal.say(&text);
                    }
                    trouble = text;
                }
            }
            sleep(RENEWAL).await;
        }
    }

    /// Clocks of machines differ: a lease has ended when this replica has seen no renewal for its life.
    async fn step(&self, seen: &mut Option<(LeaseSpec, Instant)>) -> Result<()> {
        let found = self.leases.get_opt(NAME).await?;
        let spec = found.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_free = match &*seen {
            _ if spec.holder_identity.as_deref().unwrap_or_default().is_empty() => true,
            _ if spec.holder_identity.as_ref() == Some(&self.name) => true,
            Some((before, since)) if *before == spec => since.elapsed() >= LIFE,
            _ => {
                *seen = Some((spec, Instant::now()));
                false
            }
        };
        if !is_free {
            return Ok(());
        }
        let began = Instant::now();
        if self.write(found, &self.name).await? && !self.has_ended.load(Relaxed) {
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
            self.renewed.notify_one();
        }
        Ok(())
    }

    /// Whether it was written: of two replicas only one can.
    async fn write(&self, found: Option<Lease>, holder: &str) -> Result<bool> {
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: i32::try_from(LIFE.as_secs()).ok(),
            renew_time: Some(now),
            ..LeaseSpec::default()
        };
        let written = match found {
            Some(lease) => {
                let lease = Lease { spec: Some(spec), ..lease };
                self.leases.replace(NAME, &PostParams::default(), &lease).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
                self.leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
            }
        };
        match written {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            Err(error) if is_conflict(&error) => Ok(false),
            written => written.map(|_| true).context("the API server refuses it"),
        }
    }

    /// Leaves it to another replica at once.
    pub(crate) async fn end(&self) {
        self.has_ended.store(true, Relaxed);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if held.is_none() {
            return;
        }
        // If that fails it ends by itself.
        if let Ok(found @ Some(_)) = self.leases.get_opt(NAME).await {
            let _ = self.write(found, "").await;
        }
    }
}
