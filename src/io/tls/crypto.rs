//! The cryptography of this agent's TLS: ring's, without ChaCha20-Poly1305 and Curve25519. Every server of TLS 1.3 has
//! AES, P-256, ECDSA and RSA (RFC 8446, 9.1). The rest would take 100 KB, and ring's usual provider refers to it.

use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::{
    CertificateError, Error, OtherError, SignatureScheme,
    crypto::{
        CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
        ring::{cipher_suite, kx_group, sign},
    },
    pki_types::PrivateKeyDer,
    sign::SigningKey,
};
use webpki::ring as verify;

/// What is wrong, in words for people: the library's own are for its users.
pub(crate) fn tls_error_message(error: &Error) -> String {
    let words = match error {
        Error::InvalidCertificate(error) => {
            return format!("its certificate can't be accepted: {}", certificate_error_message(error));
        }
        Error::AlertReceived(alert) => {
            return format!("it ended the connection (TLS alert {})", u8::from(*alert));
        }
        Error::General(words) => return words.clone(),
        Error::InvalidMessage(_) => "what it says is no TLS",
        Error::PeerIncompatible(_) => "its TLS is too different",
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => "it breaks the rules of TLS",
        Error::InconsistentKeys(_) => "the key is not that of the certificate",
        Error::NoCertificatesPresented => "it has no certificate",
        Error::DecryptError | Error::EncryptError => "a message can't be encrypted or decrypted",
        Error::FailedToGetRandomBytes => "the system has no random numbers",
        _ => "TLS doesn't work",
    };
    words.to_owned()
}

/// Why a certificate can't be used.
pub(crate) fn certificate_error_message(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::BadEncoding => "it can't be read as an X.509 certificate",
        E::Expired | E::ExpiredContext { .. } => "it has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet",
        E::Revoked => "it was revoked",
        E::UnhandledCriticalExtension => "it has a critical extension that isn't known here",
        E::UnknownIssuer => "its issuer isn't trusted",
        E::BadSignature => "its signature is wrong",
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another name",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "it is made for another purpose",
        E::Other(OtherError(cause)) => match cause.downcast_ref() {
            Some(webpki::Error::UnsupportedCertVersion) => {
                "it is of an old version of X.509, and version 3 is needed"
            }
            Some(webpki::Error::CaUsedAsEndEntity) => "it is that of a CA",
            Some(webpki::Error::EndEntityUsedAsCa) => "it is signed by what is no CA",
            _ => "it can't be read as an X.509 certificate",
        },
        _ => "it is of a kind that isn't supported",
    }
}

/// Why a connection broke: of TLS or not.
pub(crate) fn connection_error_message(error: &std::io::Error) -> String {
    let of_tls = error.get_ref().and_then(|cause| cause.downcast_ref());
    of_tls.map_or_else(|| error.to_string(), tls_error_message)
}

/// For a `ClientConfig`.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_256_GCM_SHA384, cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: SIGNATURE_ALGORITHMS,
        secure_random: &RingProvider,
        key_provider: &RingProvider,
    }
}

/// Of servers and of those who signed their certificates.
const SIGNATURE_ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        verify::ECDSA_P256_SHA256,
        verify::ECDSA_P256_SHA384,
        verify::ECDSA_P384_SHA256,
        verify::ECDSA_P384_SHA384,
        verify::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        verify::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        verify::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        verify::RSA_PKCS1_2048_8192_SHA256,
        verify::RSA_PKCS1_2048_8192_SHA384,
        verify::RSA_PKCS1_2048_8192_SHA512,
        verify::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        verify::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        verify::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ],
    // TLS 1.3 binds a scheme to one curve, and has PKCS#1 in certificates only
    mapping: &[
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[verify::ECDSA_P384_SHA384]),
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[verify::ECDSA_P256_SHA256]),
        (SignatureScheme::RSA_PSS_SHA512, &[verify::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA384, &[verify::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA256, &[verify::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[verify::RSA_PKCS1_2048_8192_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[verify::RSA_PKCS1_2048_8192_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[verify::RSA_PKCS1_2048_8192_SHA256]),
    ],
};

#[derive(Debug)]
struct RingProvider;

impl SecureRandom for RingProvider {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for RingProvider {
    fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        match sign::RsaSigningKey::new(&der) {
            Ok(key) => Ok(Arc::new(key)),
            Err(_) => sign::any_ecdsa_type(&der),
        }
    }
}
