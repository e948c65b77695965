//! What the agent writes down of updates that may have to be taken back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::agent::{
    update::{Fallback, Fallbacks},
    workload::{Content, RestartPolicy, Workload, WorkloadId},
};

#[derive(Serialize, Deserialize)]
struct Kept {
    content: Content,
    restart: RestartPolicy,
    /// Seconds.
    grace: u64,
    failed: Option<WorkloadId>,
}

/// As it is kept.
///
/// # Errors
/// None that content from a manifest could cause.
pub fn to_bytes(fallbacks: &Fallbacks) -> Result<Vec<u8>, serde_json::Error> {
    let kept: BTreeMap<&str, Kept> = fallbacks
        .iter()
        .map(|(name, Fallback { good, failed })| {
            let (content, failed) = (good.content.clone(), failed.clone());
            (&**name, Kept { content, restart: good.restart, grace: good.grace.as_secs(), failed })
        })
        .collect();
    serde_json::to_vec(&kept)
}

/// What was kept.
///
/// # Errors
/// It was not written by this version of the agent.
pub fn from_bytes(bytes: &[u8]) -> Result<Fallbacks, serde_json::Error> {
    let kept: BTreeMap<Arc<str>, Kept> = serde_json::from_slice(bytes)?;
    let fallback = |(name, Kept { content, restart, grace, failed })| {
        let good = Workload { restart, grace: Duration::from_secs(grace), ..Workload::new(content) };
        (name, Fallback { good: Arc::new(good), failed })
    };
    Ok(kept.into_iter().map(fallback).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::workload;

    #[test]
    fn what_was_kept_comes_back_with_the_same_id() {
        let mut good = workload("w", 2);
        (good.restart, good.grace) = (RestartPolicy::OnFailure, Duration::from_secs(3));
        let failed = Some(workload("w", 1).id);
        let fallbacks: Fallbacks = [("w".into(), Fallback { good: Arc::new(good), failed })].into();
        assert_eq!(from_bytes(&to_bytes(&fallbacks).unwrap()).unwrap(), fallbacks);
    }

    #[test]
    fn nonsense_is_an_error() {
        for nonsense in ["", "[]", r#"{"w": {}}"#, r#"{"w": null}"#] {
            assert!(from_bytes(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
    }
}
