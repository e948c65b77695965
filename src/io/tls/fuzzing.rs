//! The readers of keys and certificates, for the harnesses in `fuzz/`.

use std::time::SystemTime;

use super::{certificate::ParsedCertificate, pem};

/// A key and a certificate that belong together; gives the certificate's DER.
///
/// # Errors
/// Why they can't be used.
pub fn pair(key: &[u8], certificate: &[u8]) -> Result<Vec<u8>, String> {
    let pair = pem::KeyAndCertificates::read(key, "'key.pem'", certificate, "'cert.pem'")?;
    Ok(pair.certified.cert.first().map(|first| first.to_vec()).unwrap_or_default())
}

/// How many CAs there are to trust.
///
/// # Errors
/// Why there is none.
pub fn roots(text: &[u8]) -> Result<usize, String> {
    pem::parse_roots(text, "'ca.pem'").map(|roots| roots.len())
}

/// From when to when a certificate is valid, for whom it was made, and what is wrong with it at this time.
#[expect(clippy::type_complexity, reason = "for one caller")]
pub fn facts(
    der: &[u8],
    now: SystemTime,
) -> Option<((SystemTime, SystemTime), Option<String>, Option<String>)> {
    let facts = ParsedCertificate::read(der)?;
    let fault = facts.fault(now);
    Some(((facts.not_before, facts.not_after), facts.common_name, fault))
}
