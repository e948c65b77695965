//! Containers are asked whether they are well, and what they can't answer in time is cut.

use std::{fs, sync::Arc, time::Duration};

use device_worker_ng::agent::model::{
    order::{Fact, Failure, Task},
    probe::{Check, Probe, ProbeHost},
    workload::Workload,
};
use serde_json::json;

use super::bed::{Bed, container, workload};
use crate::support::{SLEEP, poll, skip};

fn probe(bed: &Bed, workload: &Workload, check: Check) -> Result<Fact, Failure> {
    let second = Duration::from_secs(1);
    let probe = Probe {
        check,
        initial_delay: Duration::ZERO,
        period: second,
        timeout: second,
        failure_threshold: 1,
        success_threshold: 1,
    };
    bed.order(Task::Probe { id: workload.id.clone(), container: "a".into(), probe: Arc::new(probe) })
}

/// What is wrong with it; nothing if it is well.
fn complaint(bed: &Bed, workload: &Workload, check: Check) -> Option<String> {
    match probe(bed, workload, check) {
        Ok(Fact::Probed { healthy, output }) => (!healthy).then_some(output),
        other => panic!("{other:?} instead of an answer to a probe"),
    }
}

fn exec(command: &[&str]) -> Check {
    Check::Exec(command.iter().map(ToString::to_string).collect())
}

fn get(port: u16, path: &str) -> Check {
    Check::Http { host: ProbeHost::Pod, port, path: path.into(), headers: vec![("X-Y".into(), "z".into())] }
}

#[test]
fn a_command_tells_by_its_exit_code_and_its_last_line() {
    let Some(bed) = Bed::new() else { return };
    let w = workload("exec", json!({ "containers": [container("a", &format!("touch /ok; {SLEEP}"))] }));
    bed.start(&w);
    assert_eq!(poll(|| complaint(&bed, &w, exec(&["test", "-e", "/ok"])).is_none().then_some(())), Some(()));
    assert_eq!(complaint(&bed, &w, exec(&["test", "-e", "/no"])).as_deref(), Some("exit code 1"));
    let talks = ["sh", "-c", "echo one; echo 'it is two' >&2; exit 7"];
    assert_eq!(complaint(&bed, &w, exec(&talks)).as_deref(), Some("exit code 7: it is two"));
    let missing = complaint(&bed, &w, exec(&["/nope"])).unwrap();
    assert!(missing.starts_with("exit code 127: "), "{missing}");
}

/// The processes that have this argument.
fn processes(argument: &str) -> usize {
    let commands = fs::read_dir("/proc").unwrap().flatten();
    let commands = commands.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    commands.filter(|command| command.split(|byte| *byte == 0).any(|it| it == argument.as_bytes())).count()
}

#[test]
fn a_command_that_hangs_is_cut_and_killed_with_what_it_started() {
    let Some(bed) = Bed::new() else { return };
    let w = workload("hang", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&w);
    let hangs = ["sh", "-c", "sleep 86399.5 & yes | sleep 86399.5; true"];
    assert_eq!(complaint(&bed, &w, exec(&hangs)).as_deref(), Some("its command took longer than 1 s"));
    assert_eq!(poll(|| (processes("86399.5") == 0).then_some(())), Some(()), "still there");
    // neither does one that prints without end
    assert_eq!(complaint(&bed, &w, exec(&["yes"])).as_deref(), Some("its command took longer than 1 s"));
}

#[test]
fn a_pod_on_its_own_network_is_asked_at_its_address() {
    let Some(bed) = Bed::new() else { return };
    if bed.get("info")["host"]["security"]["rootless"] == true {
        return skip("the address of a rootless pod can't be reached");
    }
    let serve = "mkdir /www; echo hi >/www/ok; nc -ll -p 81 -e sleep 60 & httpd -f -p 80 -h /www";
    let w = workload("http", json!({ "containers": [container("a", serve)] }));
    bed.start(&w);
    let up = poll(|| complaint(&bed, &w, get(80, "/ok")).is_none().then_some(()));
    assert_eq!(up, Some(()));
    assert_eq!(complaint(&bed, &w, get(80, "/no")).as_deref(), Some("status 404"));
    let is_silent = || complaint(&bed, &w, get(81, "/")).as_deref() == Some("no answer within 1 s");
    assert_eq!(poll(|| is_silent().then_some(())), Some(()));
    let tcp = |port| Check::Tcp { host: ProbeHost::Pod, port };
    assert_eq!(complaint(&bed, &w, tcp(80)), None);
    for refused in [tcp(82), get(82, "/")] {
        let complaint = complaint(&bed, &w, refused).unwrap();
        assert!(complaint.contains("refused"), "{complaint}");
    }
}

#[test]
fn a_container_that_is_not_there_gives_no_answer() {
    let Some(bed) = Bed::new() else { return };
    let w = workload("nobody", json!({ "containers": [container("a", SLEEP)] }));
    for check in [exec(&["true"]), get(80, "/")] {
        assert!(matches!(probe(&bed, &w, check), Err(Failure::Workload(_))));
    }
    let nowhere = Bed::at("/nonexistent/podman.sock".into());
    assert!(matches!(probe(&nowhere, &w, exec(&["true"])), Err(Failure::Engine(_))));
    std::mem::forget(nowhere); // it can't look for pods to remove
}
