//! The store that is a Kubernetes API server: it keeps everything, and people use `kubectl`. Any number of replicas serve
//! at once: what each has of it are caches that watches keep.
//!
//! ```text
//! a device asks ──► EdgeDeviceSignedRequest ── approved: true ──► membership ──► EdgeDevice
//! it registers, says how it is ──► status of its EdgeDevice, Events
//! it fetches ◄── plans ◄── EdgeDevice, EdgeDeviceSet, EdgeWorkloads, ConfigMaps, Secrets
//! counts ──► status of each EdgeWorkload
//! ```

mod asked;
mod authority;
mod beat;
mod cache;
mod caches;
mod certificates;
mod counts;
mod events;
mod given;
mod judge;
mod known;
mod lease;
mod membership;
mod metrics;
mod place;
mod plans;
mod policy;
pub(crate) mod resources;
mod rollout;
mod turns;
mod values;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::future::try_join_all;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

pub(crate) use self::authority::Batch;
use self::{
    asked::AskedStage,
    caches::Caches,
    events::Said,
    known::Known,
    lease::Election,
    membership::Membership,
    plans::Plans,
    resources::{EdgeDevice, EdgeDeviceSignedRequest, EdgeDeviceSignedRequestSpec, condition},
    turns::Turns,
};
use crate::{
    allowance::Allowance,
    authority::Authority,
    journal::Journal,
    store::{Device, Refusal, Signed, Stage, Store},
};

/// A device may have so many events at once…
const EVENTS: f64 = 100.0;
/// … and one more after so many seconds.
const REFILL: f64 = 12.0;
/// So many devices may wait to be let in: who has the bootstrap certificate can invent any number.
const MOST_WAITING: usize = 20_000;

/// How devices are served from a cluster.
pub(crate) struct Options {
    /// Where the CA and the requests are; the kubeconfig's or the pod's own, if none is given.
    pub(crate) namespace: Option<String>,
    /// Where devices are, if not there.
    pub(crate) device_namespaces: Vec<String>,
    /// Whether requests are approved at once.
    pub(crate) approves: bool,
    /// Seconds between heartbeats where nothing else is said.
    pub(crate) period: i64,
}

/// A cluster, seen from here.
pub(crate) struct Kubernetes {
    client: Client,
    home: String,
    /// The id of the present CA.
    ca: String,
    namespaces: Vec<String>,
    approves: bool,
    caches: Arc<Caches>,
    plans: Arc<Plans>,
    journal: Arc<Journal>,
    election: Arc<Election>,
    allowances: Mutex<HashMap<String, Allowance>>,
    turns: Turns,
}

/// What the clock says.
fn now() -> Time {
    beat::seconds(Timestamp::now())
}

/// The cluster, and the namespace in it.
async fn connect(namespace: Option<String>) -> Result<(Client, String)> {
    let config = Config::infer().await.context(
        "failed to find a cluster: KUBECONFIG names none, and this is no pod with a service account",
    )?;
    let home = namespace.unwrap_or_else(|| config.default_namespace.clone());
    Ok((Client::try_from(config).context("failed to use the cluster's configuration")?, home))
}

/// Makes a bootstrap certificate for a batch of devices, and returns the name of the Secret that has it.
pub(crate) async fn create_batch(namespace: Option<String>, batch: &Batch) -> Result<String> {
    let (client, home) = connect(namespace).await?;
    authority::create_batch(&client, &home, batch).await
}

impl Kubernetes {
    /// Reads everything once, and follows it from then on.
    pub(crate) async fn open(options: Options, journal: Arc<Journal>) -> Result<(Self, Authority)> {
        let (client, home) = connect(options.namespace).await?;
        let authority = authority::open(&client, &home).await?;
        let mut namespaces = options.device_namespaces;
        if namespaces.is_empty() {
            namespaces.push(home.clone());
        }
        let caches = Arc::new(Caches::default());
        for mut ready in caches.watch(&client, &home, &namespaces, &journal) {
            ready.wait_for(|ready| *ready).await.context("a watch ended")?;
        }
        let plans = Arc::new(Plans::new(options.period));
        let membership = Membership {
            client: client.clone(),
            home: home.clone(),
            namespaces: namespaces.clone(),
            caches: Arc::clone(&caches),
            journal: Arc::clone(&journal),
        };
        tokio::spawn(membership.run());
        let election = Arc::new(Election::new(client.clone(), &home, Arc::clone(&journal)));
        tokio::spawn(Arc::clone(&election).run());
        let counts = counts::Counts::new(
            (client.clone(), Arc::clone(&election)),
            Arc::clone(&caches),
            Arc::clone(&plans),
            Arc::clone(&journal),
        );
        tokio::spawn(counts.run());
        let new = Self {
            client,
            home,
            ca: authority.id(),
            namespaces,
            approves: options.approves,
            caches,
            plans,
            journal,
            election,
            allowances: Mutex::default(),
            turns: Turns::new(),
        };
        Ok((new, authority))
    }

    /// Leaves to other replicas what only one does.
    pub(crate) async fn end(&self) {
        self.election.end().await;
    }

    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    fn known(&self, id: &str, namespace: Option<&str>) -> Option<Arc<Known>> {
        match namespace {
            Some(namespace) => self.caches.devices.get(namespace, id),
            None => self.namespaces.iter().find_map(|namespace| self.caches.devices.get(namespace, id)),
        }
    }

    fn the(&self, device: &Device) -> Result<Arc<Known>> {
        let known = self.known(&device.id, Some(&device.namespace));
        known.ok_or_else(|| anyhow!("it was deleted a moment ago"))
    }

    fn devices(&self, namespace: &str) -> Api<DynamicObject> {
        devices(&self.client, namespace)
    }

    /// Where a device that asks for this namespace goes.
    fn target(&self, asked: Option<&str>) -> &str {
        let served = self.namespaces.iter().find(|namespace| asked == Some(namespace.as_str()));
        served.unwrap_or(&self.namespaces[0])
    }

    async fn events(&self, known: &Known, content: &Value) -> Result<()> {
        let all: Vec<Said> = content["events"].as_array().into_iter().flatten().map(Said::of).collect();
        if all.is_empty() {
            return Ok(());
        }
        let (mut stored, mut lost) = (Vec::new(), 0);
        {
            let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || Allowance::new(EVENTS, REFILL);
            let allowance = allowances.entry(known.uid.clone()).or_insert_with(fresh);
            for said in all {
                match allowance.take() {
                    true => stored.push(said),
                    false => lost += 1,
                }
            }
        }
        if lost > 0 {
            self.journal.say(&format!("{}: {lost} events are lost: there were too many", known.name));
        }
        let api = Api::namespaced(self.client.clone(), &known.namespace);
        stored.iter().for_each(|_| self.caches.wrote());
        try_join_all(stored.iter().map(|said| events::store(&api, known, said, now()))).await?;
        Ok(())
    }
}

/// The EdgeDevices of a namespace.
fn devices(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<EdgeDevice>(&()))
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

/// Whether no more may ask: those that were let in have their requests still.
fn is_full(requests: usize, devices: usize) -> bool {
    requests.saturating_sub(devices) >= MOST_WAITING
}

impl Store for Kubernetes {
    async fn find(&self, id: &str, namespace: Option<&str>) -> Result<Option<Device>> {
        if let Some(known) = self.known(id, namespace) {
            return Ok(Some(known.device()));
        }
        let Some(request) = self.caches.requests.get(&self.home, id) else { return Ok(None) };
        let is_refused = matches!(request.stage, AskedStage::Refused);
        let stage = if is_refused { Stage::Refused } else { Stage::Waiting };
        let namespace = self.target(request.target_namespace.as_deref()).to_owned();
        Ok(Some(Device { id: id.to_owned(), namespace, stage, uid: None, chain: None, is_used: false }))
    }

    async fn find_anew(&self, device: &Device) -> Result<Option<Device>> {
        let found = self.turns.take(self.read(device)).await?;
        Ok(found.map(|(known, _)| known.device()))
    }

    async fn admits(&self, batch: &str) -> Result<bool> {
        self.turns.take(authority::batch(&self.client, &self.home, batch)).await.map(|batch| batch.is_some())
    }

    async fn enrol(&self, id: &str, batch: Option<&str>, content: &Value) -> Result<()> {
        if is_full(self.caches.requests.len(), self.caches.devices.len()) {
            bail!("too many devices wait to be let in: approve or delete their requests");
        }
        let batch = match batch {
            Some(batch) => self.turns.take(authority::batch(&self.client, &self.home, batch)).await?,
            None => None,
        };
        let approves = self.approves || batch.as_ref().is_some_and(|batch| batch.approves);
        let spec = EdgeDeviceSignedRequestSpec {
            target_namespace: Some(self.target(content["target_namespace"].as_str()).to_owned()),
            approved: approves,
            target_set: batch.and_then(|batch| batch.set),
            features: Some(beat::camel(&content["features"])).filter(Value::is_object),
            ..EdgeDeviceSignedRequestSpec::default()
        };
        let mut request = EdgeDeviceSignedRequest::new(id, spec);
        // By which people, and sets, may choose whom they let in.
        request.metadata.labels = Some(membership::labels(&content["features"]["hardware"]));
        let api: Api<EdgeDeviceSignedRequest> = Api::namespaced(self.client.clone(), &self.home);
        self.caches.wrote();
        let creating = async {
            match api.create(&PostParams::default(), &request).await {
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
                created => created.map(drop).context("failed to store its request"),
            }
        };
        self.turns.take(creating).await?;
        if !approves {
            let home = &self.home;
            self.journal.say(&format!(
                "{id} asks to be let in: kubectl -n {home} patch edsr {id} --type merge -p '{{\"spec\":{{\"approved\":true}}}}'"
            ));
        }
        Ok(())
    }

    async fn register(
        &self,
        device: &Device,
        signed: &Signed,
        is_use: bool,
        hardware: &Value,
    ) -> Result<(), Refusal> {
        self.turns.take(self.try_register(device, (signed, is_use), hardware)).await
    }

    async fn use_chain(&self, device: &Device) -> Result<()> {
        self.turns.take(self.try_use(device)).await
    }

    async fn heartbeat(&self, device: &Device, content: &Value) -> Result<()> {
        let known = self.the(device)?;
        self.turns.take(self.events(&known, content)).await?;
        let count = self.caches.devices.len();
        let given = |name: &str| {
            let workload = self.caches.workloads.get(&known.namespace, name)?;
            given::assigned(&workload, &known).map(|(_, revision)| revision.to_owned())
        };
        let beat = beat::patch(&known, content, Timestamp::now(), count, &given);
        let Some(status) = beat else { return Ok(()) };
        let api = self.devices(&known.namespace);
        let patch = Patch::Merge(json!({"status": status}));
        let params = PatchParams::default();
        self.caches.wrote();
        let patching = async {
            api.patch_status(&known.name, &params, &patch).await.context("failed to write its status")
        };
        self.turns.take(patching).await.map(drop)
    }

    async fn configuration(&self, device: &Device) -> Result<Value> {
        ensure!(
            self.caches.behind.load(Relaxed) == 0,
            "it isn't known what is meant for it now: a watch of the API server is interrupted"
        );
        let known = self.the(device)?;
        let plan = self.plans.of(&self.caches, &known).map_err(|error| anyhow!(error))?;
        let mut content = plan.content.clone();
        content["device_id"] = device.id.as_str().into();
        content["version"] = plan.version.as_str().into();
        Ok(content)
    }

    async fn dismiss(&self, device: &Device) -> Result<()> {
        let known = self.the(device)?;
        self.turns.take(membership::release(&self.client, &self.home, &known)).await
    }

    fn metrics(&self) -> String {
        metrics::text(&self.caches, &self.ca)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_WAITING, is_full};

    #[test]
    fn invented_devices_fill_nothing_and_those_that_were_let_in_are_not_counted() {
        assert!(!is_full(MOST_WAITING - 1, 0) && is_full(MOST_WAITING, 0));
        assert!(!is_full(MOST_WAITING + 9, 10) && is_full(MOST_WAITING + 10, 10));
    }
}
