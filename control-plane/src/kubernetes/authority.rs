//! The CA, in a Secret: the first replica that starts makes it, the others read it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};

use crate::authority::Authority;

/// The Secret with the CA: `ca.pem` (its certificate, and after it those of former CAs) and `ca.key`.
const CA: &str = "flotta-ca";
/// The Secret with what a new device needs: `ca.pem`, `bootstrap.pem` and `bootstrap.key`.
const BOOTSTRAP: &str = "flotta-bootstrap";

/// Annotations of a batch's Secret.
const APPROVES: &str = "flotta/approve";
const SET: &str = "flotta/target-set";

/// The CA of this namespace.
pub(crate) async fn open(client: &Client, namespace: &str) -> Result<Authority> {
    let secrets = Api::namespaced(client.clone(), namespace);
    let fresh = || {
        let (authority, pem) = Authority::fresh()?;
        Ok([("ca.pem", pem), ("ca.key", authority.key())].into())
    };
    let ca = read_or_create(&secrets, CA, fresh).await?;
    let pem = text(&ca, "ca.pem").with_context(|| failed(CA))?;
    let key = text(&ca, "ca.key").with_context(|| failed(CA))?;
    let authority = Authority::new(&pem, &key).with_context(|| failed(CA))?;
    let fresh = || bootstrap(&authority, &pem, None);
    read_or_create(&secrets, BOOTSTRAP, fresh).await?;
    Ok(authority)
}

fn bootstrap(
    authority: &Authority,
    pem: &str,
    batch: Option<&str>,
) -> Result<BTreeMap<&'static str, String>> {
    let (certificate, key) = authority.bootstrap(batch)?;
    Ok([("ca.pem", pem.to_owned()), ("bootstrap.pem", certificate), ("bootstrap.key", key)].into())
}

/// A batch of devices, which share a bootstrap certificate of their own.
pub(crate) struct Batch {
    pub(crate) name: String,
    /// The EdgeDeviceSet that they will belong to.
    pub(crate) set: Option<String>,
    /// Whether they are let in at once.
    pub(crate) approves: bool,
}

/// Makes the batch's Secret, and returns its name. The batch is what the Secret says, as long as it is there.
pub(crate) async fn create_batch(client: &Client, namespace: &str, batch: &Batch) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let ca = secrets.get(CA).await.with_context(|| failed(CA))?;
    let pem = text(&ca, "ca.pem").with_context(|| failed(CA))?;
    let authority = Authority::new(&pem, &text(&ca, "ca.key")?).with_context(|| failed(CA))?;
    let name = secret_of(&batch.name);
    let mut annotations = BTreeMap::from([(APPROVES.to_owned(), batch.approves.to_string())]);
    annotations.extend(batch.set.as_ref().map(|set| (SET.to_owned(), set.clone())));
    let secret = secret(&name, annotations, bootstrap(&authority, &pem, Some(&batch.name))?);
    let created = secrets.create(&PostParams::default(), &secret).await;
    created.with_context(|| format!("failed to make the Secret '{name}'"))?;
    Ok(name)
}

/// The batch, if its Secret is still there.
pub(crate) async fn batch(client: &Client, namespace: &str, name: &str) -> Result<Option<Batch>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secret_of(name);
    let found =
        secrets.get_opt(&secret).await.with_context(|| format!("failed to read the Secret '{secret}'"))?;
    Ok(found.map(|found| {
        let said = |key| found.metadata.annotations.as_ref()?.get(key).cloned();
        Batch { name: name.to_owned(), set: said(SET), approves: said(APPROVES).as_deref() == Some("true") }
    }))
}

fn secret_of(batch: &str) -> String {
    format!("{BOOTSTRAP}-{batch}")
}

fn failed(name: &str) -> String {
    format!("failed to use the Secret '{name}'")
}

/// What is in the Secret. Where there is none it is made; of two that make it at once, the first one's counts.
async fn read_or_create(
    secrets: &Api<Secret>,
    name: &str,
    fresh: impl Fn() -> Result<BTreeMap<&'static str, String>>,
) -> Result<Secret> {
    let reading = || format!("failed to read the Secret '{name}'");
    if let Some(secret) = secrets.get_opt(name).await.with_context(reading)? {
        return Ok(secret);
    }
    let secret = secret(name, BTreeMap::new(), fresh()?);
    match secrets.create(&PostParams::default(), &secret).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            secrets.get(name).await.with_context(reading)
        }
        created => created.with_context(|| format!("failed to make the Secret '{name}'")),
    }
}

fn secret(name: &str, annotations: BTreeMap<String, String>, data: BTreeMap<&str, String>) -> Secret {
    let data = data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        ..Secret::default()
    }
}

fn text(secret: &Secret, key: &str) -> Result<String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    let bytes = bytes.ok_or_else(|| anyhow!("'{key}' is missing in it"))?;
    String::from_utf8(bytes.0.clone()).with_context(|| format!("'{key}' in it is no text"))
}
