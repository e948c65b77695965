//! Settings: flags > environment > file > defaults, every value checked before anything starts.

mod command;
mod error;
mod fields;
mod host;
mod invocation;
pub(crate) mod keys;
mod layers;
mod load;
mod reader;
mod value;

#[cfg(test)]
mod tests;

pub use self::{
    error::SettingsError,
    fields::{Setting, Settings},
    host::Host,
    invocation::{CommandOptions, Invocation, UnusableSettings},
    layers::SettingSource,
    value::{ListenAddress, Reserve},
};
