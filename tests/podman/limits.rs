//! CPU limits of whole pods, as the kernel has them.

use std::{fs, path::PathBuf};

use device_worker_ng::agent::{
    limit::CpuLimit,
    order::{Fact, Failure, Task},
    workload::Workload,
};
use serde_json::json;

use super::bed::{Bed, container, workload};
use crate::support::{poll, skip};

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

fn throttled(group: &std::path::Path) -> u64 {
    let stat = fs::read_to_string(group.join("cpu.stat")).unwrap();
    let line = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_limit_binds_the_whole_pod_at_once_and_can_be_lifted_again() {
    let Some(bed) = Bed::new() else { return };
    if bed.lacks_cgroups() {
        return skip("rootless podman has no control groups here");
    }
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
    let Some(bed) = Bed::new() else { return };
    if bed.lacks_cgroups() {
        return skip("rootless podman has no control groups here");
    }
    let mut half = container("half", BUSY);
    half["resources"] = json!({ "limits": { "cpu": "500m" } });
    let workload = workload("own", json!({ "containers": [half] }));
    bed.start(&workload);
    let own = cpu_group(bed.state(&workload.id, "half")["Pid"].as_i64().unwrap());
    let quota = || {
        let [unified, older] = ["cpu.max", "cpu.cfs_quota_us"].map(|file| fs::read_to_string(own.join(file)));
        unified.or(older).unwrap().split_whitespace().next().unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(quota(), 50_000);
    assert_eq!(limit(&bed, &workload, Some(20_000)), Ok(Fact::Limited));
    assert_eq!(limit(&bed, &workload, Some(30_000)), Ok(Fact::Limited));
    assert_eq!(limit(&bed, &workload, None), Ok(Fact::Limited));
    assert_eq!(quota(), 50_000);
    bed.remove(&workload).unwrap();
}
