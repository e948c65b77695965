//! How much each pod uses. For memory and processor time the kernel is asked: podman itself would need some to answer,
//! and there is none left. For disk space podman is, which then measures every container and volume.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::api::{Error, PodmanClient};
use crate::{
    agent::model::{order::normalize_cpu_quota, workload::WorkloadId},
    io::{exits::ExitWatcher, processors::processor_count},
    wire::podman::answers,
};

/// It counts files.
const DISK_USAGE_TIMEOUT: Duration = Duration::from_secs(120);
const STATS_TIMEOUT: Duration = Duration::from_secs(30);
/// No container's processes are counted beyond.
const MAX_PROCESSES: usize = 4096;

/// Bytes, or microseconds, by pod.
type UsageByPod = Vec<(WorkloadId, u64)>;

/// Of memory, without the file cache that the kernel takes back at once.
pub(super) fn memory(client: &PodmanClient, exits: &ExitWatcher) -> Result<UsageByPod, Error> {
    let mut stats = Value::Null;
    let running = exits.running_containers();
    if running.iter().any(|(_, _, pid)| pid.is_none()) {
        stats = client.get("containers/stats", &[("stream", "false")], STATS_TIMEOUT)?.json()?;
    }
    let mut uses = UsageByPod::new();
    for (pod, container, pid) in running {
        let used = match pid {
            Some(pid) => container_memory(Path::new("/"), pid, &container),
            None => answers::memory_usage(&stats, &container),
        };
        add_usage(&mut uses, pod, used);
    }
    Ok(uses)
}

fn container_memory(root: &Path, pid: i32, container: &str) -> u64 {
    let cgroup = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).unwrap_or_default();
    cgroup_memory(root, &cgroup, container).unwrap_or_else(|| processes_memory(root, pid))
}

/// What a container uses and may use. What isn't known, or not limited, is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes.
    pub memory_limit: Option<u64>,
    /// µs of all cores together, since it began.
    pub cpu: Option<u64>,
    /// µs per 100,000 µs.
    pub cpu_limit: Option<u64>,
    /// How many.
    pub processes: Option<u64>,
    /// How many.
    pub processes_limit: Option<u64>,
}

/// Of the container with this id, and this first process: of the kernel alone.
pub fn usage(pid: i32, container: &str) -> Usage {
    usage_below(Path::new("/"), pid, container)
}

fn usage_below(root: &Path, pid: i32, container: &str) -> Usage {
    let cgroup = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).unwrap_or_default();
    let number = |controller: &str, files: [&str; 2]| {
        let groups = CgroupPaths::find_for_container(root, &cgroup, controller, container)?;
        let text = fs::read_to_string(groups.own.join(files[usize::from(!groups.is_unified)])).ok()?;
        let mut words = text.split_ascii_whitespace();
        let first = words.next()?.parse::<u64>().ok(); // `max` and -1 are no limits
        first.map(|first| (first, words.next().and_then(|second| second.parse::<u64>().ok())))
    };
    let first = |controller, files| number(controller, files).map(|(first, _)| first);
    let quota = number("cpu", ["cpu.max", "cpu.cfs_quota_us"]);
    Usage {
        memory: (!cgroup.is_empty()).then(|| container_memory(root, pid, container)),
        // what version 1 says where there is none
        memory_limit: first("memory", ["memory.max", "memory.limit_in_bytes"])
            .filter(|limit| *limit < 1 << 60),
        cpu: cpu_time(root, pid, container),
        cpu_limit: quota.map(|(quota, period)| normalize_cpu_quota(quota, period)),
        processes: first("pids", ["pids.current"; 2]),
        processes_limit: first("pids", ["pids.max"; 2]),
    }
}

/// A process's control group in the hierarchy of this controller, and the container's own, which may be above it.
struct CgroupPaths {
    own: PathBuf,
    process: PathBuf,
    is_unified: bool,
}

impl CgroupPaths {
    /// `cgroup`: the process's file of that name. Nothing if the container has no group of its own.
    fn find_for_container(root: &Path, cgroup: &str, controller: &str, container: &str) -> Option<Self> {
        let line = |is_it: &dyn Fn(&str) -> bool| {
            let mut lines = cgroup.lines().map(|line| line.splitn(3, ':').skip(1));
            lines
                .find_map(|mut parts| parts.next().filter(|controllers| is_it(controllers)).and(parts.next()))
        };
        let v1 = line(&|controllers| controllers.split(',').any(|it| it == controller));
        let base = root.join("sys/fs/cgroup");
        let (base, path, is_unified) = match v1 {
            Some(path) => (base.join(controller), path, false),
            None => (base, line(&str::is_empty)?, true),
        };
        let (own, process) = (container_cgroup_path(path, container)?, path.trim_start_matches('/'));
        Some(Self { own: base.join(own), process: base.join(process), is_unified })
    }
}

/// What the container's own cgroup says, of either version; nothing if it has none.
fn cgroup_memory(root: &Path, cgroup: &str, container: &str) -> Option<u64> {
    let CgroupPaths { own: directory, is_unified, .. } =
        CgroupPaths::find_for_container(root, cgroup, "memory", container)?;
    let (usage, cache) = match is_unified {
        true => ("memory.current", "inactive_file "),
        false => ("memory.usage_in_bytes", "total_inactive_file "),
    };
    let used: u64 = fs::read_to_string(directory.join(usage)).ok()?.trim().parse().ok()?;
    let stat = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse().ok());
    Some(used.saturating_sub(cached.unwrap_or(0)))
}

/// Of the processor's time since the container began, in µs of all cores together, for those with a group of their own.
pub(super) fn cpu(exits: &ExitWatcher) -> UsageByPod {
    let cores = processor_count();
    let mut uses = UsageByPod::new();
    for (pod, container, pid) in exits.running_containers() {
        if let Some(used) = pid.and_then(|pid| cpu_time(Path::new("/"), pid, &container)) {
            add_usage(&mut uses, pod, used / cores);
        }
    }
    uses
}

fn cpu_time(root: &Path, pid: i32, container: &str) -> Option<u64> {
    let cgroup = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    let CgroupPaths { own, is_unified, .. } =
        CgroupPaths::find_for_container(root, &cgroup, "cpuacct", container)?;
    if !is_unified {
        let nanoseconds: u64 = fs::read_to_string(own.join("cpuacct.usage")).ok()?.trim().parse().ok()?;
        return Some(nanoseconds / 1000);
    }
    let stat = fs::read_to_string(own.join("cpu.stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
}

/// The control groups in which the kernel counts processes that it refused to this pod: those of its containers, and,
/// on older kernels, those of the processes that wanted more.
pub(super) fn pids_groups(exits: &ExitWatcher, pod: &WorkloadId) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for (_, container, pid) in exits.running_containers().into_iter().filter(|(it, ..)| it == pod) {
        let path = format!("/proc/{}/cgroup", pid.unwrap_or_default());
        let cgroup = fs::read_to_string(path).unwrap_or_default();
        if let Some(groups) = CgroupPaths::find_for_container(Path::new("/"), &cgroup, "pids", &container) {
            for group in [groups.own, groups.process] {
                if !all.contains(&group) {
                    all.push(group);
                }
            }
        }
    }
    all
}

/// The container's own part of its process's path, which may be in a group below.
fn container_cgroup_path<'a>(path: &'a str, container: &str) -> Option<&'a str> {
    let end = path.find(container)? + container.len();
    let end = path[end..].find('/').map_or(path.len(), |more| end + more);
    Some(path[..end].trim_start_matches('/'))
}

/// What its container has written to disks, where the kernel counts that: with cgroups of version 2.
fn bytes_written(root: &Path, pid: i32, container: &str) -> Option<u64> {
    let cgroup = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let stat = root.join("sys/fs/cgroup").join(container_cgroup_path(path, container)?).join("io.stat");
    let stat = fs::read_to_string(stat).ok()?;
    let bytes =
        stat.split_whitespace().filter_map(|field| field.strip_prefix("wbytes=")?.parse::<u64>().ok());
    Some(bytes.sum())
}

/// What this process and its descendants hold; what they share counts more than once.
fn processes_memory(root: &Path, first: i32) -> u64 {
    let mut processes = vec![first];
    let (mut next, mut used) = (0, 0);
    while let Some(pid) = processes.get(next).copied()
        && next < MAX_PROCESSES
    {
        next += 1;
        let directory = root.join(format!("proc/{pid}"));
        let status = fs::read_to_string(directory.join("status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        used += resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0) * 1024;
        for thread in fs::read_dir(directory.join("task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            processes.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    used
}

/// Of disk space: what its containers wrote, and its volumes. A claim's stays when the pod goes, but it
/// grows no more.
pub(super) fn disk(
    client: &PodmanClient,
    exits: &ExitWatcher,
    pods: Vec<WorkloadId>,
) -> Result<UsageByPod, Error> {
    match client.get("system/df", &[], DISK_USAGE_TIMEOUT)?.json() {
        Ok(df) => {
            let with_use = |pod: WorkloadId| {
                let used = answers::disk_usage(&df, pod.as_str());
                (pod, used)
            };
            Ok(pods.into_iter().map(with_use).collect())
        }
        // on a full disk podman can't measure, as it would have to write: who wrote most is the next best
        Err(Error::Refused(cause)) => {
            log::debug!("podman can't tell who fills the disk: {cause}");
            let mut uses = UsageByPod::new();
            for (pod, container, pid) in exits.running_containers() {
                let used = pid.and_then(|pid| bytes_written(Path::new("/"), pid, &container));
                add_usage(&mut uses, pod, used.unwrap_or(0));
            }
            Ok(uses)
        }
        Err(error) => Err(error),
    }
}

fn add_usage(uses: &mut UsageByPod, pod: WorkloadId, used: u64) {
    match uses.iter_mut().find(|(known, _)| *known == pod) {
        Some((_, sum)) => *sum += used,
        None => uses.push((pod, used)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::test_tree::test_tree;

    /// Process 7 of container `c1` in a cgroup of version 2 with these files.
    fn second_version(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = test_tree(&[("proc/7/cgroup", "0::/machine.slice/pod.slice/libpod-c1.scope/container\n")]);
        let scope = root.path().join("sys/fs/cgroup/machine.slice/pod.slice/libpod-c1.scope");
        fs::create_dir_all(&scope).unwrap();
        files.iter().for_each(|(name, text)| fs::write(scope.join(name), text).unwrap());
        root
    }

    #[test]
    fn a_cgroup_of_either_version_tells_without_its_file_cache() {
        let two =
            second_version(&[("memory.current", "5000\n"), ("memory.stat", "anon 3\ninactive_file 1000\n")]);
        assert_eq!(container_memory(two.path(), 7, "c1"), 4000);
        let written = || bytes_written(two.path(), 7, "c1");
        assert_eq!(written(), None);
        let stat = "254:0 rbytes=9 wbytes=30 rios=1 wios=2\n8:0 rbytes=0 wbytes=5\n";
        fs::write(two.path().join("sys/fs/cgroup/machine.slice/pod.slice/libpod-c1.scope/io.stat"), stat)
            .unwrap();
        assert_eq!(written(), Some(35));
        let one = test_tree(&[
            ("proc/7/cgroup", "8:pids:/a\n4:memory:/libpod_parent/libpod-c1\n0::/\n"),
            ("sys/fs/cgroup/memory/libpod_parent/libpod-c1/memory.usage_in_bytes", "5000\n"),
            (
                "sys/fs/cgroup/memory/libpod_parent/libpod-c1/memory.stat",
                "inactive_file 7\ntotal_inactive_file 4000\n",
            ),
        ]);
        assert_eq!(container_memory(one.path(), 7, "c1"), 1000);
    }

    #[test]
    fn processor_time_is_told_by_a_cgroup_of_either_version_and_by_no_other() {
        let two = second_version(&[("cpu.stat", "usage_usec 5000\nuser_usec 4000\n")]);
        assert_eq!(cpu_time(two.path(), 7, "c1"), Some(5000));
        let one = test_tree(&[
            ("proc/7/cgroup", "8:cpu,cpuacct:/libpod_parent/libpod-c1\n0::/\n"),
            ("sys/fs/cgroup/cpuacct/libpod_parent/libpod-c1/cpuacct.usage", "5000999\n"),
        ]);
        assert_eq!(cpu_time(one.path(), 7, "c1"), Some(5000));
        assert_eq!(cpu_time(one.path(), 7, "c2"), None);
    }

    #[test]
    fn what_is_used_and_may_be_is_read_of_either_version_and_no_limit_is_none() {
        const TWO: &str = "sys/fs/cgroup/pod.slice/libpod-c1.scope";
        let two = test_tree(&[
            ("proc/7/cgroup", "0::/pod.slice/libpod-c1.scope\n"),
            (&format!("{TWO}/memory.current"), "5000\n"),
            (&format!("{TWO}/memory.max"), "max\n"),
            (&format!("{TWO}/cpu.max"), "25000 50000\n"),
            (&format!("{TWO}/cpu.stat"), "usage_usec 70\n"),
            (&format!("{TWO}/pids.current"), "3\n"),
            (&format!("{TWO}/pids.max"), "512\n"),
        ]);
        let expected = Usage {
            memory: Some(5000),
            memory_limit: None,
            cpu: Some(70),
            cpu_limit: Some(50_000),
            processes: Some(3),
            processes_limit: Some(512),
        };
        assert_eq!(usage_below(two.path(), 7, "c1"), expected);
        let one = test_tree(&[
            ("proc/7/cgroup", "8:cpu,cpuacct:/c1\n5:pids:/c1\n4:memory:/c1\n0::/\n"),
            ("sys/fs/cgroup/memory/c1/memory.usage_in_bytes", "5000\n"),
            ("sys/fs/cgroup/memory/c1/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpuacct/c1/cpuacct.usage", "70000\n"),
            ("sys/fs/cgroup/cpu/c1/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/pids/c1/pids.current", "3\n"),
            ("sys/fs/cgroup/pids/c1/pids.max", "max\n"),
        ]);
        let expected = Usage { cpu_limit: None, processes_limit: None, ..expected };
        assert_eq!(usage_below(one.path(), 7, "c1"), expected);
        assert_eq!(usage_below(one.path(), 8, "c1"), Usage::default());
    }

    #[test]
    fn a_container_without_a_cgroup_of_its_own_is_its_processes() {
        let root = test_tree(&[
            ("proc/7/cgroup", "4:memory:/user.slice\n0::/user.slice\n"),
            ("sys/fs/cgroup/memory/user.slice/memory.usage_in_bytes", "99999999\n"),
            ("proc/7/status", "Name:\tsh\nVmRSS:\t      10 kB\n"),
            ("proc/7/task/7/children", "8 9 "),
            ("proc/7/task/71/children", "10"),
            ("proc/8/status", "VmRSS:\t 5 kB\n"),
            ("proc/10/status", "VmRSS:\t 2 kB\n"),
        ]);
        assert_eq!(container_memory(root.path(), 7, "c1"), 17 * 1024);
        assert_eq!(container_memory(root.path(), 99, "c1"), 0, "it has ended");
    }
}
