//! What a workload's pod and its parts are called on podman. The pod itself has the workload's id for a name.

use std::borrow::Cow;

use crate::{agent::model::workload::WorkloadId, wire::ownership::fit_name};

/// What podman calls a container.
pub fn container_name(pod: &WorkloadId, container: &str) -> String {
    format!("{pod}-{}", podman_safe_name(container))
}

/// The container's own part of that: the name of its author, where podman takes it and it isn't one of ours.
pub fn podman_safe_name(container: &str) -> Cow<'_, str> {
    fit_name(container, |name| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_taken = [INFRA, CARRIER].contains(&name);
        name.len() <= 63
            && !is_taken
            && name.bytes().all(is_fine)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// What the agent adds to a pod has names of this form, too.
const INFRA: &str = "infra";
const CARRIER: &str = "files_";

/// What podman calls the container that holds a pod's namespaces.
pub fn infra_name(pod: &str) -> String {
    format!("{pod}-{INFRA}")
}

/// The container that never runs, by which files come into volumes.
pub fn file_copy_name(pod: &WorkloadId) -> String {
    format!("{pod}-{CARRIER}")
}

/// What all names begin with that the pod doesn't share with any other: those of its volumes, but for claims.
pub fn pod_name_prefix(pod: &WorkloadId) -> String {
    // no name of Kubernetes has an underscore, so that no other name can look like this one
    format!("{pod}_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_gets_a_name_that_podman_allows_and_no_two_the_same() {
        for fine in ["web", "nginx_1", "Main_1", "a.b"] {
            assert_eq!(podman_safe_name(fine), fine);
        }
        let odd = ["a b", "a_b ", "-a", "_", "ä", &"x".repeat(64), &"x".repeat(65), "infra", "files_"]
            .map(|it| podman_safe_name(it).into_owned());
        for name in &odd {
            assert_eq!(&podman_safe_name(name), name, "it is one that fits");
            assert_eq!(odd.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        let pod = WorkloadId::from_pod_name("p-0");
        for ours in [infra_name("p-0"), file_copy_name(&pod)] {
            let part = ours.strip_prefix("p-0-").unwrap();
            assert_ne!(container_name(&pod, part), ours);
        }
    }
}
