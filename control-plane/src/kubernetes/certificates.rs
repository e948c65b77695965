//! Which certificates a device has: in the status of its EdgeDevice, where of two that write at once the second one sees
//! what the first one wrote.

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Kubernetes, beat, is_conflict, known::Known, membership};
use crate::store::{Device, Refusal, Signed, Stage};

/// Another writer may be quicker so often.
const TRIES: usize = 5;

impl Kubernetes {
    /// The EdgeDevice as it is now, with its version, if it is still of this device.
    pub(super) async fn read(&self, device: &Device) -> Result<Option<(Known, Option<String>)>> {
        let object = self.devices(&device.namespace).get_opt(&device.id).await;
        let Some(object) = object.context("failed to read its EdgeDevice")? else { return Ok(None) };
        let version = object.metadata.resource_version.clone();
        let known = Known::of(object);
        Ok((Some(&known.uid) == device.uid.as_ref()).then_some((known, version)))
    }

    /// Notes the certificate that the device is about to get, if it still may have it.
    pub(super) async fn try_register(
        &self,
        device: &Device,
        (signed, is_use): (&Signed, bool),
        hardware: &Value,
    ) -> Result<(), Refusal> {
        let api = self.devices(&device.namespace);
        for _ in 0..TRIES {
            let found = self.read(device).await?.map(|(known, version)| (known.device(), known, version));
            let Some((now, known, version)) = found.filter(|(now, ..)| now.takes(signed)) else {
                return Err(Refusal::Taken);
            };
            let ends = Timestamp::from_second(signed.ends.unix_timestamp())?;
            let used = (now.is_used || is_use).then_some(true);
            let Signed { serial, chain, ca, .. } = signed;
            let mut status = json!({
                "certificate": {"serial": serial, "notAfter": Time(ends), "ca": ca, "chain": chain, "used": used},
            });
            if now.stage == Stage::Approved {
                status["phase"] = "Registered".into();
            }
            if hardware.is_object() {
                status["hardware"] = beat::camel(hardware);
            }
            // First what doesn't give the device away: who fails after it can try again.
            let version = match membership::marks(&known, hardware) {
                None => version,
                Some(mut marks) => {
                    self.caches.wrote();
                    marks["metadata"]["resourceVersion"] = json!(version);
                    match api.patch(&device.id, &PatchParams::default(), &Patch::Merge(marks)).await {
                        Err(error) if is_conflict(&error) => continue,
                        patched => {
                            patched.context("failed to write its EdgeDevice")?.metadata.resource_version
                        }
                    }
                }
            };
            self.caches.wrote();
            let status = json!({"metadata": {"resourceVersion": version}, "status": status});
            match api.patch_status(&device.id, &PatchParams::default(), &Patch::Merge(status)).await {
                Err(error) if is_conflict(&error) => continue,
                patched => patched.context("failed to write the status of its EdgeDevice")?,
            };
            return Ok(());
        }
        Err(anyhow!("its EdgeDevice changes all the time").into())
    }

    /// Notes that a certificate of its chain was used, if that is still the device's.
    pub(super) async fn try_use(&self, device: &Device) -> Result<()> {
        let api = self.devices(&device.namespace);
        for _ in 0..TRIES {
            let found = self.read(device).await?.filter(|(known, _)| known.device().chain == device.chain);
            let (known, version) = found.context("another chain of certificates began")?;
            if known.device().is_used {
                return Ok(());
            }
            self.caches.wrote();
            let status = json!({"certificate": {"used": true}});
            let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
            match api.patch_status(&device.id, &PatchParams::default(), &Patch::Merge(patch)).await {
                Err(error) if is_conflict(&error) => continue,
                patched => return patched.map(drop).context("failed to write the status of its EdgeDevice"),
            }
        }
        bail!("its EdgeDevice changes all the time")
    }
}
