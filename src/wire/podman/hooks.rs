//! What containers ask for after their start and before their stop. It stands in a label of the pod, as JSON: so it is
//! known as long as the pod is there, also to an agent that has no manifest of it any more.

use std::time::Duration;

use serde_json::Value;

use crate::agent::model::probe::{Check, ProbeHost};

/// The label of a pod with what its containers ask for after their start and before their stop.
pub const HOOKS_LABEL: &str = "project-flotta.io/hooks";

/// When a hook runs; called as in a specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// Right after the container's start.
    PostStart,
    /// Before the container is asked to end.
    PreStop,
}

impl HookPoint {
    /// Its name in a specification.
    pub const fn field_name(self) -> &'static str {
        match self {
            Self::PostStart => "postStart",
            Self::PreStop => "preStop",
        }
    }
}

/// What a hook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// As a probe does.
    Ask(Check),
    /// Nothing, for so long.
    Sleep(Duration),
}

/// The hook of this container, of what the label says.
pub fn read(label: &str, container: &str, when: HookPoint) -> Option<Hook> {
    let all: Value = serde_json::from_str(label).ok()?;
    let hook = &all[container][when.field_name()];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(command) = hook["exec"].as_array() {
        return Some(Hook::Ask(Check::Exec(command.iter().filter_map(text).collect())));
    }
    if let Some(seconds) = hook["sleep"].as_u64() {
        return Some(Hook::Sleep(Duration::from_secs(seconds)));
    }
    let http = &hook["httpGet"];
    let header = |pair: &Value| Some((text(&pair[0])?, text(&pair[1])?));
    Some(Hook::Ask(Check::Http {
        host: text(&http["host"]).map_or(ProbeHost::Pod, ProbeHost::Named),
        port: http["port"].as_u64().and_then(|port| u16::try_from(port).ok())?,
        path: text(&http["path"])?,
        headers: http["headers"].as_array()?.iter().filter_map(header).collect(),
    }))
}
