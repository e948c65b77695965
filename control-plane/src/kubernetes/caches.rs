//! All that is watched, and who is told of changes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject},
};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::{
    asked::Asked,
    cache::{Cache, IsNews, Watch},
    given,
    known::Known,
    resources::{EdgeDevice, EdgeDeviceSet, EdgeDeviceSignedRequest, EdgeWorkload},
};
use crate::{configuration::Resources, journal::Journal};

/// What is watched.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) devices: Arc<Cache<Known>>,
    pub(crate) requests: Arc<Cache<Asked>>,
    pub(crate) sets: Arc<Cache<Value>>,
    pub(crate) workloads: Arc<Cache<Value>>,
    config_maps: Arc<Cache<Value>>,
    secrets: Arc<Cache<Value>>,
    /// How often what is meant for devices has changed.
    pub(crate) revision: AtomicU64,
    /// How many watches of what is meant for devices are interrupted. Another replica may have given a device something
    /// newer by then: until it is known again, devices stay with what they have.
    pub(crate) behind: Arc<AtomicUsize>,
    /// Writes to the API server since the start.
    pub(crate) writes: AtomicU64,
    /// A request or a device has changed.
    pub(crate) membership: Notify,
    /// Anything has.
    pub(crate) anything: Notify,
}

impl Caches {
    /// Watches `home`, where requests are, and the namespaces of devices. What comes back has to become true.
    pub(crate) fn watch(
        self: &Arc<Self>,
        client: &Client,
        home: &str,
        namespaces: &[String],
        journal: &Arc<Journal>,
    ) -> Vec<watch::Receiver<bool>> {
        let core = |kind, plural: &str| ApiResource {
            plural: plural.to_owned(),
            ..ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", kind))
        };
        let mut all = vec![self.start(
            (client, home, journal),
            ApiResource::erase::<EdgeDeviceSignedRequest>(&()),
            &self.requests,
            (Asked::of, |_, _| true, false),
            |caches| caches.membership.notify_one(),
        )];
        for namespace in namespaces {
            let place = (client, namespace.as_str(), journal);
            let devices = ApiResource::erase::<EdgeDevice>(&());
            all.push(self.start(place, devices, &self.devices, (Known::of, |_, _| true, false), |caches| {
                caches.membership.notify_one();
                caches.anything.notify_one();
            }));
            let meant = [
                (ApiResource::erase::<EdgeDeviceSet>(&()), &self.sets, value as fn(_) -> _),
                (ApiResource::erase::<EdgeWorkload>(&()), &self.workloads, workload),
                (core("ConfigMap", "configmaps"), &self.config_maps, value),
                (core("Secret", "secrets"), &self.secrets, value),
            ];
            for (resource, cache, read) in meant {
                all.push(self.start(place, resource, cache, (read, is_news, true), |caches| {
                    caches.revision.fetch_add(1, Relaxed);
                    // (a set may let in who waits)
                    caches.membership.notify_one();
                    caches.anything.notify_one();
                }));
            }
        }
        all
    }

    fn start<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        (client, namespace, journal): (&Client, &str, &Arc<Journal>),
        resource: ApiResource,
        cache: &Arc<Cache<T>>,
        (read, is_news, is_meant): (fn(DynamicObject) -> T, IsNews<T>, bool),
        tell: fn(&Self),
    ) -> watch::Receiver<bool> {
        let caches = Arc::clone(self);
        let watch = Watch {
            api: Api::namespaced_with(client.clone(), namespace, &resource),
            namespace: namespace.to_owned(),
            cache: Arc::clone(cache),
            read,
            is_news,
            behind: is_meant.then(|| Arc::clone(&self.behind)),
            changed: Arc::new(move || tell(&caches)),
            journal: Arc::clone(journal),
        };
        watch.start(resource.plural)
    }

    /// Counts a write to the API server.
    pub(crate) fn wrote(&self) {
        self.writes.fetch_add(1, Relaxed);
    }

    /// What is in a namespace.
    pub(crate) fn view<'a>(&'a self, namespace: &'a str) -> View<'a> {
        View { caches: self, namespace }
    }
}

/// Whether a device may get something else by it. Most changes are this server's own counts in the status: after each
/// of them all devices' configurations would be looked up again.
fn is_news(old: &Value, new: &Value) -> bool {
    let metadata = ["labels", "annotations"].iter().any(|key| old["metadata"][*key] != new["metadata"][*key]);
    // (a rollout goes on by its status, and needs that the workload was seen before)
    let (before, after) = (&old["status"], &new["status"]);
    let is_first = before["observedGeneration"].is_null() != after["observedGeneration"].is_null();
    let rollout = is_first || before["rollout"] != after["rollout"];
    metadata || rollout || ["spec", "data", "binaryData", "type"].iter().any(|key| old[*key] != new[*key])
}

/// As a file would have it, without what only the API server needs.
fn value(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    let last_applied = "kubectl.kubernetes.io/last-applied-configuration";
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove(last_applied);
    }
    serde_json::to_value(object).unwrap_or_default()
}

fn workload(object: DynamicObject) -> Value {
    let mut workload = value(object);
    given::prepare(&mut workload);
    workload
}

/// What is in a namespace.
pub(crate) struct View<'a> {
    caches: &'a Caches,
    namespace: &'a str,
}

impl Resources for View<'_> {
    fn workloads(&self) -> Vec<Arc<Value>> {
        self.caches.workloads.of(self.namespace)
    }

    fn config_map(&self, name: &str) -> Option<Arc<Value>> {
        self.caches.config_maps.get(self.namespace, name)
    }

    fn secret(&self, name: &str) -> Option<Arc<Value>> {
        self.caches.secrets.get(self.namespace, name)
    }
}
