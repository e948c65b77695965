//! A pod's specification (`core/v1` `PodSpec`), typed and whole, read as the API server reads it.
//!
//! | look in | for |
//! |---|---|
//! | [`fates`] | what becomes of each field: obeyed, without effect, without meaning on one device, or refused |
//! | [`pod`], [`container`], [`mod@env`], [`volumes`], [`security`], [`probe`], [`lifecycle`] | the types |
//! | [`values`] | quantities, modes, ports, names, paths |
//! | `checks` | what the shape alone doesn't say: names that stand twice, what refers to nothing |
//! | [`reader`] | how JSON becomes these, and what is said of what doesn't fit |
//!
//! Numbers, texts, lists and mappings that aren't there are 0, empty and `false`; what must be told apart from that is
//! an `Option`.

mod checks;
pub mod container;
pub mod env;
pub mod fate;
pub mod fates;
pub mod lifecycle;
mod nearest;
pub mod pod;
pub mod probe;
pub mod reader;
pub mod security;
pub mod values;
pub mod volumes;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use pod::PodSpec;
use reader::{Class, Notes, Read};

use crate::wire::field::Finding;

/// The specification, and what is wrong with it.
pub(in crate::wire) fn read(specification: &Value) -> (PodSpec, Vec<(Class, Finding)>) {
    let mut notes = Notes::default();
    let spec = PodSpec::read(specification, &mut notes);
    checks::check(&spec, &mut notes);
    (spec, notes.found)
}

impl PodSpec {
    /// Of a workload that was accepted before.
    pub fn of(specification: &Value) -> Self {
        read(specification).0
    }
}
