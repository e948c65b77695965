//! CPU limits of whole pods, as the kernel has them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use device_worker_ng::agent::model::{
    order::{CpuLimit, Fact, Failure, Task},
    workload::{ListedCondition, ListedProfile, Workload},
};
use serde_json::{Value, json};

use super::bed::{Bed, container, pod, states, workload};
use crate::support::{Gate, IMAGE, SLEEP, poll};

const BUSY: &str = "while :; do :; done";

fn limit(bed: &Bed, workload: &Workload, cpu: CpuLimit) -> Result<Fact, Failure> {
    bed.order(Task::Limit { id: workload.id.clone(), cpu })
}

/// The directory that bounds the CPU time of a process, of either version of control groups.
fn cpu_group(pid: i64) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        match controllers {
            "" => Some(format!("/sys/fs/cgroup{path}"))
                .filter(|dir| fs::exists(format!("{dir}/cpu.max")).unwrap()),
            _ if controllers.split(',').any(|it| it == "cpu") => {
                Some(format!("/sys/fs/cgroup/{controllers}{path}"))
            }
            _ => None,
        }
    };
    groups.lines().find_map(path).unwrap().into()
}

/// A container with a limit of its own.
fn half() -> Value {
    let mut half = container("half", BUSY);
    half["resources"] = json!({ "limits": { "cpu": "500m" } });
    half
}

/// In µs per 100,000 µs.
fn quota(group: &Path) -> i64 {
    let [unified, older] = ["cpu.max", "cpu.cfs_quota_us"].map(|file| fs::read_to_string(group.join(file)));
    unified.or(older).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn throttled(group: &Path) -> u64 {
    let stat = fs::read_to_string(group.join("cpu.stat")).unwrap();
    let line = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_limit_binds_the_whole_pod_at_once_and_can_be_lifted_again() {
    let Some(bed) = Bed::with_cgroups() else { return };
    let workload = workload("busy", json!({ "containers": [container("a", BUSY), container("b", BUSY)] }));
    assert_eq!(bed.start(&workload).cpu, None);
    let pid = bed.state(&workload.id, "a")["Pid"].as_i64().unwrap();
    let pod = cpu_group(pid).parent().unwrap().to_owned();

    assert_eq!(limit(&bed, &workload, Some(10_000)), Ok(Fact::Limited));
    assert_eq!(bed.look(&workload).cpu, Some(10_000));
    let before = throttled(&pod);
    poll(|| (throttled(&pod) > before).then_some(())).expect("the kernel throttles the pod");
    assert_eq!(limit(&bed, &workload, Some(250_000)), Ok(Fact::Limited), "more than one core");
    assert_eq!(limit(&bed, &workload, None), Ok(Fact::Limited));
    assert_eq!(bed.look(&workload).cpu, None);

    assert_eq!(bed.remove(&workload), Ok(Fact::Gone));
    assert_eq!(limit(&bed, &workload, Some(10_000)), Ok(Fact::Gone));
}

#[test]
fn a_container_with_a_limit_of_its_own_has_it_again_when_the_pods_is_lifted() {
    let Some(bed) = Bed::with_cgroups() else { return };
    let workload = workload("own", json!({ "containers": [half()] }));
    bed.start(&workload);
    let own = cpu_group(bed.state(&workload.id, "half")["Pid"].as_i64().unwrap());
    assert_eq!(quota(&own), 50_000);
    assert_eq!(limit(&bed, &workload, Some(20_000)), Ok(Fact::Limited));
    assert_eq!(limit(&bed, &workload, Some(30_000)), Ok(Fact::Limited));
    assert_eq!(limit(&bed, &workload, None), Ok(Fact::Limited));
    assert_eq!(quota(&own), 50_000);
    bed.remove(&workload).unwrap();
}

/// A workload with a condition that may give it a limit.
fn bounded(name: &str, specification: Value) -> Arc<Workload> {
    let mut workload = Arc::unwrap_or_clone(workload(name, specification));
    let conditions = vec![ListedCondition { name: "c".into(), cpu: Some(20_000) }];
    workload.profiles = vec![ListedProfile { name: "p".into(), conditions }];
    Arc::new(workload)
}

#[test]
fn init_containers_are_bound_already_and_by_a_limit_that_comes_meanwhile() {
    let Some(bed) = Bed::with_cgroups() else { return };
    let gate = Gate::new();
    let mut specification =
        json!({ "initContainers": [container("i", Gate::WAIT)], "containers": [container("a", SLEEP)] });
    gate.mount(&mut specification);
    let workload = bounded("bounded", specification);
    let start = bed.submit(Task::Start(workload.clone(), Some(20_000)));
    let pid = poll(|| bed.state(&workload.id, "i")["Pid"].as_i64().filter(|pid| *pid > 0)).expect("it runs");
    let group = cpu_group(pid).parent().unwrap().to_owned();
    assert_eq!(quota(&group), 20_000);
    assert_eq!(limit(&bed, &workload, Some(10_000)), Ok(Fact::Limited), "before the start is over");
    assert_eq!(quota(&group), 10_000);
    gate.open();
    let outcome = bed.outcome();
    assert_eq!(outcome.ticket, start);
    let pod = pod(outcome.result);
    assert_eq!((states(&pod), pod.cpu), (vec!["a running".into()], Some(10_000)));
}

#[test]
fn a_container_with_a_higher_limit_of_its_own_starts_and_is_bound_by_the_pods() {
    let Some(bed) = Bed::with_cgroups() else { return };
    let workload = bounded("higher", json!({ "containers": [half()] }));
    let started = pod(bed.order(Task::Start(workload.clone(), Some(20_000))));
    assert_eq!(states(&started), ["half running"]);
    if started.cpu.is_none() {
        // with control groups of version 1 it can't be had before
        assert_eq!(limit(&bed, &workload, Some(20_000)), Ok(Fact::Limited));
    }
    assert_eq!(bed.look(&workload).cpu, Some(20_000));
}

#[test]
fn a_bound_pod_that_does_not_start_says_why_as_any_other() {
    let Some(bed) = Bed::new() else { return };
    for (specification, reason) in [
        (json!({ "containers": [{ "name": "a", "image": IMAGE, "command": ["nope"] }] }), "nope"),
        (
            json!({ "initContainers": [container("i", "exit 7")], "containers": [container("a", SLEEP)] }),
            "'i' exited with code 7",
        ),
    ] {
        let workload = bounded("broken", specification);
        match bed.order(Task::Start(workload.clone(), Some(20_000))) {
            Err(Failure::Workload(said)) => assert!(said.contains(reason), "{said}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(bed.remains(&workload.id), [""; 0]);
    }
}
