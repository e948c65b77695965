//! What the shape of a specification alone doesn't say: names that stand twice, what refers to nothing, values that
//! exclude each other. As the API server checks it.

mod containers;
mod handlers;
mod image;
mod pods;
mod references;
mod seen;
mod volumes;

use super::{
    pod::PodSpec,
    reader::{FindingClass, ReadContext},
};
use seen::SeenNames;

/// Adds what is wrong to the notes of a specification that was read.
pub(super) fn check(spec: &PodSpec, notes: &mut ReadContext) {
    pods::check(spec, notes);
    volumes::check(spec, notes);
    let mut seen = SeenNames::with_volumes_of(spec);
    for (list, containers) in [("initContainers", &spec.init_containers), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            notes.at_path([list.into(), index.into()], |notes| {
                let name = &*container.name.0;
                if !seen.insert_container(name) {
                    let message = format!("`{name}` names two containers");
                    notes.add_at("name", FindingClass::Shape, message);
                }
                containers::check(container, spec, list == "initContainers", &mut seen, notes);
            });
        }
    }
}
