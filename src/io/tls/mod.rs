//! TLS as this agent speaks it, to whichever server: its cryptography, keys and certificates from PEM, the time by
//! which they are judged, and connections.

pub(crate) mod certificate;
mod clock;
mod connector;
pub(crate) mod crypto;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod pem;

pub(crate) use self::{
    clock::TrustedClock,
    connector::{https_client, server_name},
    pem::KeyAndCertificates,
};
