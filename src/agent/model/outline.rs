//! What the rules need of a pod specification, read from it once: no tick parses it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{pressure::Resource, quantity::parse_bytes};

/// A pod in outline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The names of its containers, without the following.
    pub containers: Box<[Box<str>]>,
    /// The names of init containers that go on.
    pub sidecars: Box<[Box<str>]>,
    /// What becomes of those that don't leave it to the pod.
    policies: Box<[(Box<str>, RestartPolicy)]>,
    memory: ResourceRequest,
    disk: ResourceRequest,
}

/// What happens when a container of the pod ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Start it again after any exit.
    #[default]
    Always,
    /// Start it again after an exit code that isn't 0.
    OnFailure,
    /// Leave it as it ended.
    Never,
}

/// What its containers may use together of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ResourceRequest {
    /// Of each the request, else the limit.
    bytes: u64,
    /// How many say neither.
    silent: u32,
}

impl Outline {
    /// Of this specification, which was found valid.
    pub fn of(specification: &Value) -> Self {
        let list = |list: &str| specification[list].as_array().map_or(&[][..], Vec::as_slice);
        let sidecars: Vec<_> =
            list("initContainers").iter().filter(|it| it["restartPolicy"] == "Always").collect();
        let containers: Vec<_> = list("containers").iter().collect();
        let names = |list: &[&Value]| {
            list.iter().map(|it| it["name"].as_str().unwrap_or_default().into()).collect::<Box<[_]>>()
        };
        let policy = |it: &&Value| {
            let policy = RestartPolicy::deserialize(&it["restartPolicy"]).ok()?;
            Some((it["name"].as_str()?.into(), policy))
        };
        let policies = containers.iter().filter_map(policy).collect();
        let asked =
            |key| ResourceRequest::of(containers.iter().chain(&sidecars).map(|it| &it["resources"]), key);
        let (memory, disk) = (asked("memory"), asked("ephemeral-storage"));
        Self { containers: names(&containers), sidecars: names(&sidecars), policies, memory, disk }
    }

    /// What becomes of this container when it ends, if it doesn't leave that to the pod.
    pub fn container_restart_policy(&self, container: &str) -> Option<RestartPolicy> {
        self.policies.iter().find(|(name, _)| **name == *container).map(|(_, policy)| *policy)
    }

    /// Whether the container is there for the others.
    pub fn is_sidecar(&self, container: &str) -> bool {
        self.sidecars.iter().any(|name| **name == *container)
    }

    /// What its containers may use together: of each the request, else the limit, else the `default` limit of memory.
    pub fn requested_bytes(&self, resource: Resource, default: u64) -> u64 {
        match resource {
            Resource::Memory => {
                self.memory.bytes.saturating_add(default.saturating_mul(self.memory.silent.into()))
            }
            Resource::Disk => self.disk.bytes,
            Resource::Cpu => 0, // no workload goes for it
        }
    }
}

impl ResourceRequest {
    fn of<'a>(resources: impl Iterator<Item = &'a Value>, key: &str) -> Self {
        resources.fold(Self::default(), |Self { bytes, silent }, resources| {
            match parse_quantity(&resources["requests"][key]).or(parse_quantity(&resources["limits"][key])) {
                Some(asked) => Self { bytes: bytes.saturating_add(asked), silent },
                None => Self { bytes, silent: silent.saturating_add(1) },
            }
        })
    }
}

fn parse_quantity(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => parse_bytes(text),
        Value::Number(number) => parse_bytes(&number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_and_sidecars_ask_together_and_what_says_nothing_has_the_default() {
        let outline = Outline::of(&json!({
            "initContainers": [
                {"name": "once", "resources": {"requests": {"memory": "1Gi"}}},
                {"name": "side", "restartPolicy": "Always", "resources": {"limits": {"memory": 100}}},
            ],
            "containers": [
                {"name": "a", "resources": {"requests": {"memory": "1Ki"}, "limits": {"memory": "1Mi"}}},
                {"name": "b", "restartPolicy": "OnFailure"},
            ],
        }));
        assert_eq!(outline.containers, ["a".into(), "b".into()].into());
        assert!(outline.is_sidecar("side") && !outline.is_sidecar("once") && !outline.is_sidecar("a"));
        let policies = ["a", "b", "side"].map(|name| outline.container_restart_policy(name));
        assert_eq!(policies, [None, Some(RestartPolicy::OnFailure), None]);
        assert_eq!(outline.requested_bytes(Resource::Memory, 7), 1024 + 100 + 7);
        assert_eq!(outline.requested_bytes(Resource::Disk, 7), 0);
    }
}
