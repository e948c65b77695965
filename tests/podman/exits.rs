//! Ends of processes are noticed at once, and podman is left alone otherwise.

use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use device_worker_ng::agent::{
    Event,
    model::{
        order::{Container, ContainerState, Pod},
        workload::Workload,
    },
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::bed::{Bed, ENGINE, container, states, workload};
use crate::support::{SLEEP, poll, skip};

/// Longer than a slow machine's podman may take to clean up after an exit, and much shorter than the wait for the next
/// look at everything.
const AT_ONCE: Duration = Duration::from_secs(15);

fn kill(pid: &serde_json::Value) {
    kill_process(Pid::from_raw(pid.as_i64().unwrap() as i32).unwrap(), Signal::KILL).unwrap();
}

fn exit_of(bed: &Bed, workload: &Workload) {
    let event = bed.events.recv_timeout(AT_ONCE).expect("the exit was not noticed");
    assert_eq!(event, Event::Exited(ENGINE, workload.id.clone()));
}

fn nothing(bed: &Bed, within: Duration) {
    assert_eq!(bed.events.recv_timeout(within), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_killed_container_is_noticed_at_once_and_read_as_137() {
    let Some(bed) = Bed::new() else { return };
    let workload =
        workload("killed", json!({ "containers": [container("a", SLEEP), container("b", SLEEP)] }));
    bed.start(&workload);
    kill(&bed.state(&workload.id, "a")["Pid"]);
    exit_of(&bed, &workload);
    let killed = bed.look(&workload);
    assert_eq!(states(&killed), ["a exited 137", "b running"]);
    assert_eq!(killed.out_of_memory(), None);
    // the other one was registered anew by that look, and is told of once
    kill(&bed.state(&workload.id, "b")["Pid"]);
    exit_of(&bed, &workload);
    nothing(&bed, Duration::from_millis(700));
    assert_eq!(states(&bed.look(&workload)), ["a exited 137", "b exited 137"]);
}

#[test]
fn a_container_that_is_killed_for_want_of_memory_says_so_with_its_limit() {
    let Some(bed) = Bed::with_cgroups() else { return };
    let mut hungry = container("a", "sleep 2; exec tail /dev/zero");
    hungry["resources"] = json!({ "limits": { "memory": "24Mi" } });
    let workload = workload("hungry", json!({ "containers": [hungry] }));
    bed.start(&workload);
    assert_eq!(
        bed.events.recv_timeout(AT_ONCE * 6),
        Ok(Event::Exited(ENGINE, workload.id.clone())),
        "the exit was not noticed"
    );
    let pod = bed.look(&workload);
    assert_eq!(states(&pod), ["a exited 137"]);
    assert_eq!(pod.out_of_memory().as_deref(), Some("container 'a': out of memory: its limit is 24Mi"));
    assert_eq!(bed.look(&workload).out_of_memory(), pod.out_of_memory());
}

#[test]
fn an_exit_code_and_the_run_time_are_read() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload("seven", json!({ "containers": [container("a", "sleep 2; exit 7")] }));
    bed.start(&workload);
    exit_of(&bed, &workload);
    match &bed.look(&workload).containers[..] {
        [Container { name, state: ContainerState::Exited { code: 7, ran, .. }, .. }] if name == "a" => {
            assert!((1900..4000).contains(&ran.as_millis()), "{ran:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exit_is_known_without_podman_and_exactly_as_podman_tells_it() {
    let Some((bed, proxy)) = Bed::behind_proxy() else { return };
    let containers = [container("a", "sleep 2; exit 7"), container("b", SLEEP)];
    let workload = workload("told", json!({ "containers": containers }));
    // on a busy machine it may have ended before the start has, or podman removes what tells too soon; not each time
    let unasked = (0..10).any(|_| {
        if states(&bed.start(&workload)) != ["a running", "b running"] {
            bed.remove(&workload).unwrap();
            return false;
        }
        exit_of(&bed, &workload);
        let before = proxy.requests("").len();
        let known = bed.look(&workload);
        let unasked = proxy.requests("").len() == before;
        assert_eq!(states(&known), ["a exited 7", "b running"]);
        let without_birth = |pod: Pod| Pod { made: None, ..pod }; // that podman alone tells
        assert_eq!(without_birth(bed.look(&workload)), without_birth(known));
        assert!(proxy.requests("").len() > before, "once it was told podman is asked");
        bed.remove(&workload).unwrap();
        unasked
    });
    assert!(unasked);
}

#[test]
fn a_container_that_ends_at_once_is_never_missed() {
    let Some(bed) = Bed::new() else { return };
    for _ in 0..5 {
        let workload = workload("brief", json!({ "containers": [container("a", "exit 3")] }));
        // whether the start saw it run or not: either it says so, or an exit follows
        if states(&bed.start(&workload)) == ["a running"] {
            exit_of(&bed, &workload);
        }
        assert_eq!(states(&bed.look(&workload)), ["a exited 3"]);
        bed.remove(&workload).unwrap();
        nothing(&bed, Duration::from_millis(100));
    }
}

#[test]
fn a_container_whose_conmon_is_killed_is_still_watched() {
    let Some(bed) = Bed::new() else { return };
    if bed.lacks_cgroups() {
        return skip("nothing but its conmon tells whose process this is: podman has no cgroups");
    }
    let workload = workload(
        "orphan",
        json!({ "containers": [container("a", "trap '' TERM PIPE; while true; do sleep 1; done")] }),
    );
    bed.start(&workload);
    let state = bed.state(&workload.id, "a");
    kill(&state["ConmonPid"]);
    nothing(&bed, Duration::from_millis(500));
    assert_eq!(states(&bed.look(&workload)), ["a running"]);
    kill(&state["Pid"]);
    exit_of(&bed, &workload);
    assert_eq!(states(&bed.look(&workload)), ["a stuck: its process is gone, and podman doesn't know"]);
}

#[test]
fn a_removed_pod_is_forgotten_and_holds_no_descriptor() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload("forgotten", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&workload);
    let state = bed.state(&workload.id, "a");
    assert_eq!(watches(&state["Pid"]) + watches(&state["ConmonPid"]), 2);
    bed.remove(&workload).unwrap();
    assert_eq!(watches(&state["Pid"]) + watches(&state["ConmonPid"]), 0);
    nothing(&bed, Duration::from_millis(500));
}

/// How many of this process's descriptors stand for that process.
fn watches(pid: &serde_json::Value) -> usize {
    let fds = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos = fds.filter_map(|fd| std::fs::read_to_string(fd.ok()?.path()).ok());
    infos.filter(|info| info.lines().any(|line| line == format!("Pid:\t{pid}"))).count()
}

#[test]
fn an_idle_executor_asks_podman_for_nothing() {
    let Some((bed, proxy)) = Bed::behind_proxy() else { return };
    let workload = workload("idle", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&workload);
    bed.list();
    // after its first list it asks where podman keeps things, once
    assert!(poll(|| (!proxy.requests("info").is_empty()).then_some(())).is_some());
    let before = proxy.requests("").len();
    assert!(before >= 5, "{before}");
    nothing(&bed, Duration::from_secs(3));
    assert_eq!(proxy.requests("").len(), before);
    bed.list();
    assert_eq!(proxy.requests("").len(), before + 1);
}
