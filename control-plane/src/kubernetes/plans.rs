//! What devices are sent. Many get the same: it is made once, and made again after a change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering::Relaxed},
};

use serde_json::Value;

use super::{caches::Caches, given, known::Known, resources::MEMBER_OF};
use crate::configuration;

/// More than this are forgotten: each device may have one of its own.
const MOST: usize = 2000;

/// A configuration, but for the device's id.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) content: Value,
    /// Another content has another one, the same content the same one, on every replica.
    pub(crate) version: String,
    /// The names of the workloads that are meant for it, in order; also of those that it has to wait for.
    pub(crate) names: Vec<String>,
}

type Made = Result<Arc<Plan>, String>;

/// Namespace, settings, and the workloads: names of those that are meant, names, revisions and values of those that are given.
type Key = (String, String, Vec<String>, Vec<String>);

/// Those that were made since the last change.
pub(crate) struct Plans {
    /// Seconds between heartbeats where nothing else is said.
    period: i64,
    made: Mutex<(u64, HashMap<Key, Made>)>,
    latest: Mutex<(u64, HashMap<DeviceKey, Latest>)>,
}

/// Namespace and name.
type DeviceKey = (String, String);

/// What a device got last: as long as neither it nor what is meant for devices changes, nothing is looked up for it.
struct Latest {
    of: Weak<Known>,
    made: Made,
}

impl Plans {
    pub(crate) fn new(period: i64) -> Self {
        Self { period, made: Mutex::default(), latest: Mutex::default() }
    }

    /// The device's.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn of(&self, caches: &Caches, known: &Arc<Known>) -> Made {
        // before anything is looked at: what changes meanwhile is made again
        let revision = caches.revision.load(Relaxed);
        let device = (known.namespace.clone(), known.name.clone());
        {
            let latest = &mut *self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            if latest.0 != revision {
                *latest = (revision, HashMap::new());
            }
            if let Some(latest) = latest.1.get(&device).filter(|it| it.of.as_ptr() == Arc::as_ptr(known)) {
                return latest.made.clone();
            }
        }
        let made = self.make(caches, known, revision);
        let latest = &mut *self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.0 == revision {
            latest.1.insert(device, Latest { of: Arc::downgrade(known), made: made.clone() });
        }
        made
    }

    fn make(&self, caches: &Caches, known: &Known, revision: u64) -> Made {
        let view = caches.view(&known.namespace);
        // One that is being deleted has none any more.
        let chosen = match known.deleted {
            Some(_) => Vec::new(),
            None => configuration::choose(&view, &known.name, &known.labels),
        };
        let spec = self.settings(caches, known);
        let given: Vec<_> = chosen.iter().filter_map(|workload| given::assigned(workload, known)).collect();
        let values: Result<Vec<_>, String> = given.iter().map(|(content, _)| content.values(known)).collect();
        let values = values?;
        let revisions = given.iter().zip(&values);
        let revisions = revisions
            .map(|((content, revision), values)| format!("{} {revision} {values:?}", content.name()));
        let revisions = revisions.collect();
        let names: Vec<_> = chosen.iter().map(|workload| given::Content::Present(workload).name()).collect();
        let key = (known.namespace.clone(), spec.to_string(), names.clone(), revisions);
        {
            let made = &mut *self.made.lock().unwrap_or_else(PoisonError::into_inner);
            if made.0 != revision || made.1.len() >= MOST {
                *made = (revision, HashMap::new());
            }
            if let Some(made) = made.1.get(&key) {
                return made.clone();
            }
        }
        let device = configuration::Device {
            namespace: &known.namespace,
            spec: &spec,
            period: self.period,
            ordered: true,
        };
        let given: Vec<_> =
            given.into_iter().zip(&values).map(|((content, _), values)| content.workload(values)).collect();
        let plan = configuration::assemble(&view, &given, &device)
            .map(|content| Arc::new(Plan { version: version(&content), names, content }))
            .map_err(|error| format!("{error:#}"));
        let made = &mut *self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.0 == revision {
            made.1.insert(key, plan.clone());
        }
        plan
    }

    /// Seconds between its heartbeats, also where what it runs can't be put together.
    pub(crate) fn period(&self, caches: &Caches, known: &Known) -> i64 {
        let given = self.settings(caches, known)["heartbeat"]["periodSeconds"].as_i64();
        given.filter(|seconds| *seconds > 0).unwrap_or(self.period)
    }

    /// The device's own, over which its set's win.
    fn settings(&self, caches: &Caches, known: &Known) -> Value {
        let mut spec = known.spec.clone();
        let set = known.labels.get(MEMBER_OF).and_then(|name| caches.sets.get(&known.namespace, name));
        if let Some(set) = set {
            if !spec.is_object() {
                spec = Value::Object(serde_json::Map::new());
            }
            for (key, value) in set["spec"].as_object().into_iter().flatten() {
                if !value.is_null() {
                    spec[key] = value.clone();
                }
            }
        }
        // They change nothing for the device.
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("requestTime");
            spec.remove("approve");
        }
        spec
    }
}

fn version(content: &Value) -> String {
    format!("{:016x}", fnv(&content.to_string()))
}

/// FNV-1a, which is the same everywhere.
pub(crate) fn fnv(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
