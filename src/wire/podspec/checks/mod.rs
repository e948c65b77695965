//! What the shape of a specification alone doesn't say: names that stand twice, what refers to nothing, values that
//! exclude each other. As the API server checks it.

mod containers;
mod handlers;
mod image;
mod pods;
mod references;
mod volumes;

use super::{
    container::Container,
    pod::PodSpec,
    reader::{Class, Notes},
};

/// Adds what is wrong to the notes of a specification that was read.
pub(super) fn check(spec: &PodSpec, notes: &mut Notes) {
    pods::check(spec, notes);
    volumes::check(spec, notes);
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for (list, containers) in [("initContainers", &spec.init_containers), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            notes.at([list.into(), index.into()], |notes| {
                name(container, &mut names, notes);
                containers::check(container, spec, list == "initContainers", &mut ports, notes);
            });
        }
    }
}

fn name<'a>(container: &'a Container, names: &mut Vec<&'a str>, notes: &mut Notes) {
    let name = &*container.name.0;
    if !name.is_empty() && names.contains(&name) {
        notes.below("name", |notes| notes.add(Class::Shape, format!("`{name}` names two containers")));
    }
    names.push(name);
}
