//! What a container asks for after its start and before its end is done, and holds nothing up for ever.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use device_worker_ng::agent::{
    Event,
    model::{
        order::{Fact, Grace, Order, Pod, Task, Ticket},
        workload::{Workload, WorkloadId},
    },
};
use serde_json::json;
use tempfile::TempDir;

use super::{
    bed::{Bed, ENGINE, container, pod, states, workload},
    mending::{end, ended, restart},
};
use crate::support::{IMAGE, SLEEP, pause, poll};

/// Ends as soon as it is asked to.
const OBEDIENT: &str = "trap exit TERM; while :; do sleep 0.1; done";

#[test]
fn a_hook_that_fails_before_the_end_is_said_and_the_pod_goes_all_the_same() {
    let Some(bed) = Bed::new() else { return };
    let mut a = container("a", OBEDIENT);
    a["lifecycle"] = json!({ "preStop": { "exec": { "command": ["sh", "-c", "echo no server; exit 4"] } } });
    let w = workload("pre", json!({ "containers": [a] }));
    let before = bed.another();
    before.start(&w);
    std::mem::forget(before); // it hears of what the next one does
    // another process of the agent, which has never seen the manifest
    bed.list();
    let ticket = bed.submit(Task::Remove { id: w.id.clone(), grace: Grace::Given(Duration::from_secs(20)) });
    let said = match bed.events.recv_timeout(Duration::from_secs(30)).unwrap() {
        Event::Notice(notice) => notice.message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        said,
        format!(
            "pod '{}', container 'a': its preStop hook failed, and it is stopped all the same: exit code 4: no server",
            w.id
        )
    );
    let outcome = bed.outcome();
    assert_eq!((outcome.ticket, outcome.result), (ticket, Ok(Fact::Gone)));
    assert_eq!(bed.remains(&w.id), [""; 0]);
}

#[test]
fn a_start_that_waits_for_a_hook_is_cut_short_at_once() {
    let Some(bed) = Bed::new() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for hook in [
        json!({ "sleep": { "seconds": 10 } }),
        json!({ "exec": { "command": ["sleep", "100"] } }),
        json!({ "httpGet": { "host": "127.0.0.1", "port": port } }),
    ] {
        let mut a = container("a", OBEDIENT);
        a["lifecycle"] = json!({ "postStart": hook });
        let w = workload("post", json!({ "containers": [a] }));
        let start = bed.submit(Task::Start(w.clone(), None));
        let name = format!("{}-a", w.id);
        let runs = || bed.get(&format!("containers/{name}/json"))["State"]["Running"] == true;
        while !runs() {
            pause(50);
        }
        let (ticket, task) = (Ticket(u64::MAX), Task::Cancel(w.id.clone()));
        assert!(bed.podman.submit(Order { engine: ENGINE, ticket, task }).is_some());
        let begin = Instant::now();
        let outcome = bed.outcome();
        assert_eq!((outcome.ticket, outcome.result), (start, Ok(Fact::Gone)));
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        assert_eq!(bed.remains(&w.id), [""; 0]);
    }
}

/// Waits until this container runs, and its hook has begun.
fn is_in_its_hook(bed: &Bed, id: &WorkloadId, begun: &Path) {
    let name = format!("{id}-a");
    poll(|| begun.exists().then_some(())).expect("the hook");
    assert_eq!(bed.get(&format!("containers/{name}/json"))["State"]["Running"], true);
}

/// A container whose hook takes long, unless the directory says that it need not.
fn hooked(name: &str, directory: &Path) -> Arc<Workload> {
    let mut a = container("a", OBEDIENT);
    let hook = "touch /d/begun; [ -e /d/quick ] || sleep 100";
    a["lifecycle"] = json!({ "postStart": { "exec": { "command": ["sh", "-c", hook] } } });
    a["volumeMounts"] = json!([{ "name": "d", "mountPath": "/d" }]);
    let volumes = json!([{ "name": "d", "hostPath": { "path": directory } }]);
    workload(name, json!({ "containers": [a], "volumes": volumes }))
}

fn shared_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

#[test]
fn a_hook_that_was_cut_off_by_the_end_of_an_agent_is_told_to_the_next_one_until_it_is_over() {
    let Some(bed) = Bed::new() else { return };
    let directory = shared_directory();
    let w = hooked("cut", directory.path());
    let before = bed.successor();
    before.submit(Task::Start(w.clone(), None));
    is_in_its_hook(&bed, &w.id, &directory.path().join("begun"));
    std::mem::forget(before); // what it hears is told to nothing
    for _ in 0..2 {
        let found = bed.look(&w);
        let why = "container 'a': its postStart hook was cut off when the agent ended".to_owned();
        assert_eq!(
            (states(&found), found.failed_starts),
            (vec!["a running".to_owned()], vec![("a".into(), why)])
        );
    }
    let at = ended(&end(&bed, &w, "a"), "a");
    fs::write(directory.path().join("quick"), "").unwrap();
    let again = restart(&bed, &w, "a", at);
    assert_eq!((states(&again), again.failed_starts), (vec!["a running".to_owned()], vec![]));
    assert_eq!(bed.look(&w).failed_starts, []);
}

#[test]
fn a_hook_of_a_container_that_is_started_again_does_not_hold_up_the_end_of_its_pod() {
    let Some(bed) = Bed::new() else { return };
    let directory = shared_directory();
    let (quick, begun) = (directory.path().join("quick"), directory.path().join("begun"));
    fs::write(&quick, "").unwrap();
    let w = hooked("again", directory.path());
    bed.start(&w);
    let at = ended(&end(&bed, &w, "a"), "a");
    let (id, grace) = (w.id.clone(), Duration::from_secs(5));
    [quick, begun.clone()].iter().for_each(|file| fs::remove_file(file).unwrap());
    let restart = bed.submit(Task::Restart { id: id.clone(), container: "a".into(), ended: at });
    is_in_its_hook(&bed, &w.id, &begun);
    let begin = Instant::now();
    let remove = bed.submit(Task::Remove { id, grace: Grace::Given(grace) });
    let mut over = [bed.outcome().ticket, bed.outcome().ticket];
    over.sort();
    assert_eq!(over, [restart, remove]);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(bed.remains(&w.id), [""; 0]);
}

#[test]
fn a_container_that_cannot_be_started_keeps_no_other_from_it_and_is_started_in_its_pod() {
    let Some(bed) = Bed::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let tool = directory.path().join("tool");
    let b = json!({ "name": "b", "image": IMAGE, "command": ["/d/tool"],
        "volumeMounts": [{ "name": "d", "mountPath": "/d" }] });
    let volumes = json!([{ "name": "d", "hostPath": { "path": directory.path() } }]);
    let both = json!({ "containers": [b.clone(), container("a", SLEEP)], "volumes": volumes.clone() });
    let w = workload("partly", both);
    let Pod { failed_starts, .. } = bed.start(&w);
    let [(name, why)] = &failed_starts[..] else { panic!("{failed_starts:?}") };
    assert!(name == "b" && why.contains("/d/tool"), "{why}");
    let found = states(&bed.look(&w));
    assert_eq!((&*found[0], found[1].starts_with("a running")), ("b stuck: it is created", true));
    let pid = bed.state(&w.id, "a")["Pid"].clone();
    fs::write(&tool, format!("#!/bin/sh\n{SLEEP}\n")).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let (id, container) = (w.id.clone(), "b".to_owned());
    let again = pod(bed.order(Task::Restart { id, container, ended: std::time::SystemTime::now() }));
    assert_eq!(states(&again), ["b running", "a running"]);
    assert_eq!(bed.state(&w.id, "a")["Pid"], pid);
    // alone, its pod is as good as none
    fs::remove_file(&tool).unwrap();
    let alone = workload("alone", json!({ "containers": [b], "volumes": volumes }));
    assert!(bed.order(Task::Start(alone.clone(), None)).is_err());
    assert_eq!(bed.remains(&alone.id), [""; 0]);
}
