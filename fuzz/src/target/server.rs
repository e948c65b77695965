//! What the edge API answers: a configuration, a certificate, a control message.

use device_worker_ng::wire::{
    edge_api::{cached_configuration, certificate, configuration, is_disconnect_command},
    manifest::UnknownFields,
};
use serde_json::{Value, json};

use super::workload;
use crate::promise;

const DEVICE: &str = "demo";

pub(super) fn run(input: &[u8]) {
    for refused in [certificate(input).err(), is_disconnect_command(input).err()].into_iter().flatten() {
        promise::is_sentence(&refused);
    }
    if let Ok(pem) = certificate(input) {
        assert!(!pem.is_empty());
    }
    let understood = match configuration(input, DEVICE, UnknownFields::Refuse) {
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

    let body = |content: &Value| json!({ "content": content }).to_string();
    let again = configuration(body(&understood.content).as_bytes(), DEVICE, UnknownFields::Refuse);
    assert_eq!(
        again.expect("what was understood is").meaning,
        *meaning,
        "read again, it means something else"
    );
    let kept = |content: &Value| {
        let kept = cached_configuration(body(content).as_bytes(), DEVICE);
        kept.expect("what was understood is understood again").meaning.desired
    };
    let content = understood.to_cached(None);
    assert_eq!(kept(&content), meaning.desired, "kept, it means something else");
    let content = understood.to_cached(Some(&content));
    assert_eq!(kept(&content), meaning.desired, "kept twice, it means something else");
}
