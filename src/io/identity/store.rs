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
        tls::{Pair, pem},
    },
    settings::Settings,
};

const OWN: &str = "identity";
const NEXT: &str = "identity-next";
/// While it is there, the device asks to be let in as one that has no pair.
const ANEW: &str = "register";
/// Stands before the PEM, whose readers skip it.
const RECEIVED: &str = "received ";

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
    pub(crate) pair: Pair,
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
pub fn remembered(state: &Store, device_id: &str) -> Option<(SystemTime, SystemTime)> {
    let (state, device_id) = (state.clone(), device_id.to_owned());
    let store = IdentityStore { state, device_id, ca_root: None, cert: None, key: None };
    let own = store.own().filter(|_| !store.begins_anew())?;
    Some((own.received?, own.pair.facts.not_after))
}

/// Forgets the device's own pair; the bootstrap one isn't ours.
///
/// # Errors
/// The state directory can't be written.
pub fn forget(state: &Store) -> Result<(), StoreError> {
    state.remove(ANEW)?;
    state.remove(NEXT)?;
    state.remove(OWN)
}

/// Makes the device ask to be let in from the beginning. Its own pair stays: the server may take no other.
///
/// # Errors
/// The state directory can't be written.
pub fn begin_anew(state: &Store) -> Result<(), StoreError> {
    state.save(ANEW, b"by command")
}

impl IdentityStore {
    /// `register` was asked for.
    pub(crate) fn begins_anew(&self) -> bool {
        self.state.load(ANEW).is_some()
    }

    /// The files that the settings name.
    pub(crate) fn of(settings: &Settings, state: Store) -> Self {
        Self {
            state,
            device_id: settings.device_id.clone(),
            ca_root: settings.ca_root.clone(),
            cert: settings.cert.clone(),
            key: settings.key.clone(),
        }
    }

    /// The device's own pair. One that can't be used is as good as none, and is logged.
    pub(crate) fn own(&self) -> Option<Identity> {
        self.kept(OWN).map_err(|cause| warn!("the device's own certificate is not used: {cause}")).ok()?
    }

    /// A pair that came but was not tried to the end, because the process or the device ended.
    pub(crate) fn next(&self) -> Option<Identity> {
        let next = self.state.load(NEXT)?;
        if self.state.load(OWN).is_some_and(|own| own == next) {
            return None;
        }
        self.understand(&next).ok() // mostly the key of a request that came to nothing
    }

    /// The pair that devices share before they have one: only read here; each pair that is saved is in `STATE_DIR`.
    pub(crate) fn bootstrap(&self) -> Result<Identity, String> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Err(
                "the device has no certificate yet, and CERT and KEY don't name one to ask with".into()
            );
        };
        let read = (pem::read(key)?, pem::read(cert)?);
        let pair = Pair::read(&read.0, &pem::quoted(key), &read.1, &pem::quoted(cert))?;
        Ok(Identity { pair, received: None, origin: "the bootstrap certificate", text: Vec::new() })
    }

    /// Whom to trust.
    pub(crate) fn roots(&self) -> Result<RootCertStore, String> {
        let path = self.ca_root.as_ref();
        pem::roots(path.ok_or("CA_ROOT names no file, so there is no CA to trust")?)
    }

    /// Makes a new key, and writes it down: so that nothing is asked for that the disk has no room for.
    /// An own pair may be followed by one that lives in memory only: it will do for asking again.
    pub(crate) fn request_certificate(&self) -> Result<CertificateRequest, String> {
        let request = CertificateRequest::new(&self.device_id)
            .map_err(|error| format!("failed to make a key and a certificate request: {error}"))?;
        match self.state.save(NEXT, request.key.as_bytes()) {
            Ok(()) => {}
            Err(error) if self.own().is_some() => warn!("{error}"),
            Err(error) => return Err(error.to_string()),
        }
        Ok(request)
    }

    /// Takes in the certificate that the server made of a request.
    pub(crate) fn receive(
        &self,
        request: &CertificateRequest,
        certificate: &str,
        now: SystemTime,
    ) -> Result<Identity, String> {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = format!("{RECEIVED}{seconds}\n{}{certificate}", request.key);
        let identity = self.understand(text.as_bytes())?;
        if let Err(error) = self.state.save(NEXT, text.as_bytes()) {
            warn!("{error}"); // it can still be used until the agent ends
        }
        Ok(identity)
    }

    /// Puts the next pair, which was found good, into the old one's place.
    ///
    /// # Errors
    /// The state directory can't be written: the pair is used until the agent ends.
    pub(crate) fn promote(&self, next: &Identity) -> Result<(), StoreError> {
        self.state.save(NEXT, &next.text)?; // an older one must not seem to follow
        self.state.save(OWN, &next.text)?;
        self.state.remove(ANEW)
    }

    fn kept(&self, name: &str) -> Result<Option<Identity>, String> {
        self.state.load(name).map(|text| self.understand(&text)).transpose()
    }

    fn understand(&self, text: &[u8]) -> Result<Identity, String> {
        let from = "the device's own pair";
        let pair = Pair::read(text, from, text, from)?;
        match &pair.facts.common_name {
            Some(name) if *name == self.device_id => {}
            Some(name) => {
                return Err(format!("it was made for '{name}', and this device is '{}'", self.device_id));
            }
            None => return Err("it does not say for whom it was made".to_owned()),
        }
        let line = text.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let received = line.and_then(|line| clock::from_seconds(line.strip_prefix(RECEIVED)?));
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
