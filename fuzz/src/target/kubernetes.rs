//! What a Kubernetes API server answers.

use device_worker_ng::{
    agent::model::deployment::Rollout,
    wire::kubernetes::{is_ours, parse_deployment_list, read, resource_version},
};
use serde_json::Value;

pub(super) fn run(input: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Value>(input) else { return };
    is_ours(&answer, "owner");
    let object = read(&answer);
    assert_eq!(object, read(&answer));
    if matches!(object.rollout, Rollout::Available) {
        let status = &answer["status"];
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let wanted = number(&answer["spec"]["replicas"]);
        assert!(number(&status["availableReplicas"]) >= wanted, "available without being so: {answer}");
    }
    assert!(object.dependents.iter().all(|name| !name.contains(char::is_whitespace)));
    if let Some((found, from)) = parse_deployment_list(&answer, "owner") {
        assert_eq!(Some(from), resource_version(&answer));
        let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), items.iter().filter(|item| is_ours(item, "owner")).count(), "of others");
    }
}
