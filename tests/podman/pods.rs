//! What can't be had is refused, asked about and started, and leaves nothing. What a pod may have is in
//! [`conformance`](super::conformance).

use std::{os::unix::fs::symlink, sync::Arc};

use device_worker_ng::agent::model::{
    order::{Failure, Task},
    workload::Workload,
};
use serde_json::{Value, json};

use super::bed::{Bed, container, workload};
use crate::support::SLEEP;

fn refused(bed: &Bed, workload: &Arc<Workload>) -> String {
    let rehearse = Task::Rehearse { workload: workload.clone(), moves: false };
    let reasons = [rehearse, Task::Start(workload.clone(), None)].map(|task| {
        let reason = match bed.order(task) {
            Err(Failure::Workload(reason)) => reason,
            other => panic!("{other:?} instead of a refusal"),
        };
        assert_eq!(bed.remains(&workload.id), [""; 0]);
        reason
    });
    reasons.into_iter().next_back().unwrap_or_default()
}

fn with(mut specification: Value, fields: Value) -> Value {
    let mut main = container("a", SLEEP);
    main.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
    specification["containers"] = json!([main]);
    specification
}

#[test]
fn what_the_device_does_not_have_is_refused_with_its_place() {
    let Some(bed) = Bed::new() else { return };
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("dir")).unwrap();
    symlink("/etc", place.path().join("out")).unwrap();
    let host = |path: &str, kind: &str| {
        let host = json!({ "path": place.path().join(path), "type": kind });
        json!({ "volumes": [{ "name": "h", "hostPath": host }] })
    };
    let mount = |part: &str| json!({ "volumeMounts": [{ "name": "h", "mountPath": "/h", "subPath": part }] });
    let profile = json!({ "type": "Localhost", "localhostProfile": "no-such.json" });
    for (specification, expected) in [
        (with(host("", ""), mount("out")), "leads out of the volume"),
        (with(host("none/file.db", "FileOrCreate"), mount("")), "failed to make the file"),
        (with(host("dir", "Socket"), mount("")), "is no Socket"),
        (with(host("missing", ""), mount("")), "missing"),
        (with(host("missing.sock", "Socket"), mount("")), "missing.sock"),
        (with(host("dir", "Dir"), mount("")), "must be `Directory`,"),
        (with(json!({ "securityContext": { "runAsNonRoot": true } }), json!({})), "would run as root"),
        (with(json!({}), json!({ "securityContext": { "seccompProfile": profile } })), "no-such.json"),
    ] {
        let reason = refused(&bed, &workload("refused", specification));
        assert!(reason.contains(expected), "{reason}");
    }
}
