//! What the kernel killed in a container's control group for want of memory: podman doesn't always know.

use std::{fs, path::PathBuf};

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// The file in which it is counted, of a process whose control groups `/proc` tells like this.
pub(super) fn oom_kills_file(groups: &[u8], container: &str) -> Option<PathBuf> {
    let groups = String::from_utf8_lossy(groups);
    let path = |controller: &str| {
        groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            // another group's count would say nothing of the container
            let is_own = path.contains(container) && !path.split('/').any(|part| part == "..");
            (is_own && controllers.split(',').any(|it| it == controller))
                .then(|| path.trim_start_matches('/'))
        })
    };
    let old = path("memory")
        .map(|path| PathBuf::from(CGROUP_ROOT).join("memory").join(path).join("memory.oom_control"));
    old.or_else(|| Some(PathBuf::from(CGROUP_ROOT).join(path("")?).join("memory.events")))
}

/// Whether it says that something was killed.
pub(super) fn records_oom_kill(file: &PathBuf) -> bool {
    fs::read_to_string(file).is_ok_and(|text| has_oom_kills(&text))
}

fn has_oom_kills(text: &str) -> bool {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_own_group_of_either_kind_is_asked() {
        let file =
            |groups: &str| oom_kills_file(groups.as_bytes(), "5d1e").map(|path| path.display().to_string());
        let old = "4:cpu,cpuacct:/x\n3:memory:/libpod_parent/p/libpod-5d1e\n0::/\n";
        let place = "/sys/fs/cgroup/memory/libpod_parent/p/libpod-5d1e/memory.oom_control";
        assert_eq!(file(old).as_deref(), Some(place));
        let new = "0::/machine.slice/libpod-5d1e.scope/container\n";
        let place = "/sys/fs/cgroup/machine.slice/libpod-5d1e.scope/container/memory.events";
        assert_eq!(file(new).as_deref(), Some(place));
        for other in ["0::/\n", "3:memory:/libpod-0000\n", "0::/../libpod-5d1e\n", ""] {
            assert_eq!(file(other), None, "{other}");
        }
    }

    #[test]
    fn one_kill_is_enough() {
        assert!(has_oom_kills("low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n"));
        assert!(has_oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"));
        assert!(!has_oom_kills("oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"));
        assert!(!has_oom_kills("oom 1\n"));
    }
}
