//! Settings: flags > environment > file > defaults, every value checked before anything starts.

mod command;
mod error;
mod host;
mod invocation;
pub(crate) mod keys;
mod layers;
mod load;
mod reader;
mod validated;
mod value;

#[cfg(test)]
mod tests;

pub use self::{
    error::SettingsError,
    host::Host,
    invocation::{Invocation, Unusable},
    layers::Source,
    validated::{Setting, Settings},
    value::{ListenAddress, Reserve},
};
