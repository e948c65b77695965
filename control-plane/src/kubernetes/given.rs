//! Which content of a workload a device gets: that which is written, or that which all devices had last.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    known::Known,
    place::{Place, place},
    plans::fnv,
    values,
};

/// What counts of a workload for devices: another revision is another update.
pub(crate) fn content(workload: &Value) -> Value {
    let metadata = &workload["metadata"];
    let prefixed = |key: &str| -> Map<String, Value> {
        let all = metadata[key].as_object().into_iter().flatten();
        all.filter(|(key, _)| key.starts_with("podman/"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let mut spec = workload["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        for key in ["rollout", "device", "deviceSelector"] {
            spec.remove(key);
        }
    }
    json!({"labels": prefixed("labels"), "annotations": prefixed("annotations"), "spec": spec})
}

/// Of a content.
pub(crate) fn revision(content: &Value) -> String {
    format!("{:016x}", fnv(&content.to_string()))
}

/// Notes in a workload what is asked for each device: its revision, and that of what was before.
pub(crate) fn prepare(workload: &mut Value) {
    workload["revision"] = revision(&content(workload)).into();
    let stable = &workload["status"]["rollout"]["stable"];
    if !stable.is_null() {
        workload["stableRevision"] = revision(stable).into();
    }
    let pods =
        [&workload["spec"]["pod"]["spec"], &workload["status"]["rollout"]["stable"]["spec"]["pod"]["spec"]];
    let [present, former] = pods.map(|pod| values::named(pod).into_iter().collect::<Vec<_>>());
    workload["values"] = present.into();
    workload["formerValues"] = former.into();
}

/// What the device gets of a workload that is meant for it: the workload as it is, as it was before, or nothing yet.
/// Beside it the revision.
pub(crate) fn assigned<'a>(workload: &'a Arc<Value>, known: &Known) -> Option<(Content<'a>, &'a str)> {
    let current = workload["revision"].as_str()?;
    let as_it_is = Some((Content::Present(workload), current));
    if workload["spec"]["rollout"].is_null() {
        return as_it_is;
    }
    let status = &workload["status"]["rollout"];
    if !status.is_object() {
        // One that devices have had all along goes on; a new one waits for its rollout to begin.
        let was_seen = !workload["status"]["observedGeneration"].is_null();
        return as_it_is.filter(|_| was_seen);
    }
    let released = status["released"].as_str().and_then(|place| Place::try_from(place.to_owned()).ok());
    let has_come = |released| status["revision"] == current && place(workload, known) <= released;
    if released.is_some_and(has_come) {
        return as_it_is;
    }
    Some((Content::Former(workload), workload["stableRevision"].as_str()?))
}

/// Of a workload.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    /// As it is written.
    Present(&'a Arc<Value>),
    /// As it was when all devices had it last.
    Former(&'a Value),
}

impl Content<'_> {
    /// The workload's.
    pub(crate) fn name(&self) -> String {
        let workload = match self {
            Self::Present(workload) => workload.as_ref(),
            Self::Former(workload) => workload,
        };
        workload["metadata"]["name"].as_str().unwrap_or_default().to_owned()
    }

    /// What of the device its pod names, with what the device has for it.
    ///
    /// # Errors
    /// It has nothing for it.
    pub(crate) fn values(&self, known: &Known) -> Result<Vec<(String, String)>, String> {
        let names = match self {
            Self::Present(workload) => &workload["values"],
            Self::Former(workload) => &workload["formerValues"],
        };
        let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
        let value = |name: &str| Ok((name.to_owned(), values::of(known, name)?.to_owned()));
        let all: Result<_, String> = names.map(value).collect();
        all.map_err(|error| format!("the workload '{}': {error}", self.name()))
    }

    /// The workload that has it, with these values.
    pub(crate) fn workload(&self, values: &[(String, String)]) -> Arc<Value> {
        let workload = self.as_written();
        if values.is_empty() {
            return workload;
        }
        let mut workload = Arc::unwrap_or_clone(workload);
        values::fill(&mut workload["spec"]["pod"]["spec"], values);
        Arc::new(workload)
    }

    fn as_written(&self) -> Arc<Value> {
        match self {
            Self::Present(workload) => Arc::clone(workload),
            Self::Former(workload) => {
                let stable = &workload["status"]["rollout"]["stable"];
                let mut before = json!({"metadata": workload["metadata"], "spec": stable["spec"]});
                for key in ["labels", "annotations"] {
                    before["metadata"][key] = stable[key].clone();
                }
                Arc::new(before)
            }
        }
    }
}
