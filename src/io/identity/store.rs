//! The files that say who the device is.

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use log::warn;
use rcgen::{CertificateParams, DistinguishedName, DnType};
use rustls::RootCertStore;

use super::key::DeviceKey;
use crate::{
    io::{
        clock,
        state::{Store, StoreError},
        tls::{KeyAndCertificates, pem},
    },
    settings::Settings,
};

const OWN_IDENTITY_KEY: &str = "identity";
const NEXT_IDENTITY_KEY: &str = "identity-next";
/// While it is there, the device asks to be let in as one that has no pair.
const REENROL_MARKER_KEY: &str = "register";
/// Stands before the PEM, whose readers skip it.
const RECEIVED_PREFIX: &str = "received ";

/// The files that say who this device is.
#[derive(Debug, Clone)]
pub(crate) struct IdentityStore {
    pub(crate) state: Store,
    /// What the server must call this device.
    pub(crate) device_id: String,
    pub(crate) ca_root: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// A pair, and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) pair: KeyAndCertificates,
    /// When the device got it; none for the bootstrap pair.
    pub(crate) received: Option<SystemTime>,
    /// For people.
    pub(crate) origin: &'static str,
    /// As it is kept, if it is the device's own.
    text: Vec<u8>,
}

/// A new key and the request for its certificate.
pub(crate) struct CertificateRequest {
    key: String,
    /// PEM of the CSR.
    pub(crate) pem: String,
}

/// Since when the device has a usable certificate of its own, and until when it is valid.
pub fn own_certificate_period(state: &Store, device_id: &str) -> Option<(SystemTime, SystemTime)> {
    let (state, device_id) = (state.clone(), device_id.to_owned());
    let store = IdentityStore { state, device_id, ca_root: None, cert: None, key: None };
    let own = store.own_identity().filter(|_| !store.is_reenrolment_requested())?;
    Some((own.received?, own.pair.facts.not_after))
}

/// Forgets the device's own pair; the bootstrap one isn't ours.
///
/// # Errors
/// The state directory can't be written.
pub fn remove_own_identity(state: &Store) -> Result<(), StoreError> {
    state.remove(REENROL_MARKER_KEY)?;
    state.remove(NEXT_IDENTITY_KEY)?;
    state.remove(OWN_IDENTITY_KEY)
}

/// Makes the device ask to be let in from the beginning. Its own pair stays: the server may take no other.
///
/// # Errors
/// The state directory can't be written.
pub fn request_reenrolment(state: &Store) -> Result<(), StoreError> {
    state.save(REENROL_MARKER_KEY, b"by command")
}

impl IdentityStore {
    /// `register` was asked for.
    pub(crate) fn is_reenrolment_requested(&self) -> bool {
        self.state.load(REENROL_MARKER_KEY).is_some()
    }

    /// The files that the settings name.
    pub(crate) fn from_settings(settings: &Settings, state: Store) -> Self {
        Self {
            state,
            device_id: settings.device_id.clone(),
            ca_root: settings.ca_root.clone(),
            cert: settings.cert.clone(),
            key: settings.key.clone(),
        }
    }

    /// The device's own pair. One that can't be used is as good as none, and is logged.
    pub(crate) fn own_identity(&self) -> Option<Identity> {
        self.load_identity(OWN_IDENTITY_KEY)
            .map_err(|cause| warn!("the device's own certificate is not used: {cause}"))
            .ok()?
    }

    /// A pair that came but was not tried to the end, because the process or the device ended.
    pub(crate) fn next(&self) -> Option<Identity> {
        let next = self.state.load(NEXT_IDENTITY_KEY)?;
        if self.state.load(OWN_IDENTITY_KEY).is_some_and(|own| own == next) {
            return None;
        }
        self.parse_identity(&next).ok() // mostly the key of a request that came to nothing
    }

    /// The pair that devices share before they have one: only read here; each pair that is saved is in `STATE_DIR`.
    pub(crate) fn bootstrap_identity(&self) -> Result<Identity, String> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Err(
                "the device has no certificate yet, and CERT and KEY don't name one to ask with".into()
            );
        };
        let read = (pem::read(key)?, pem::read(cert)?);
        let pair =
            KeyAndCertificates::read(&read.0, &pem::quoted_path(key), &read.1, &pem::quoted_path(cert))?;
        Ok(Identity { pair, received: None, origin: "the bootstrap certificate", text: Vec::new() })
    }

    /// Whom to trust.
    pub(crate) fn roots(&self) -> Result<RootCertStore, String> {
        let path = self.ca_root.as_ref();
        pem::load_roots(path.ok_or("CA_ROOT names no file, so there is no CA to trust")?)
    }

    /// Makes a new key, and writes it down: so that nothing is asked for that the disk has no room for.
    /// An own pair may be followed by one that lives in memory only: it will do for asking again.
    pub(crate) fn request_certificate(&self) -> Result<CertificateRequest, String> {
        let request = CertificateRequest::new(&self.device_id)
            .map_err(|error| format!("failed to make a key and a certificate request: {error}"))?;
        match self.state.save(NEXT_IDENTITY_KEY, request.key.as_bytes()) {
            Ok(()) => {}
            Err(error) if self.own_identity().is_some() => warn!("{error}"),
            Err(error) => return Err(error.to_string()),
        }
        Ok(request)
    }

    /// Takes in the certificate that the server made of a request.
    pub(crate) fn receive_certificate(
        &self,
        request: &CertificateRequest,
        certificate: &str,
        now: SystemTime,
    ) -> Result<Identity, String> {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = format!("{RECEIVED_PREFIX}{seconds}\n{}{certificate}", request.key);
        let identity = self.parse_identity(text.as_bytes())?;
        if let Err(error) = self.state.save(NEXT_IDENTITY_KEY, text.as_bytes()) {
            warn!("{error}"); // it can still be used until the agent ends
        }
        Ok(identity)
    }

    /// Puts the next pair, which was found good, into the old one's place.
    ///
    /// # Errors
    /// The state directory can't be written: the pair is used until the agent ends.
    pub(crate) fn promote(&self, next: &Identity) -> Result<(), StoreError> {
        self.state.save(NEXT_IDENTITY_KEY, &next.text)?; // an older one must not seem to follow
        self.state.save(OWN_IDENTITY_KEY, &next.text)?;
        self.state.remove(REENROL_MARKER_KEY)
    }

    fn load_identity(&self, name: &str) -> Result<Option<Identity>, String> {
        self.state.load(name).map(|text| self.parse_identity(&text)).transpose()
    }

    fn parse_identity(&self, text: &[u8]) -> Result<Identity, String> {
        let from = "the device's own pair";
        let pair = KeyAndCertificates::read(text, from, text, from)?;
        match &pair.facts.common_name {
            Some(name) if *name == self.device_id => {}
            Some(name) => {
                return Err(format!("it was made for '{name}', and this device is '{}'", self.device_id));
            }
            None => return Err("it does not say for whom it was made".to_owned()),
        }
        let line = text.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let received = line.and_then(|line| clock::parse_unix_seconds(line.strip_prefix(RECEIVED_PREFIX)?));
        let received = received.unwrap_or(pair.facts.not_before);
        let origin = "the device's own certificate";
        Ok(Identity { pair, received: Some(received), origin, text: text.to_vec() })
    }
}

impl CertificateRequest {
    fn new(device_id: &str) -> Result<Self, rcgen::Error> {
        let (key, text) = DeviceKey::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, device_id);
        let pem = params.serialize_request(&key)?.pem()?;
        Ok(Self { key: text, pem })
    }
}
