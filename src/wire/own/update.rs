//! What the agent writes down of updates that wait, or are under way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    agent::model::{
        waiting::{WaitingContent, WaitingContents},
        workload::{Content, Workload, WorkloadId},
    },
    wire::{manifest::from_stored_content, strict},
};

#[derive(Serialize, Deserialize)]
struct KeptUpdate {
    name: Arc<str>,
    to: WorkloadId,
    since: Option<u64>,
    runs: Option<Content>,
    passed: bool,
}

/// As it is kept.
///
/// # Errors
/// None that content from a manifest could cause.
pub fn to_bytes(updates: &WaitingContents) -> Result<Vec<u8>, serde_json::Error> {
    let kept = |WaitingContent { name, to, since, runs, passed }| {
        let runs = runs.map(|it: Arc<Workload>| it.content.clone());
        KeptUpdate { name, to, since, runs, passed }
    };
    let kept: Vec<KeptUpdate> = updates.iter().cloned().map(kept).collect();
    serde_json::to_vec(&kept)
}

/// What was kept.
///
/// # Errors
/// It was not written by this version of the agent.
pub fn from_bytes(bytes: &[u8]) -> Result<WaitingContents, serde_json::Error> {
    let kept: Vec<KeptUpdate> = strict::from_json(bytes)?;
    let mut updates = WaitingContents::new();
    for KeptUpdate { name, to, since, runs, passed } in kept {
        let runs = runs.map(|content| from_stored_content(content).map(Arc::new)).transpose()?;
        updates.push(WaitingContent { name, to, since, runs, passed });
    }
    Ok(updates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::workload;

    #[test]
    fn what_was_kept_comes_back_with_the_same_id() {
        let runs = Some(Arc::new(from_stored_content(workload("w", 1).content).unwrap()));
        let waits = WaitingContent {
            name: "w".into(),
            to: workload("w", 2).id,
            since: Some(1_000),
            runs,
            passed: false,
        };
        let passed = WaitingContent {
            name: "v".into(),
            to: workload("v", 2).id,
            since: None,
            runs: None,
            passed: true,
        };
        let updates: WaitingContents = vec![waits, passed];
        assert_eq!(from_bytes(&to_bytes(&updates).unwrap()).unwrap(), updates);
        for nonsense in ["", "{}", "[{}]", "[null]"] {
            assert!(from_bytes(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
    }
}
