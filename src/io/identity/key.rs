//! The device's own key. rcgen's could be of every kind, and its code for Ed25519 would take 45 KB.

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{Error, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

/// EC P-256: the server takes nothing that isn't ECDSA.
pub(super) struct DeviceKey(EcdsaKeyPair);

impl DeviceKey {
    /// A new one, and its PEM.
    pub(super) fn generate() -> Result<(Self, String), Error> {
        let (kind, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).map_err(|_| Error::RingUnspecified)?;
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random)
            .map_err(|error| Error::RingKeyRejected(error.to_string()))?;
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        Ok((Self(pair), pem::encode_config(&Pem::new("PRIVATE KEY", pkcs8.as_ref()), config)))
    }
}

impl PublicKeyData for DeviceKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for DeviceKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| Error::RingUnspecified)?;
        Ok(signature.as_ref().to_vec())
    }
}
