//! Who this device is to the edge API: its key and certificate, and which CAs it trusts.
//!
//! | file | what it is |
//! |---|---|
//! | `CA_ROOT` | the only CAs that are trusted; read, never written |
//! | `CERT`, `KEY` | the bootstrap pair, shared by many devices; read, never written |
//! | `STATE_DIR/identity` | the device's own pair: key and certificate in one file, so that they change as one |
//! | `STATE_DIR/register` | `register` was asked for: until the device is let in, its own pair is the second choice |
//! | `STATE_DIR/identity-next` | the pair that is to follow it, until it was tried |
//!
//! A new key is on disk before the server hears of it, and its certificate before it is tried: once the server
//! has signed one it takes the bootstrap certificate no more, and the device may be far from every person.

mod examine;
mod key;
mod store;

pub use self::store::{own_certificate_period, remove_own_identity, request_reenrolment};
pub(crate) use self::{
    examine::examine,
    store::{Identity, IdentityStore},
};
