//! What can be known of a start before anything has to go for it.

use std::{net::TcpListener, sync::Arc};

use device_worker_ng::agent::model::{
    order::{Fact, Failure, Task},
    workload::{Workload, WorkloadId},
};
use serde_json::json;

use super::bed::{Bed, container, workload};
use crate::support::SLEEP;

fn rehearse(bed: &Bed, workload: &Arc<Workload>) -> Result<Vec<(String, WorkloadId)>, String> {
    rehearse_as(bed, workload, false)
}

fn rehearse_as(
    bed: &Bed,
    workload: &Arc<Workload>,
    moves: bool,
) -> Result<Vec<(String, WorkloadId)>, String> {
    let before = bed.list();
    let result = bed.order(Task::Rehearse { workload: workload.clone(), moves });
    assert_eq!(bed.list(), before, "what was made for it is gone, and what runs isn't touched");
    assert_eq!(
        bed.remains(&WorkloadId::from_pod_name(&format!("rehearsal-{}", &workload.hash[..12]))),
        [""; 0]
    );
    match result {
        Ok(Fact::Fit { fetched, holders }) => {
            assert_eq!(fetched, []);
            Ok(holders)
        }
        Err(Failure::Workload(why)) => Err(why),
        other => panic!("{other:?}"),
    }
}

fn with_port(name: &str, port: u16) -> Arc<Workload> {
    let mut container = container("a", SLEEP);
    container["ports"] = json!([{ "containerPort": 80, "hostPort": port }]);
    workload(name, json!({ "containers": [container] }))
}

#[test]
fn what_podman_would_refuse_is_known_while_the_old_pod_runs() {
    let Some(bed) = Bed::new() else { return };
    let volume = |path: &str| {
        let mut container = container("a", SLEEP);
        container["volumeMounts"] = json!([{ "name": "v", "mountPath": "/v" }]);
        let volumes = json!([{ "name": "v", "hostPath": { "path": path, "type": "Directory" } }]);
        workload("checked", json!({ "containers": [container], "volumes": volumes }))
    };
    let here = tempfile::tempdir().unwrap();
    let good = volume(here.path().to_str().unwrap());
    assert_eq!(rehearse(&bed, &good), Ok(vec![]));
    bed.start(&good);
    assert_eq!(rehearse(&bed, &good), Ok(vec![]), "with its own pod here, as for a restart");
    let why = rehearse(&bed, &volume("/no/such/directory")).unwrap_err();
    assert!(why.contains("/no/such/directory") && !why.contains("rehearsal-"), "{why}");
    let mut missing = container("a", SLEEP);
    missing["image"] = "localhost/missing:1".into();
    missing["imagePullPolicy"] = "Never".into();
    let why = rehearse(&bed, &workload("checked", json!({ "containers": [missing] }))).unwrap_err();
    assert!(why.contains("localhost/missing:1"), "{why}");
}

#[test]
fn a_host_port_that_is_taken_is_known_with_its_holder() {
    let Some(bed) = Bed::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let wants = with_port("wants", port);
    let refused = rehearse(&bed, &wants).unwrap_err();
    let this = format!("' (process {})", std::process::id());
    assert!(refused.starts_with(&format!("host port {port}/tcp is taken by '")), "{refused}");
    assert!(refused.ends_with(&this), "{refused}");
    assert_eq!(rehearse_as(&bed, &wants, true), Ok(vec![]), "it may be its own pod's, on another podman");
    drop(listener);
    assert_eq!(rehearse(&bed, &wants), Ok(vec![]));
    let has = with_port("has", port);
    bed.start(&has);
    assert_eq!(rehearse(&bed, &wants), Ok(vec![(format!("{port}/tcp"), has.id.clone())]));
    let other = Bed::new().unwrap();
    let why = rehearse(&other, &wants).unwrap_err();
    assert_eq!(why, format!("host port {port}/tcp is taken by pod '{}', which isn't this agent's", has.id));
}
