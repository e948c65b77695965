//! Who belongs to the fleet: requests that were approved become EdgeDevices, and what is deleted goes in the end. Each
//! replica does it all: what is done already is done, and the API server lets only the first of two do it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{DynamicObject, ObjectMeta},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    asked::{Approved, Asked, AskedStage, Waiting},
    caches::Caches,
    condition, devices, is_conflict, is_missing,
    known::{FINALIZER, Known},
    now, policy,
    resources::{
        EdgeDevice, EdgeDeviceSignedRequest, EdgeDeviceSignedRequestStatus, EdgeDeviceSpec, MEMBER_OF,
    },
};
use crate::journal::Journal;

/// The annotation of a request that names the set by which it was approved.
const APPROVED_BY: &str = "flotta/approved-by";
/// A device that is deleted has so long to hear of it. Later it hears that it is unknown, and does the same.
const FAREWELL: Duration = Duration::from_secs(300);
/// So many are let in at the same time.
const AT_ONCE: usize = 16;
/// Until what failed is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Lets in, and lets go.
pub(crate) struct Membership {
    pub(crate) client: Client,
    /// Where requests are.
    pub(crate) home: String,
    /// Where devices may be.
    pub(crate) namespaces: Vec<String>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) journal: Arc<Journal>,
}

impl Membership {
    /// After each change, for ever.
    pub(crate) async fn run(self) {
        let mut admitted = HashSet::new();
        loop {
            let (mut failed, mut next) = (false, None);
            failed |= !self.approve_all().await;
            failed |= !self.admit_all(&mut admitted).await;
            for known in self.caches.devices.objects() {
                match self.see_off(&known).await {
                    Ok(wait) => next = [next, wait].into_iter().flatten().min(),
                    Err(error) => {
                        self.journal.say(&format!("{}: {error:#}", known.name));
                        failed = true;
                    }
                }
            }
            let wait = [failed.then_some(RETRY_INTERVAL), next].into_iter().flatten().min();
            tokio::select! {
                () = self.caches.membership.notified() => {}
                () = sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => {}
            }
        }
    }

    /// Lets in whom a set takes. Says whether all went well.
    async fn approve_all(&self) -> bool {
        let mut is_good = true;
        let requests = self.caches.requests.objects();
        for namespace in &self.namespaces {
            let mut sets = self.caches.sets.of(namespace);
            sets.retain(|set| set["spec"]["approve"].is_object());
            let to_here = requests.iter().filter(|it| *namespace == self.target(it));
            for request in to_here.filter(|_| !sets.is_empty()) {
                let AskedStage::Waiting(waiting) = &request.stage else { continue };
                let Some(set) = policy::approving(&sets, &request.id, &waiting.labels) else { continue };
                if let Err(error) = self.approve(request, waiting, set).await {
                    self.journal.say(&format!("{}: {error:#}", request.id));
                    is_good = false;
                }
            }
        }
        is_good
    }

    async fn approve(&self, request: &Asked, waiting: &Waiting, set: &str) -> Result<()> {
        let patch = json!({
            "metadata": {"resourceVersion": waiting.version, "annotations": {APPROVED_BY: set}},
            "spec": {"approved": true, "targetSet": waiting.target_set.as_deref().unwrap_or(set)},
        });
        let api: Api<EdgeDeviceSignedRequest> = Api::namespaced(self.client.clone(), &self.home);
        self.caches.wrote();
        match api.patch(&request.id, &PatchParams::default(), &Patch::Merge(patch)).await {
            // A person, or another replica, was quicker: what they did is seen soon.
            Err(error) if is_conflict(&error) || is_missing(&error) => Ok(()),
            patched => {
                patched
                    .with_context(|| format!("failed to approve it, as the EdgeDeviceSet '{set}' says"))?;
                self.journal.say(&format!("{} is approved by the EdgeDeviceSet '{set}'", request.id));
                Ok(())
            }
        }
    }

    /// Where its EdgeDevice will be.
    fn target(&self, request: &Asked) -> &str {
        let asked = request.target_namespace.as_deref();
        let namespace = self.namespaces.iter().find(|namespace| asked == Some(namespace.as_str()));
        namespace.unwrap_or(&self.namespaces[0])
    }

    /// Some at once: a batch of new devices doesn't wait for one round trip after the other. `admitted` has those
    /// that the watch doesn't show as done yet. Says whether all went well.
    async fn admit_all(&self, admitted: &mut HashSet<String>) -> bool {
        let requests = self.caches.requests.objects();
        let open: Vec<_> = requests.iter().filter(|it| matches!(it.stage, AskedStage::Approved(_))).collect();
        admitted.retain(|uid| open.iter().any(|it| it.uid == *uid));
        let new = open.into_iter().filter(|it| !admitted.contains(&it.uid)).map(|request| async move {
            if let AskedStage::Approved(approved) = &request.stage
                && let Err(error) = self.admit(request, approved).await
            {
                self.journal.say(&format!("{}: {error:#}", request.id));
                return None;
            }
            Some(request.uid.clone())
        });
        let done: Vec<_> = stream::iter(new.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        let is_good = done.iter().all(Option::is_some);
        admitted.extend(done.into_iter().flatten());
        is_good
    }

    /// Makes the EdgeDevice of a request that was approved.
    async fn admit(&self, request: &Asked, approved: &Approved) -> Result<()> {
        let (id, before) = (request.id.as_str(), &approved.before);
        let namespace = self.target(request);
        let mut labels = labels(&approved.hardware);
        labels.extend(approved.target_set.iter().map(|set| (MEMBER_OF.to_owned(), set.clone())));
        let mut device =
            EdgeDevice::new(id, EdgeDeviceSpec { request_time: Some(now()), ..EdgeDeviceSpec::default() });
        device.metadata = ObjectMeta {
            name: Some(id.to_owned()),
            labels: Some(labels),
            finalizers: Some(vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        };
        let api: Api<EdgeDevice> = Api::namespaced(self.client.clone(), namespace);
        self.caches.wrote();
        match api.create(&PostParams::default(), &device).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => {
                created.context("failed to make its EdgeDevice")?;
                let approved = json!({"status": {"phase": "Approved"}});
                let patch = Patch::Merge(approved);
                api.patch_status(id, &PatchParams::default(), &patch)
                    .await
                    .context("failed to write its status")?;
                self.journal.say(&format!("{id} is let in, as EdgeDevice '{id}' in '{namespace}'"));
            }
        }
        let message = format!("its EdgeDevice is in '{namespace}'");
        let approved = condition(before, "Approved", true, ("Approved", &message), approved.generation);
        let status = json!({"status": EdgeDeviceSignedRequestStatus { conditions: vec![approved] }});
        let api: Api<EdgeDeviceSignedRequest> = Api::namespaced(self.client.clone(), &self.home);
        self.caches.wrote();
        let patched = api.patch_status(id, &PatchParams::default(), &Patch::Merge(status)).await;
        patched.map(drop).context("failed to write the status of its request")
    }

    /// Lets a device go that is being deleted, if it heard of it or need not. Says how long it may take otherwise.
    async fn see_off(&self, known: &Known) -> Result<Option<Duration>> {
        let Some(deleted) = known.deleted.filter(|_| known.is_held()) else { return Ok(None) };
        let age = Timestamp::now().duration_since(deleted);
        let left = SignedDuration::try_from(FAREWELL).unwrap_or_default() - age;
        match Duration::try_from(left) {
            Ok(left) if known.status.certificate.is_some() && !left.is_zero() => Ok(Some(left)),
            _ => {
                release(&self.client, &self.home, known).await?;
                self.journal.say(&format!("{} is gone", known.name));
                Ok(None)
            }
        }
    }
}

/// Nothing holds it back any more. Its request goes first: else it would be let in again.
pub(crate) async fn release(client: &Client, home: &str, known: &Known) -> Result<()> {
    let requests: Api<EdgeDeviceSignedRequest> = Api::namespaced(client.clone(), home);
    match requests.delete(&known.name, &DeleteParams::default()).await {
        Err(error) if is_missing(&error) => {}
        deleted => drop(deleted.context("failed to delete its request")?),
    }
    let api = devices(client, &known.namespace);
    loop {
        let object = match api.get_opt(&known.name).await.context("failed to read its EdgeDevice")? {
            Some(object) if object.metadata.uid.as_ref() == Some(&known.uid) => object,
            _ => return Ok(()),
        };
        let finalizers: Vec<_> =
            object.metadata.finalizers.iter().flatten().filter(|it| *it != FINALIZER).collect();
        let version = &object.metadata.resource_version;
        let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": version}});
        match api.patch(&known.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(error) if is_conflict(&error) => {}
            Err(error) if is_missing(&error) => return Ok(()),
            patched => return patched.map(drop::<DynamicObject>).context("failed to write its EdgeDevice"),
        }
    }
}

/// What a device that registers has to have: labels of its hardware, and that it isn't deleted without being told.
pub(crate) fn marks(known: &Known, hardware: &Value) -> Option<Value> {
    let own = labels(hardware);
    let missing: BTreeMap<_, _> =
        own.iter().filter(|(key, value)| known.labels.get(*key) != Some(*value)).collect();
    if missing.is_empty() && (known.is_held() || known.deleted.is_some()) {
        return None;
    }
    let mut finalizers = known.finalizers.clone();
    if !known.is_held() && known.deleted.is_none() {
        finalizers.push(FINALIZER.to_owned());
    }
    Some(json!({"metadata": {"labels": missing, "finalizers": finalizers}}))
}

/// Hardware by which workloads may choose devices.
pub(crate) fn labels(hardware: &Value) -> BTreeMap<String, String> {
    let of = |part: &[&str]| part.iter().fold(hardware, |value, key| &value[*key]);
    let all = [
        ("device.hostname", of(&["hostname"])),
        ("device.cpu-architecture", of(&["cpu", "architecture"])),
        ("device.cpu-model", either(&hardware["cpu"], "model_name", "modelName")),
        ("device.system-manufacturer", either(vendor(hardware), "manufacturer", "manufacturer")),
        ("device.system-product", either(vendor(hardware), "product_name", "productName")),
        ("device.system-serial", either(vendor(hardware), "serial_number", "serialNumber")),
    ];
    let labelled =
        all.into_iter().map(|(key, value)| (key.to_owned(), label(value.as_str().unwrap_or_default())));
    labelled.filter(|(_, value)| !value.is_empty()).collect()
}

fn vendor(hardware: &Value) -> &Value {
    either(hardware, "system_vendor", "systemVendor")
}

/// As devices say it, or as it is kept.
fn either<'a>(value: &'a Value, one: &str, other: &str) -> &'a Value {
    if value[one].is_null() { &value[other] } else { &value[one] }
}

/// What of a text can be a label's value: lower case, without what no label may have, not too long.
fn label(text: &str) -> String {
    let is_fine = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(*c);
    let text: String = text.to_lowercase().chars().filter(is_fine).take(63).collect();
    text.trim_matches(['-', '_', '.']).to_owned()
}
