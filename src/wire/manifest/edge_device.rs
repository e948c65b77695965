//! Reads an `EdgeDevice`, as Flotta's custom resource definition has it.

use serde::Deserialize;
use serde_json::Value;

use super::{
    metadata::Metadata,
    profiles::DeviceProfiles,
    resource::Device,
    typed::deserialize_reporting,
    update::{self, Update},
};
use crate::wire::{
    dns_names::Subdomain,
    field::{FieldPath, Finding},
};

#[derive(Deserialize)]
struct DeviceDocument {
    metadata: Metadata<Subdomain>,
    #[serde(default)]
    spec: Option<DeviceSpec>,
}

#[derive(Deserialize, Default)]
struct DeviceSpec {
    profiles: Option<DeviceProfiles>,
    update: Option<Update>,
    heartbeat: Option<Heartbeat>,
}

/// The model's README draws the profiles one level too deep: here.
#[derive(Deserialize)]
struct Heartbeat {
    profiles: Option<DeviceProfiles>,
}

/// Reads and judges an `EdgeDevice`. The findings are warnings.
pub(in crate::wire) fn read(document: &Value) -> Result<(Device, Vec<Finding>), Finding> {
    const READ_ELSEWHERE: [&str; 8] = [
        "spec.heartbeat.hardwareProfile",
        "spec.heartbeat.periodSeconds",
        "spec.logCollection",
        "spec.metrics",
        "spec.mounts",
        "spec.osInformation",
        "spec.requestTime",
        "spec.storage",
    ];
    let (DeviceDocument { metadata, spec }, mut findings) = deserialize_reporting(document, &READ_ELSEWHERE)?;
    let spec = spec.unwrap_or_default();
    let (above, below) =
        (FieldPath::from(["spec", "profiles"]), FieldPath::from(["spec", "heartbeat", "profiles"]));
    let update = update::rules(spec.update, &mut findings);
    let deeper = spec.heartbeat.and_then(|heartbeat| heartbeat.profiles);
    if spec.profiles.is_some() && deeper.is_some() {
        let message = "has no effect beside `spec.profiles`".to_owned();
        findings.push(Finding { field: below.clone(), message });
    }
    let (profiles, at) = if spec.profiles.is_some() { (spec.profiles, above) } else { (deeper, below) };
    let (mut faults, mut expressions) = (Vec::new(), Vec::new());
    let profiles = profiles.map(|it| it.into_usable(&at, &mut faults, &mut expressions)).unwrap_or_default();
    let (name, labels) = (metadata.name.0, metadata.labels.unwrap_or_default());
    Ok((Device { name, labels, profiles, update, faults, expressions }, findings))
}
