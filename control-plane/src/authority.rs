//! The CA: who is who. It signs devices' requests, and judges the certificates they come with.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use ring::digest::{SHA256, digest};
use sec1::{EcParameters, EcPrivateKey, LineEnding, der::EncodePem, pkcs8::PrivateKeyInfo};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use uuid::Uuid;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::GeneralName,
    oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY,
    pem::{Pem, parse_x509_pem},
    prelude::{FromDer, X509Certificate},
};

use crate::store::{Device, Signed};

/// Before the device's uid in a certificate.
const UID: &str = "urn:uuid:";
/// Before the chain of certificates to which it belongs.
const CHAIN: &str = "urn:flotta:chain:";
/// Before the name of a batch of devices in the bootstrap certificate that they share.
const BATCH: &str = "urn:flotta:batch:";

/// The common name of the certificate that all devices share before they are registered.
pub(crate) const BOOTSTRAP_NAME: &str = "register";

/// The edge API's CA.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, and those of former CAs whose devices are still let in.
    trusted: Vec<CertificateDer<'static>>,
}

/// Whom a certificate of this CA names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The subject's CN.
    pub(crate) name: String,
    /// Its OU.
    pub(crate) namespace: Option<String>,
    /// The batch of devices that share this bootstrap certificate.
    pub(crate) batch: Option<String>,
    /// Of the device that it was signed for: another one may have the same name later.
    pub(crate) uid: Option<String>,
    /// The first one of its chain.
    pub(crate) chain: Option<String>,
    validity: (i64, i64),
}

impl Caller {
    /// Whether it has ended, or not begun yet.
    pub(crate) fn is_expired(&self) -> bool {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        !(self.validity.0..=self.validity.1).contains(&now)
    }
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
            return Self::new(&read(&certificate)?, &key)
                .with_context(|| format!("failed to use '{}'", certificate.display()));
        }
        let (authority, pem) = Self::fresh()?;
        write(&key, &authority.key())?;
        let (bootstrap, bootstrap_key) = authority.bootstrap(None)?;
        write(&dir.join("bootstrap.pem"), &bootstrap)?;
        write(&dir.join("bootstrap.key"), &bootstrap_key)?;
        // The last one: while it is missing the others are made anew.
        write(&certificate, &pem)?;
        Ok(authority)
    }

    /// The first certificate is the CA's own, with its key; those after it are trusted as well.
    pub(crate) fn new(pem: &str, key: &str) -> Result<Self> {
        let certificates: Result<Vec<_>, _> = Pem::iter_from_buffer(pem.as_bytes()).collect();
        let trusted: Vec<_> = certificates?.into_iter().map(|pem| pem.contents.into()).collect();
        let own = trusted.first().context("there is no certificate in it")?;
        let issuer = Issuer::from_ca_cert_der(own, KeyPair::from_pem(key)?)?;
        let (_, parsed) = X509Certificate::from_der(own)?;
        ensure!(
            parsed.public_key().subject_public_key.data == issuer.key().public_key_raw(),
            "the key isn't that of the certificate"
        );
        Ok(Self { issuer, trusted })
    }

    /// Tells this CA from a former one: hexadecimal, of its certificate.
    pub(crate) fn id(&self) -> String {
        hexadecimal(&digest(&SHA256, &self.trusted[0]).as_ref()[..8])
    }

    /// Its key, PEM.
    pub(crate) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Like the real one: ECDSA P-256, self-signed, without a CN.
    pub(crate) fn fresh() -> Result<(Self, String)> {
        let key = KeyPair::generate()?;
        let mut params = parameters(&[(DnType::OrganizationName, "flotta-operator")], 3650 * 86400);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        params.serial_number =
            Some(SerialNumber::from(OffsetDateTime::now_utc().unix_timestamp().unsigned_abs()));
        let pem = params.self_signed(&key)?.pem();
        Ok((Self::new(&pem, &key.serialize_pem())?, pem))
    }

    /// What devices, or those of a batch, have in common before they are registered: certificate and key.
    pub(crate) fn bootstrap(&self, batch: Option<&str>) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let names = [(DnType::CommonName, BOOTSTRAP_NAME), (DnType::OrganizationalUnitName, "default")];
        let mut params = parameters(&names, 365 * 86400);
        if let Some(batch) = batch {
            params.subject_alt_names = vec![SanType::URI(format!("{BATCH}{batch}").try_into()?)];
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok((params.signed_by(&key, &self.issuer)?.pem(), sec1(&key.serialize_der())?))
    }

    /// A certificate for whom the URL names; what the request says of its subject doesn't count. It goes on with the
    /// chain of the certificate `of`, or begins one that is called as its key: the same request, the same chain.
    ///
    /// # Errors
    /// The request can't be read, isn't ECDSA, or isn't signed by its own key.
    pub(crate) fn sign(
        &self,
        request: &str,
        device: &Device,
        of: Option<&Caller>,
        seconds: i64,
    ) -> Result<Signed> {
        let (_, pem) = parse_x509_pem(request.as_bytes()).context("the request isn't PEM")?;
        let (_, request) =
            X509CertificationRequest::from_der(&pem.contents).context("the request isn't one")?;
        let key = &request.certification_request_info.subject_pki;
        ensure!(key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY, "the request's key isn't ECDSA");
        request.verify_signature().context("the request's signature is wrong")?;
        let names = [(DnType::CommonName, &*device.id), (DnType::OrganizationalUnitName, &*device.namespace)];
        let mut params = parameters(&names, seconds);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let chain = match of {
            Some(caller) => caller.chain.clone(),
            None => Some(hexadecimal(digest(&SHA256, key.raw).as_ref())),
        };
        for (prefix, name) in [(UID, &device.uid), (CHAIN, &chain)] {
            if let Some(name) = name {
                params.subject_alt_names.push(SanType::URI(format!("{prefix}{name}").try_into()?));
            }
        }
        let serial = *Uuid::new_v4().as_bytes();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let ends = params.not_after;
        let pem = params.signed_by(&SubjectPublicKeyInfo::from_der(key.raw)?, &self.issuer)?.pem();
        Ok(Signed { pem, serial: hexadecimal(&serial), chain, ends, ca: self.id() })
    }

    /// A fresh certificate for the server itself. As the real one's, its serial is its CA's.
    pub(crate) fn server(
        &self,
        names: &[String],
        flaw: Flaw,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        if flaw == Flaw::ForeignCa {
            return Self::fresh()?.0.server(names, Flaw::None);
        }
        let key = KeyPair::generate()?;
        let life = if flaw == Flaw::Expired { -60 } else { 365 * 86400 };
        let mut params = parameters(&[(DnType::CommonName, "*")], life);
        if flaw == Flaw::Future {
            params.not_before = OffsetDateTime::now_utc() + Duration::days(1);
        }
        let (_, own) = X509Certificate::from_der(&self.trusted[0])?;
        params.serial_number = Some(SerialNumber::from_slice(own.raw_serial()));
        params.subject_alt_names = match flaw {
            Flaw::WrongName => vec![SanType::DnsName("elsewhere.example".try_into()?)],
            _ => ["project-flotta.io", "127.0.0.1", "::1"]
                .into_iter()
                .chain(names.iter().map(String::as_str))
                .map(subject)
                .collect::<Result<_>>()?,
        };
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let Ok(key) = PrivateKeyDer::try_from(key.serialize_der()) else {
            bail!("the new key can't be used")
        };
        Ok((certificate.der().clone(), key))
    }

    /// Whom it names; none if it isn't of a CA that counts.
    pub(crate) fn judge(&self, certificate: &[u8]) -> Option<Caller> {
        let (_, theirs) = X509Certificate::from_der(certificate).ok()?;
        let signed_it = |ca: &CertificateDer<'_>| {
            X509Certificate::from_der(ca).is_ok_and(|(_, ca)| {
                theirs.issuer().as_raw() == ca.subject().as_raw()
                    && theirs.verify_signature(Some(ca.public_key())).is_ok()
            })
        };
        if !self.trusted.iter().any(signed_it) {
            return None;
        }
        let subject = theirs.subject();
        let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        let unit = subject.iter_organizational_unit().next().and_then(|name| name.as_str().ok());
        let also = theirs.subject_alternative_name().ok().flatten();
        let said = |prefix: &str| {
            also.as_ref()?.value.general_names.iter().find_map(|name| match name {
                GeneralName::URI(uri) => Some(uri.strip_prefix(prefix)?.to_owned()),
                _ => None,
            })
        };
        Some(Caller {
            name: name.unwrap_or_default().to_owned(),
            namespace: unit.map(str::to_owned),
            batch: said(BATCH),
            uid: said(UID),
            chain: said(CHAIN),
            validity: (theirs.validity().not_before.timestamp(), theirs.validity().not_after.timestamp()),
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An address, or a name.
fn subject(name: &str) -> Result<SanType> {
    match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => {
            let name = name.try_into().map_err(|_| anyhow!("'{name}' can't be a server's name"))?;
            Ok(SanType::DnsName(name))
        }
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

#[cfg(test)]
mod tests {
    use super::{Authority, parse_x509_pem};

    #[test]
    fn a_former_ca_is_trusted_as_long_as_it_stands_there() {
        let (old, old_pem) = Authority::fresh().unwrap();
        let (new, new_pem) = Authority::fresh().unwrap();
        let device = old.bootstrap(None).unwrap().0;
        let device = parse_x509_pem(device.as_bytes()).unwrap().1.contents;
        let both = Authority::new(&(new_pem.clone() + &old_pem), &new.key()).unwrap();
        assert!(both.judge(&device).is_some());
        assert!(both.id() == new.id() && both.id() != old.id());
        let signed = both.bootstrap(None).unwrap().0;
        let signed = parse_x509_pem(signed.as_bytes()).unwrap().1.contents;
        assert!(new.judge(&signed).is_some() && old.judge(&signed).is_none());
        assert!(new.judge(&device).is_none());
        assert!(Authority::new(&old_pem, &new.key()).is_err(), "another CA's key");
    }
}
