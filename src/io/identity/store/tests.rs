//! Real files: keys and certificates as openssl writes them, and what people and crashes do to them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};

use super::*;

/// Made by openssl, all for the common name `dev`.
const P256_SEC1: &str = include_str!("tests/p256-sec1.pem");
const RSA_PKCS1: &str = include_str!("tests/rsa-pkcs1.pem");
const V1: &str = include_str!("tests/x509-v1.pem");
const USABLE: [&str; 4] =
    [P256_SEC1, include_str!("tests/p384-sec1.pem"), RSA_PKCS1, include_str!("tests/rsa-pkcs8.pem")];

fn store(dir: &Path) -> IdentityStore {
    IdentityStore {
        state: Store::new(dir.join("state")),
        device_id: "dev".into(),
        ca_root: Some(dir.join("ca.pem")),
        cert: Some(dir.join("cert.pem")),
        key: Some(dir.join("key.pem")),
    }
}

fn bootstrap(key: &str, certificate: &str) -> Result<Identity, String> {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    fs::write(store.key.as_ref().unwrap(), key).unwrap();
    fs::write(store.cert.as_ref().unwrap(), certificate).unwrap();
    store.bootstrap_identity()
}

/// What a server makes of a request: a certificate of a CA that is asked for nothing else.
fn sign(request: &CertificateRequest, name: &str) -> String {
    let mut csr = CertificateSigningRequestParams::from_pem(&request.pem).unwrap();
    csr.params.distinguished_name = DistinguishedName::new();
    csr.params.distinguished_name.push(DnType::CommonName, name);
    let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
    csr.signed_by(&issuer).unwrap().pem()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn every_usual_kind_of_key_is_loaded() {
    for pem in USABLE {
        let identity = bootstrap(pem, pem).unwrap();
        assert_eq!(identity.pair.facts.common_name.as_deref(), Some("dev"));
        assert_eq!(identity.received, None);
    }
    // as Windows and hasty people write it
    let crlf = P256_SEC1.replace('\n', "\r\n");
    bootstrap(&crlf, &format!("a remark\r\n{crlf}")).unwrap();
}

#[test]
fn what_cannot_be_used_is_refused_with_a_sentence() {
    let torn = &P256_SEC1[..P256_SEC1.len() - 40];
    let no_base64 = "-----BEGIN CERTIFICATE-----\n!!!secret!!!\n-----END CERTIFICATE-----\n";
    let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key_only = &P256_SEC1[..P256_SEC1.find("-----BEGIN CERTIFICATE").unwrap()];
    let certificate_only = &P256_SEC1[key_only.len()..];
    let (p521, ed25519) = (include_str!("tests/p521.pem"), include_str!("tests/ed25519.pem"));
    for (key, certificate, expected) in [
        (p521, p521, "key.pem' can't be used: EC P-256 and P-384"),
        (ed25519, ed25519, "key.pem' can't be used: EC P-256 and P-384, and RSA"),
        (RSA_PKCS1, P256_SEC1, "key.pem' is not that of the certificate in '"),
        (include_str!("tests/encrypted-pkcs8.pem"), P256_SEC1, "key.pem' is encrypted"),
        (include_str!("tests/encrypted-sec1.pem"), P256_SEC1, "key.pem' is encrypted"),
        (P256_SEC1, "", "cert.pem' is empty"),
        ("", P256_SEC1, "key.pem' holds no private key"),
        (certificate_only, P256_SEC1, "key.pem' holds no private key"),
        (P256_SEC1, key_only, "cert.pem' holds no certificate"),
        (P256_SEC1, "text", "cert.pem' holds no certificate"),
        (P256_SEC1, torn, "cert.pem' is no valid PEM: a section has no end"),
        (P256_SEC1, no_base64, "cert.pem' is no valid PEM: a section is no base64"),
        (V1, V1, "cert.pem' can't be used: it is of an old version of X.509, and version 3 is needed"),
        (P256_SEC1, no_x509, "cert.pem' is no X.509 certificate"),
    ] {
        let error = bootstrap(key, certificate).unwrap_err();
        assert!(error.contains(expected), "{error} <> {expected}");
        assert!(!error.contains("secret"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let error = store(dir.path()).bootstrap_identity().unwrap_err();
    assert!(error.contains("failed to read '") && error.contains("No such file"), "{error}");
    let unset = IdentityStore { key: None, ..store(dir.path()) };
    assert!(unset.bootstrap_identity().unwrap_err().contains("CERT and KEY"));
}

#[test]
fn a_ca_file_without_a_ca_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let roots = |text: &str| {
        fs::write(store.ca_root.as_ref().unwrap(), text).unwrap();
        store.roots()
    };
    assert_eq!(roots(&format!("{P256_SEC1}{RSA_PKCS1}")).unwrap().len(), 2);
    let no_ca = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(roots(&format!("{no_ca}{P256_SEC1}")).unwrap().len(), 1);
    for (text, expected) in [
        ("", "ca.pem' is empty"),
        ("text", "no CA to trust"),
        (no_ca, "none of the 1 certificates in '"),
        (&P256_SEC1[..P256_SEC1.len() - 40], "is no valid PEM"),
    ] {
        let error = roots(text).unwrap_err();
        assert!(error.contains(expected), "{error} <> {expected}");
    }
    assert!(IdentityStore { ca_root: None, ..store.clone() }.roots().unwrap_err().contains("CA_ROOT"));
}

#[test]
fn a_new_pair_takes_the_old_ones_place_only_when_it_is_promoted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    assert!(store.own_identity().is_none() && store.next().is_none());
    let mut before = None;
    for round in 1..=3 {
        let request = store.request_certificate().unwrap();
        assert!(store.next().is_none(), "a key alone is no pair");
        let next = store.receive_certificate(&request, &sign(&request, "dev"), at(round)).unwrap();
        assert_eq!(store.own_identity().map(|own| own.pair.certified.cert.clone()), before);
        let waiting = store.next().unwrap();
        assert_eq!(
            (waiting.received, &waiting.pair.certified.cert),
            (Some(at(round)), &next.pair.certified.cert)
        );
        store.promote(&next).unwrap();
        assert!(store.next().is_none());
        assert_eq!(store.own_identity().unwrap().pair.certified.cert, next.pair.certified.cert);
        let expires = next.pair.facts.not_after;
        assert_eq!(own_certificate_period(&store.state, "dev"), Some((at(round), expires)));
        before = Some(next.pair.certified.cert.clone());
    }
    assert_eq!(own_certificate_period(&store.state, "renamed"), None);
    for name in [OWN_IDENTITY_KEY, NEXT_IDENTITY_KEY] {
        let mode = fs::metadata(dir.path().join("state").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_certificate_for_another_key_or_device_is_refused_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (first, second) = (store.request_certificate().unwrap(), store.request_certificate().unwrap());
    let refused = |certificate: &str| store.receive_certificate(&second, certificate, at(1)).unwrap_err();
    assert!(refused(&sign(&first, "dev")).contains("is not that of the certificate"));
    assert!(refused(&sign(&second, "other")).contains("made for 'other', and this device is 'dev'"));
    assert!(refused("text").contains("no certificate"));
    assert!(store.own_identity().is_none() && store.next().is_none());
}

/// The writes of a registration are renames of whole files. Cut them off at any point, with a torn file lying
/// around as well, and there is a usable pair: the old one, or the new one.
#[test]
fn a_crash_at_any_moment_leaves_a_usable_pair() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let state = dir.path().join("state");
    let request = store.request_certificate().unwrap();
    let first = store.receive_certificate(&request, &sign(&request, "dev"), at(1)).unwrap();
    store.promote(&first).unwrap();
    let old = store.own_identity().unwrap().pair.certified.cert.clone();

    let snapshot = || -> Vec<(std::ffi::OsString, Vec<u8>)> {
        let files = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap());
        files.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
    };
    let mut moments = vec![snapshot()];
    let request = store.request_certificate().unwrap();
    moments.push(snapshot());
    let next = store.receive_certificate(&request, &sign(&request, "dev"), at(2)).unwrap();
    moments.push(snapshot());
    store.promote(&next).unwrap();
    moments.push(snapshot());
    let new = next.pair.certified.cert.clone();

    for (number, files) in moments.iter().enumerate() {
        // what the next write could have left half done: a part of the file that is to be renamed
        let after = moments.get(number + 1).unwrap_or(files);
        for (name, content) in
            after.iter().filter(|(name, _)| name == OWN_IDENTITY_KEY || name == NEXT_IDENTITY_KEY)
        {
            for length in (0..content.len()).step_by(97) {
                let dir = tempfile::tempdir().unwrap();
                let again = self::store(dir.path());
                fs::create_dir(dir.path().join("state")).unwrap();
                for (name, content) in files {
                    fs::write(dir.path().join("state").join(name), content).unwrap();
                }
                let half = format!("{}.new", name.display());
                fs::write(dir.path().join("state").join(half), &content[..length]).unwrap();
                let own = again.own_identity().unwrap().pair.certified.cert.clone();
                assert_eq!(own, if number == 3 { new.clone() } else { old.clone() });
                assert_eq!(again.next().is_some(), number == 2);
            }
        }
    }
}

#[test]
fn a_disk_that_takes_nothing_stops_a_first_registration_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let full = store(dir.path());
    fs::create_dir(dir.path().join("state")).unwrap();
    fs::create_dir(dir.path().join("state/identity-next.new")).unwrap();
    assert!(full.request_certificate().err().unwrap().contains("directory"));

    // a device that has a pair can ask again whenever it likes, so it goes on in memory
    fs::remove_dir(dir.path().join("state/identity-next.new")).unwrap();
    let request = full.request_certificate().unwrap();
    let first = full.receive_certificate(&request, &sign(&request, "dev"), at(1)).unwrap();
    full.promote(&first).unwrap();
    let before = full.own_identity().unwrap().pair.certified.cert.clone();
    fs::create_dir(dir.path().join("state/identity-next.new")).unwrap();
    let request = full.request_certificate().unwrap();
    let second = full.receive_certificate(&request, &sign(&request, "dev"), at(2)).unwrap();
    assert!(full.promote(&second).unwrap_err().to_string().contains("directory"));
    assert_eq!(full.own_identity().unwrap().pair.certified.cert, before);

    // until the disk has room again
    fs::remove_dir(dir.path().join("state/identity-next.new")).unwrap();
    full.promote(&second).unwrap();
    assert!(
        full.own_identity().unwrap().pair.certified.cert == second.pair.certified.cert
            && full.next().is_none()
    );
}

#[test]
fn a_certificate_request_is_made_with_ec_p256_for_the_devices_name() {
    let request = CertificateRequest::new("dev").unwrap();
    let csr = CertificateSigningRequestParams::from_pem(&request.pem).unwrap();
    let name = csr.params.distinguished_name.get(&DnType::CommonName);
    assert_eq!(name, Some(&rcgen::DnValue::Utf8String("dev".into())));
    assert_eq!(csr.public_key.algorithm(), &PKCS_ECDSA_P256_SHA256);
}
