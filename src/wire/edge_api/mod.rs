//! Flotta's edge API: what it is told and what it answers, and the device configuration in that.
//!
//! Everything heard is parsed leniently: any field can be missing or null, and what can't be used is said in a
//! sentence. What an answer of which status means is the caller's affair.

mod answer;
mod configuration;
pub mod hardware;
mod message;

#[cfg(test)]
mod tests;

pub use answer::{certificate, is_disconnect_command};
pub use configuration::{Configuration, cached_configuration, configuration};
pub use message::{BASE_PATH, Header, Request, request};
