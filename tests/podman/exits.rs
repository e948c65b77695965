//! Ends of processes are noticed at once, and podman is left alone otherwise.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::RecvTimeoutError;
use device_worker_ng::agent::{
    Event,
    order::{Container, ContainerState, Task},
    workload::Workload,
};
use serde_json::json;

use crate::bed::{Bed, ENGINE, OBEDIENT, container, socket, states, workload};

fn kill(pid: &serde_json::Value) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

fn exit_of(bed: &Bed, workload: &Workload, within: Duration) {
    let event = bed.events.recv_timeout(within).expect("the exit was not noticed");
    assert_eq!(event, Event::Exited(ENGINE, workload.id.clone()));
}

fn nothing(bed: &Bed, within: Duration) {
    assert_eq!(bed.events.recv_timeout(within), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_killed_container_is_noticed_within_a_second_and_read_as_137() {
    let Some(socket) = socket("a_killed_container_is_noticed_within_a_second_and_read_as_137") else {
        return;
    };
    let bed = Bed::new(socket);
    let workload =
        workload("killed", json!({ "containers": [container("a", OBEDIENT), container("b", OBEDIENT)] }));
    bed.start(&workload);
    kill(&bed.state(&workload.id, "a")["Pid"]);
    exit_of(&bed, &workload, Duration::from_secs(1));
    assert_eq!(states(&bed.look(&workload)), ["a exited 137", "b running"]);
    // the other one was registered anew by that look, and is told of once
    kill(&bed.state(&workload.id, "b")["Pid"]);
    exit_of(&bed, &workload, Duration::from_secs(1));
    nothing(&bed, Duration::from_millis(700));
    assert_eq!(states(&bed.look(&workload)), ["a exited 137", "b exited 137"]);
}

#[test]
fn an_exit_code_and_the_run_time_are_read() {
    let Some(socket) = socket("an_exit_code_and_the_run_time_are_read") else { return };
    let bed = Bed::new(socket);
    let workload = workload("seven", json!({ "containers": [container("a", "sleep 2; exit 7")] }));
    bed.start(&workload);
    exit_of(&bed, &workload, Duration::from_secs(10));
    match &bed.look(&workload).containers[..] {
        [Container { name, state: ContainerState::Exited { code: 7, ran, .. } }] if name == "a" => {
            assert!((1900..4000).contains(&ran.as_millis()), "{ran:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_container_that_ends_at_once_is_never_missed() {
    let Some(socket) = socket("a_container_that_ends_at_once_is_never_missed") else { return };
    let bed = Bed::new(socket);
    for _ in 0..5 {
        let workload = workload("brief", json!({ "containers": [container("a", "exit 3")] }));
        // whether the start saw it run or not: either it says so, or an exit follows
        if states(&bed.start(&workload)) == ["a running"] {
            exit_of(&bed, &workload, Duration::from_secs(5));
        }
        assert_eq!(states(&bed.look(&workload)), ["a exited 3"]);
        bed.remove(&workload).unwrap();
        nothing(&bed, Duration::from_millis(100));
    }
}

#[test]
fn a_container_whose_conmon_is_killed_is_still_watched() {
    let Some(socket) = socket("a_container_whose_conmon_is_killed_is_still_watched") else { return };
    let bed = Bed::new(socket);
    if bed.lacks_cgroups() {
        return; // nothing but its conmon tells whose process this is
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
    exit_of(&bed, &workload, Duration::from_secs(1));
    assert_eq!(states(&bed.look(&workload)), ["a stuck: its process is gone, and podman doesn't know"]);
}

#[test]
fn a_removed_pod_is_forgotten_and_holds_no_descriptor() {
    let Some(socket) = socket("a_removed_pod_is_forgotten_and_holds_no_descriptor") else { return };
    let bed = Bed::new(socket);
    let workload = workload("forgotten", json!({ "containers": [container("a", OBEDIENT)] }));
    bed.start(&workload);
    let state = bed.state(&workload.id, "a");
    assert_eq!(watches(&state["Pid"]) + watches(&state["ConmonPid"]), 2);
    bed.remove(&workload).unwrap();
    assert_eq!(watches(&state["Pid"]) + watches(&state["ConmonPid"]), 0);
    nothing(&bed, Duration::from_millis(500));
}

#[test]
fn an_agent_in_another_pid_namespace_hears_of_exits_by_events() {
    let name = "an_agent_in_another_pid_namespace_hears_of_exits_by_events";
    let Some(socket) = socket(name) else { return };
    if std::env::var_os("ELSEWHERE").is_none() {
        // this very test again, where no process of podman can be seen
        let mut there = Command::new("unshare");
        there.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(std::env::current_exe().unwrap());
        let output =
            there.args(["--exact", &format!("exits::{name}")]).env("ELSEWHERE", "1").output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let bed = Bed::new(socket);
    let first = workload("far", json!({ "containers": [container("a", "sleep 2; exit 7")] }));
    let second = workload(
        "farther",
        json!({ "containers": [container("a", "sleep 4; exit 8"), container("b", OBEDIENT)] }),
    );
    let ticket = bed.submit(Task::Start(first.clone()));
    // said once, at the first pod
    let (mut notices, mut outcomes) = (0, 0);
    for event in
        [&bed.events, &bed.events].map(|events| events.recv_timeout(Duration::from_secs(30)).unwrap())
    {
        match event {
            Event::Notice(_) => notices += 1,
            Event::Done(outcome) if outcome.ticket == ticket => outcomes += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((notices, outcomes), (1, 1));
    let ticket = bed.submit(Task::Start(second.clone()));
    let mut events = Vec::new();
    for _ in 0..3 {
        match bed.events.recv_timeout(Duration::from_secs(30)).unwrap() {
            Event::Done(outcome) if outcome.ticket == ticket => events.push("second started".to_owned()),
            Event::Exited(_, id) if id == first.id => events.push("first exited".to_owned()),
            Event::Exited(_, id) if id == second.id => events.push("second exited".to_owned()),
            other => events.push(format!("{other:?}")),
        }
    }
    events.sort_unstable();
    assert_eq!(events, ["first exited", "second exited", "second started"]);
    assert_eq!(states(&bed.look(&first)), ["a exited 7"]);
    assert_eq!(states(&bed.look(&second)), ["a exited 8", "b running"]);
}

/// How many of this process's descriptors stand for that process.
fn watches(pid: &serde_json::Value) -> usize {
    let fds = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos = fds.filter_map(|fd| std::fs::read_to_string(fd.ok()?.path()).ok());
    infos.filter(|info| info.lines().any(|line| line == format!("Pid:\t{pid}"))).count()
}

#[test]
fn an_idle_executor_asks_podman_for_nothing() {
    let Some(socket) = socket("an_idle_executor_asks_podman_for_nothing") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (proxy, connections) = counting_proxy(dir.path(), socket);
    let bed = Bed::new(proxy);
    let workload = workload("idle", json!({ "containers": [container("a", OBEDIENT)] }));
    bed.start(&workload);
    let before = connections.load(Ordering::Relaxed);
    assert!(before >= 3, "{before}");
    nothing(&bed, Duration::from_secs(3));
    assert_eq!(connections.load(Ordering::Relaxed), before);
    bed.list();
    assert_eq!(connections.load(Ordering::Relaxed), before + 1);
}

/// A socket in front of podman's that counts: a request is a connection.
fn counting_proxy(dir: &Path, podman: PathBuf) -> (PathBuf, Arc<AtomicUsize>) {
    let path = dir.join("proxy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    thread::spawn(move || {
        for client in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            let client = client.unwrap();
            let server = UnixStream::connect(&podman).unwrap();
            pump(client.try_clone().unwrap(), server.try_clone().unwrap());
            pump(server, client);
        }
    });
    (path, connections)
}

fn pump(mut from: UnixStream, mut to: UnixStream) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(amount @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..amount]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}
