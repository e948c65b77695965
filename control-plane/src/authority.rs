//! The CA: who is who. It signs devices' requests, and judges the certificates they come with.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use sec1::{EcParameters, EcPrivateKey, LineEnding, der::EncodePem, pkcs8::PrivateKeyInfo};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY,
    pem::parse_x509_pem,
    prelude::{FromDer, X509Certificate},
};

/// The common name of the certificate that all devices share before they are registered.
pub(crate) const BOOTSTRAP_NAME: &str = "register";

/// The edge API's CA.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// Whom a certificate of this CA names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The subject's CN.
    pub(crate) name: String,
    /// Whether it has ended, or not begun yet.
    pub(crate) expired: bool,
}

/// What is wrong with the server's own certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Expired,
    Future,
    WrongName,
    ForeignCa,
}

impl Authority {
    /// The one in `dir`: `ca.pem` and `ca.key`. Where there is none, a fresh one with a bootstrap certificate.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        if certificate.exists() {
            let key = read(&key)?;
            return Self::new(&read(&certificate)?, KeyPair::from_pem(&key)?)
                .with_context(|| format!("failed to use '{}'", certificate.display()));
        }
        let (authority, pem) = Self::fresh()?;
        write(&key, &authority.issuer.key().serialize_pem())?;
        let (bootstrap, bootstrap_key) = authority.bootstrap()?;
        write(&dir.join("bootstrap.pem"), &bootstrap)?;
        write(&dir.join("bootstrap.key"), &bootstrap_key)?;
        // The last one: while it is missing the others are made anew.
        write(&certificate, &pem)?;
        Ok(authority)
    }

    fn new(pem: &str, key: KeyPair) -> Result<Self> {
        let (_, parsed) = parse_x509_pem(pem.as_bytes())?;
        let certificate = CertificateDer::from(parsed.contents);
        Ok(Self { issuer: Issuer::from_ca_cert_der(&certificate, key)?, certificate })
    }

    /// Like the real one: ECDSA P-256, self-signed, without a CN.
    fn fresh() -> Result<(Self, String)> {
        let key = KeyPair::generate()?;
        let mut params = parameters(&[(DnType::OrganizationName, "flotta-operator")], 3650 * 86400);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        params.serial_number =
            Some(SerialNumber::from(OffsetDateTime::now_utc().unix_timestamp().unsigned_abs()));
        let pem = params.self_signed(&key)?.pem();
        Ok((Self::new(&pem, key)?, pem))
    }

    fn bootstrap(&self) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let names = [(DnType::CommonName, BOOTSTRAP_NAME), (DnType::OrganizationalUnitName, "default")];
        let mut params = parameters(&names, 365 * 86400);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok((params.signed_by(&key, &self.issuer)?.pem(), sec1(&key.serialize_der())?))
    }

    /// A certificate for whom the URL names; what the request says of its subject doesn't count.
    ///
    /// # Errors
    /// The request can't be read, isn't ECDSA, or isn't signed by its own key.
    pub(crate) fn sign(&self, request: &str, id: &str, namespace: &str, seconds: i64) -> Result<String> {
        let (_, pem) = parse_x509_pem(request.as_bytes()).context("the request isn't PEM")?;
        let (_, request) =
            X509CertificationRequest::from_der(&pem.contents).context("the request isn't one")?;
        let key = &request.certification_request_info.subject_pki;
        ensure!(key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY, "the request's key isn't ECDSA");
        request.verify_signature().context("the request's signature is wrong")?;
        let names = [(DnType::CommonName, id), (DnType::OrganizationalUnitName, namespace)];
        let mut params = parameters(&names, seconds);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&SubjectPublicKeyInfo::from_der(key.raw)?, &self.issuer)?.pem())
    }

    /// A fresh certificate for the server itself. As the real one's, its serial is its CA's.
    pub(crate) fn server(&self, flaw: Flaw) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        if flaw == Flaw::ForeignCa {
            return Self::fresh()?.0.server(Flaw::None);
        }
        let key = KeyPair::generate()?;
        let life = if flaw == Flaw::Expired { -60 } else { 365 * 86400 };
        let mut params = parameters(&[(DnType::CommonName, "*")], life);
        if flaw == Flaw::Future {
            params.not_before = OffsetDateTime::now_utc() + Duration::days(1);
        }
        let (_, own) = X509Certificate::from_der(&self.certificate)?;
        params.serial_number = Some(SerialNumber::from_slice(own.raw_serial()));
        params.subject_alt_names = match flaw {
            Flaw::WrongName => vec![SanType::DnsName("elsewhere.example".try_into()?)],
            _ => vec![
                SanType::DnsName("project-flotta.io".try_into()?),
                SanType::IpAddress([127, 0, 0, 1].into()),
                SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
            ],
        };
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let Ok(key) = PrivateKeyDer::try_from(key.serialize_der()) else {
            bail!("the new key can't be used")
        };
        Ok((certificate.der().clone(), key))
    }

    /// Whom it names; none if it isn't this CA's.
    pub(crate) fn judge(&self, certificate: &[u8]) -> Option<Caller> {
        let (_, own) = X509Certificate::from_der(&self.certificate).ok()?;
        let (_, theirs) = X509Certificate::from_der(certificate).ok()?;
        if theirs.issuer().as_raw() != own.subject().as_raw()
            || theirs.verify_signature(Some(own.public_key())).is_err()
        {
            return None;
        }
        let name = theirs.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        Some(Caller { name: name.unwrap_or_default().to_owned(), expired: !theirs.validity().is_valid() })
    }
}

/// A PKCS#8 key as `EC PRIVATE KEY`. The curve's name moves inside; without it OpenSSL doesn't take the key.
fn sec1(pkcs8: &[u8]) -> Result<String> {
    let outer =
        PrivateKeyInfo::try_from(pkcs8).map_err(|error| anyhow!("the new key is no PKCS#8: {error}"))?;
    let mut inner = EcPrivateKey::try_from(outer.private_key)?;
    inner.parameters =
        Some(EcParameters::NamedCurve(outer.algorithm.parameters_oid().map_err(|error| anyhow!("{error}"))?));
    Ok(inner.to_pem(LineEnding::LF)?)
}

/// How long a certificate is valid, in seconds from now; up to ten years, either way.
pub(crate) fn life(text: &str) -> Result<i64, String> {
    const MOST: i64 = 3650 * 86400;
    let seconds = text.parse().ok().filter(|seconds| (-MOST..=MOST).contains(seconds));
    seconds.ok_or_else(|| format!("expected a number of seconds from -{MOST} to {MOST}"))
}

/// Valid from one day back, as the real ones are.
fn parameters(names: &[(DnType, &str)], seconds: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::seconds(seconds);
    params.distinguished_name = DistinguishedName::new();
    for (kind, name) in names {
        params.distinguished_name.push(kind.clone(), *name);
    }
    params
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read '{}'", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write '{}'", path.display()))
}
