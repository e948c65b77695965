//! A pod's specification (`core/v1` `PodSpec`), typed and whole, read as the API server reads it.
//!
//! | look in | for |
//! |---|---|
//! | [`field_tables`] | what becomes of each field: obeyed, without effect, without meaning on one device, or refused |
//! | [`pod`], [`container`], [`mod@env`], [`volumes`], [`security`], [`probe`], [`lifecycle`] | the types |
//! | [`values`] | quantities, modes, ports, names, paths |
//! | `checks` | what the shape alone doesn't say: names that stand twice, what refers to nothing |
//! | [`reader`] | how JSON becomes these, and what is said of what doesn't fit |
//! | `types` | how the types are written down: `mapping!`, `words!` |
//!
//! Numbers, texts, lists and mappings that aren't there are 0, empty and `false`; what must be told apart from that is
//! an `Option`.

mod checks;
pub mod container;
pub mod env;
pub mod field_support;
pub mod field_tables;
pub mod lifecycle;
pub mod nearest;
pub mod pod;
pub mod probe;
pub mod reader;
pub mod security;
pub mod types;
pub mod values;
pub mod volumes;

#[cfg(test)]
pub mod schema;
#[cfg(test)]
mod tests;

use serde_json::Value;

use container::Container;
pub use pod::PodSpec;
use reader::{FindingClass, Read, ReadContext};

use crate::wire::field::{FieldPath, Finding, PathSegment};

/// The specification, and what is wrong with it.
pub(in crate::wire) fn read(specification: &Value) -> (PodSpec, Vec<(FindingClass, Finding)>) {
    let mut notes = ReadContext::default();
    let spec = PodSpec::read_checked(specification, &mut notes);
    (spec, notes.found)
}

impl PodSpec {
    /// Reads it where the notes stand, with what its shape alone doesn't say.
    pub(in crate::wire) fn read_checked(specification: &Value, notes: &mut ReadContext) -> Self {
        let spec = Self::read(specification, notes);
        checks::check(&spec, notes);
        spec
    }

    /// Of a workload that was accepted before.
    pub fn read_accepted(specification: &Value) -> Self {
        Self::read(specification, &mut ReadContext::default())
    }

    /// Of a workload that was accepted before, perhaps by a version that read less of it: what isn't read any more is
    /// no reason to run something else.
    ///
    /// # Errors
    /// The first thing that can't be read, and where it stands.
    pub(in crate::wire) fn read_legible(specification: &Value) -> Result<Self, (FieldPath, String)> {
        let mut notes = ReadContext::default();
        let spec = Self::read(specification, &mut notes);
        // a probe that can't be read is none: no pod waits for it
        let is_probe = |step: &PathSegment| matches!(step, PathSegment::Key(key) if key.ends_with("Probe"));
        let found = notes.found.into_iter().find(|(class, finding)| {
            matches!(class, FindingClass::Shape | FindingClass::Value)
                && !finding.field.0.iter().any(is_probe)
        });
        found.map_or(Ok(spec), |(_, finding)| Err((finding.field, finding.message)))
    }

    /// Init containers first, each with its place.
    pub(in crate::wire) fn all_containers(&self) -> impl Iterator<Item = (FieldPath, &Container)> {
        let lists = [("initContainers", &self.init_containers), ("containers", &self.containers)];
        lists.into_iter().flat_map(|(list, containers)| {
            let place = move |index: usize| FieldPath::from([list]).child(index);
            containers.iter().enumerate().map(move |(index, container)| (place(index), container))
        })
    }
}
