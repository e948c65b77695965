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
    let fresh = || {
        let (certificate, key) = authority.bootstrap()?;
        Ok([("ca.pem", pem.clone()), ("bootstrap.pem", certificate), ("bootstrap.key", key)].into())
    };
    read_or_create(&secrets, BOOTSTRAP, fresh).await?;
    Ok(authority)
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
    let data = fresh()?.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
    let secret = Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(data.collect()),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            secrets.get(name).await.with_context(reading)
        }
        created => created.with_context(|| format!("failed to make the Secret '{name}'")),
    }
}

fn text(secret: &Secret, key: &str) -> Result<String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    let bytes = bytes.ok_or_else(|| anyhow!("'{key}' is missing in it"))?;
    String::from_utf8(bytes.0.clone()).with_context(|| format!("'{key}' in it is no text"))
}
