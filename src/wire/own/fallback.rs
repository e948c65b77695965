//! What the agent writes down of updates that may have to be taken back.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    agent::model::{
        fallback::{FailedContent, Fallback, Fallbacks},
        gather::gather,
        workload::{Content, WorkloadId},
    },
    wire::{manifest::from_stored_content, strict},
};

#[derive(Serialize, Deserialize)]
struct KeptFallback {
    content: Content,
    failed: Option<WorkloadId>,
    #[serde(default)]
    cause: String,
    #[serde(default)]
    by_hand: bool,
}

/// As it is kept.
///
/// # Errors
/// None that content from a manifest could cause.
pub fn to_bytes(fallbacks: &Fallbacks) -> Result<Vec<u8>, serde_json::Error> {
    let kept: BTreeMap<&str, KeptFallback> =
        gather(fallbacks.iter().map(|(name, Fallback { good, failed })| {
            let by_hand = failed.as_ref().is_some_and(|it| it.by_hand);
            let (failed, cause) = failed.as_ref().map(|it| (it.id.clone(), it.cause.clone())).unzip();
            (
                &**name,
                KeptFallback {
                    content: good.content.clone(),
                    failed,
                    cause: cause.unwrap_or_default(),
                    by_hand,
                },
            )
        }));
    serde_json::to_vec(&kept)
}

/// What was kept.
///
/// # Errors
/// It was not written by this version of the agent.
pub fn from_bytes(bytes: &[u8]) -> Result<Fallbacks, serde_json::Error> {
    let kept: BTreeMap<Arc<str>, KeptFallback> = strict::from_json(bytes)?;
    let mut fallbacks = Fallbacks::new();
    for (name, KeptFallback { content, failed, cause, by_hand }) in kept {
        let failed = failed.map(|id| FailedContent { id, cause, by_hand });
        fallbacks.insert(name, Fallback { good: Arc::new(from_stored_content(content)?), failed });
    }
    Ok(fallbacks)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::{
        model::{confidential::Confidential, workload::RestartPolicy},
        tests::workload,
    };

    #[test]
    fn what_was_kept_comes_back_with_the_same_id() {
        let mut content = workload("w", 2).content;
        content.secrets = Confidential(json!({ "s": { "k": "dg==" } }));
        content.auth = Confidential("{\"auths\": {}}".into());
        content.specification.edit(|it| {
            it["restartPolicy"] = "OnFailure".into();
            it["terminationGracePeriodSeconds"] = 3.into();
            it["containers"][0]["livenessProbe"] = json!({ "tcpSocket": { "port": 80 } });
        });
        let good = from_stored_content(content).unwrap();
        assert_eq!((good.restart, good.grace.as_secs(), good.probes.len()), (RestartPolicy::OnFailure, 3, 1));
        let failed =
            Some(FailedContent { id: workload("w", 1).id, cause: "no such command".into(), by_hand: true });
        let fallbacks: Fallbacks = [("w".into(), Fallback { good: Arc::new(good), failed })].into();
        assert_eq!(from_bytes(&to_bytes(&fallbacks).unwrap()).unwrap(), fallbacks);
    }

    #[test]
    fn what_was_kept_before_there_were_secrets_is_read() {
        let fallback =
            |content| Fallback { good: Arc::new(from_stored_content(content).unwrap()), failed: None };
        let fallbacks: Fallbacks = [("w".into(), fallback(workload("w", 1).content))].into();
        let kept = String::from_utf8(to_bytes(&fallbacks).unwrap()).unwrap();
        let before =
            kept.replace(r#""secrets":null,"auth":null,"#, "").replace(r#","cause":"","by_hand":false"#, "");
        assert!(!before.contains("secrets") && !before.contains("cause"), "{before}");
        assert_eq!(from_bytes(before.as_bytes()).unwrap(), fallbacks);
    }

    #[test]
    fn nonsense_is_an_error() {
        for nonsense in ["", "[]", r#"{"w": {}}"#, r#"{"w": null}"#] {
            assert!(from_bytes(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
    }
}
