//! Keys, certificates and CAs from PEM, with sentences for what people do to such files.

use std::{io::Read, path::Path, sync::Arc};

use log::warn;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{certificate::ParsedCertificate, crypto};
use crate::io::files;

/// More than any PEM file of keys and certificates, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A key, and certificates that match it.
#[derive(Debug, Clone)]
pub(crate) struct KeyAndCertificates {
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) facts: ParsedCertificate,
}

impl KeyAndCertificates {
    /// Each text may hold both. `key_from` and `certificate_from` name them in errors.
    pub(crate) fn read(
        key: &[u8],
        key_from: &str,
        certificate: &[u8],
        certificate_from: &str,
    ) -> Result<Self, String> {
        let certificates = parse_certificates(certificate, certificate_from)?;
        let Some(first) = certificates.first() else {
            return Err(format!("{certificate_from} holds no certificate"));
        };
        let facts = ParsedCertificate::read(first)
            .ok_or_else(|| format!("the first certificate in {certificate_from} is no X.509 certificate"))?;
        let der = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            _ if is_encrypted(key) => {
                format!("the key in {key_from} is encrypted, and its password can't be entered here")
            }
            rustls::pki_types::pem::Error::NoItemsFound => format!("{key_from} holds no private key"),
            error => format!("the key in {key_from} can't be read: {}", pem_error_message(&error)),
        })?;
        if is_encrypted(key) {
            return Err(format!(
                "the key in {key_from} is encrypted, and its password can't be entered here"
            ));
        }
        let signer = crypto::provider().key_provider.load_private_key(der).map_err(|_| {
            format!(
                "the key in {key_from} can't be used: EC P-256 and P-384, and RSA of 2048 bits and more can"
            )
        })?;
        let certified = CertifiedKey::new(certificates, signer);
        match certified.keys_match() {
            Ok(()) => Ok(Self { certified: Arc::new(certified), facts }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(format!("the key in {key_from} is not that of the certificate in {certificate_from}"))
            }
            Err(rustls::Error::InvalidCertificate(error)) => {
                let fault = crypto::certificate_error_message(&error);
                Err(format!("the certificate in {certificate_from} can't be used: {fault}"))
            }
            Err(error) => {
                let words = crypto::tls_error_message(&error);
                Err(format!("the certificate in {certificate_from} can't be used: {words}"))
            }
        }
    }
}

/// The only CAs to trust.
pub(crate) fn load_roots(path: &Path) -> Result<RootCertStore, String> {
    parse_roots(&read(path)?, &quoted_path(path))
}

/// The same, from what `name` holds.
pub(crate) fn parse_roots(pem: &[u8], name: &str) -> Result<RootCertStore, String> {
    let certificates = parse_certificates(pem, name)?;
    let mut roots = RootCertStore::empty();
    let count = certificates.len();
    let (good, bad) = roots.add_parsable_certificates(certificates);
    match (good, bad) {
        (0, 0) => Err(format!("{name} holds no certificate, so there is no CA to trust")),
        (0, _) => Err(format!("none of the {count} certificates in {name} can be used as a CA")),
        (_, 0) => Ok(roots),
        _ => {
            warn!("{bad} of the {count} certificates in {name} can't be used as a CA");
            Ok(roots)
        }
    }
}

fn parse_certificates(pem: &[u8], from: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    if pem.trim_ascii().is_empty() {
        return Err(format!("{from} is empty"));
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.map_err(|error| format!("{from} is no valid PEM: {}", pem_error_message(&error)))
}

/// Either as PKCS#8, or as OpenSSL did it before.
fn is_encrypted(pem: &[u8]) -> bool {
    let has = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
    has(b"ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

/// The parser's own words quote the file, where a key may stand.
fn pem_error_message(error: &rustls::pki_types::pem::Error) -> &'static str {
    use rustls::pki_types::pem::Error;
    match error {
        Error::MissingSectionEnd { .. } => "a section has no end: the file may be torn",
        Error::IllegalSectionStart { .. } => "a section has no proper start",
        Error::Base64Decode(_) => "a section is no base64",
        Error::SectionTooLarge => "a section is too large",
        _ => "it can't be parsed",
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = files::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("failed to read {}: {error}", quoted_path(path))),
        Ok(_) if bytes.len() as u64 > MAX_FILE_BYTES => {
            Err(format!("{} is larger than 1 MiB", quoted_path(path)))
        }
        Ok(_) => Ok(bytes),
    }
}

pub(crate) fn quoted_path(path: &Path) -> String {
    format!("'{}'", path.display())
}
