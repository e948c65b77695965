//! What the edge API answers: a configuration, a certificate, a control message.

use device_worker_ng::wire::edge_api::{certificate, configuration, disconnects, kept_configuration};
use serde_json::{Value, json};

use super::workload;
use crate::promise;

const DEVICE: &str = "demo";

pub(super) fn run(input: &[u8]) {
    for refused in [certificate(input).err(), disconnects(input).err()].into_iter().flatten() {
        promise::is_sentence(&refused);
    }
    if let Ok(pem) = certificate(input) {
        assert!(!pem.is_empty());
    }
    let understood = match configuration(input, DEVICE) {
        Ok(understood) => understood,
        Err(refused) => return promise::is_sentence(&refused),
    };
    let meaning = &understood.meaning;
    for problem in &meaning.problems {
        promise::is_cause(&problem.message);
    }
    let mut names: Vec<&str> = meaning.desired.workloads.iter().map(|it| it.name()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a workload stands twice");
    assert!(meaning.desired.unreadable.iter().all(|held| !names.contains(&held.as_str())), "held, and there");
    for workload in &meaning.desired.workloads {
        workload::holds(workload);
    }
    assert!(meaning.period.as_secs() >= 1 && meaning.period.as_secs() <= 86_400, "{:?}", meaning.period);

    let again = |content: &Value| {
        let body = json!({ "content": content }).to_string();
        kept_configuration(body.as_bytes(), DEVICE).expect("what was understood is understood again")
    };
    assert_eq!(again(&understood.content).meaning, *meaning, "kept, it means something else");
    let kept = again(&understood.to_keep(Some(&understood.content)));
    assert_eq!(kept.meaning.desired, meaning.desired, "kept twice, it means something else");
}
