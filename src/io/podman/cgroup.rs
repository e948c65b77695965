//! The control group of a pod: its CPU limit is written by the agent, as podman can't change that of a pod, only
//! that of its containers, one level below.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use rustix::{fs::stat, io::Errno};

use crate::agent::model::order::{CPU_PERIOD, normalize_cpu_quota};

const ROOT: &str = "/sys/fs/cgroup";
/// A pod's directory in the hierarchy that bounds CPU time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup {
    dir: PathBuf,
    is_unified: bool,
}

/// Why a pod's CPU time can't be bounded.
#[derive(Debug)]
pub(super) enum LimitError {
    /// No such directory, or not with CPU control.
    Missing,
    /// The kernel refused.
    Write(PathBuf, io::Error),
    /// The kernel took it, and has something else.
    Other(PathBuf),
}

/// Whether this device has the newer hierarchy alone.
pub(super) fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("its control group has no CPU control (is 'cpu' delegated?)"),
            Self::Write(path, cause) => write!(f, "failed to write '{}': {cause}", path.display()),
            Self::Other(path) => write!(f, "'{}' is not as it was written", path.display()),
        }
    }
}

impl Cgroup {
    /// The directory of the pod for which podman tells this path. Rootless podman tells one relative to its
    /// user's service manager; the user is the owner of its `socket`.
    pub(super) fn find(path: &str, socket: &Path) -> Option<Self> {
        let user = stat(socket).map_or(0, |stat| stat.st_uid);
        Self::find_below(Path::new(ROOT), path, user)
    }

    fn find_below(root: &Path, path: &str, user: u32) -> Option<Self> {
        let path = path.trim_start_matches('/');
        if path.is_empty() || Path::new(path).components().any(|part| part.as_os_str() == "..") {
            return None;
        }
        let managed = format!("user.slice/user-{user}.slice/user@{user}.service");
        let places = [
            (root.join(path), true),
            (root.join(managed).join(path), true),
            (root.join("cpu").join(path), false),
        ];
        let found = |(dir, is_unified): (PathBuf, bool)| {
            let cgroup = Self { dir, is_unified };
            cgroup.limit_file(&cgroup.dir).exists().then_some(cgroup)
        };
        places.into_iter().find_map(found)
    }

    fn limit_file(&self, dir: &Path) -> PathBuf {
        dir.join(if self.is_unified { "cpu.max" } else { "cpu.cfs_quota_us" })
    }

    /// The limit of the pod as a whole, in µs per 100,000 µs; also `None` if it is gone.
    pub(super) fn cpu_limit(&self) -> Option<u64> {
        self.read(&self.dir)
    }

    fn read(&self, dir: &Path) -> Option<u64> {
        let text = fs::read_to_string(self.limit_file(dir)).ok()?;
        let mut words = text.split_ascii_whitespace();
        let quota: u64 = words.next()?.parse().ok()?; // neither `max` nor `-1` is a limit
        Some(normalize_cpu_quota(quota, words.next().and_then(|period| period.parse().ok())))
    }

    fn write(&self, dir: &Path, cpu: Option<u64>) -> Result<(), LimitError> {
        let text = match (cpu, self.is_unified) {
            (Some(cpu), true) => format!("{cpu} {CPU_PERIOD}"),
            (None, true) => format!("max {CPU_PERIOD}"),
            (Some(cpu), false) => cpu.to_string(),
            (None, false) => "-1".into(),
        };
        let file = self.limit_file(dir);
        fs::write(&file, text).map_err(|cause| LimitError::Write(file, cause))
    }

    /// Bounds the pod's CPU time, or frees it, and reads it back. `own` tells which limits of their own its
    /// containers were given, by podman's ids.
    ///
    /// # Errors
    /// The kernel doesn't want it so.
    pub(super) fn set_cpu_limit(
        &self,
        cpu: Option<u64>,
        own: &dyn Fn() -> Vec<(String, Option<u64>)>,
    ) -> Result<(), LimitError> {
        match self.write(&self.dir, cpu) {
            // the older hierarchy knows no child with a higher limit than its parent's
            Err(LimitError::Write(_, cause))
                if !self.is_unified && cause.raw_os_error() == Some(Errno::INVAL.raw_os_error()) =>
            {
                self.limit_containers(cpu, own)?;
                self.write(&self.dir, cpu)?;
            }
            written => {
                written?;
                if !self.is_unified {
                    self.limit_containers(cpu, own)?;
                }
            }
        }
        if self.cpu_limit() == cpu { Ok(()) } else { Err(LimitError::Other(self.limit_file(&self.dir))) }
    }

    /// Gives each container with a limit of its own that one, or the pod's if that is lower.
    fn limit_containers(
        &self,
        cpu: Option<u64>,
        own: &dyn Fn() -> Vec<(String, Option<u64>)>,
    ) -> Result<(), LimitError> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        if !entries.map(|entry| entry.path()).any(|dir| self.read(&dir).is_some()) {
            return Ok(()); // none has one
        }
        for (id, own) in own() {
            let dir = self.dir.join(format!("libpod-{id}"));
            let limit = own.map(|own| cpu.map_or(own, |cpu| own.min(cpu)));
            if own.is_some() && self.read(&dir) != limit {
                self.write(&dir, limit)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::test_tree::test_tree;

    #[test]
    fn a_pod_is_found_in_either_hierarchy_and_below_its_users_manager() {
        let managed = "user.slice/user-7.slice/user@7.service/user.slice/p/cpu.max";
        for (file, path) in [
            ("machine.slice/p/cpu.max", "/machine.slice/p"),
            ("cpu/libpod_parent/p/cpu.cfs_quota_us", "/libpod_parent/p"),
            (managed, "/user.slice/p"),
        ] {
            let root = test_tree(&[(file, "max 100000")]);
            assert!(Cgroup::find_below(root.path(), path, 7).is_some(), "{file}");
            assert_eq!(Cgroup::find_below(root.path(), "/other", 7), None);
        }
        let root = test_tree(&[("cpu.max", "max 100000")]);
        assert_eq!(Cgroup::find_below(root.path(), "", 0), None, "never the whole device");
        assert_eq!(Cgroup::find_below(root.path(), "/a/..", 0), None);
    }

    #[test]
    fn a_limit_is_written_as_each_hierarchy_wants_it_and_read_back() {
        for (file, path, limited, free) in [
            ("p/cpu.max", "/p", "50000 100000", "max 100000"),
            ("cpu/p/cpu.cfs_quota_us", "/p", "50000", "-1"),
        ] {
            let root = test_tree(&[(file, free)]);
            let cgroup = Cgroup::find_below(root.path(), path, 0).unwrap();
            assert_eq!(cgroup.cpu_limit(), None);
            cgroup.set_cpu_limit(Some(50_000), &Vec::new).unwrap();
            assert_eq!(fs::read_to_string(root.path().join(file)).unwrap(), limited);
            assert_eq!(cgroup.cpu_limit(), Some(50_000));
            cgroup.set_cpu_limit(None, &Vec::new).unwrap();
            assert_eq!(fs::read_to_string(root.path().join(file)).unwrap(), free);
        }
    }

    #[test]
    fn another_period_is_converted_and_a_pod_that_is_gone_has_no_limit() {
        let root = test_tree(&[("p/cpu.max", "10000 20000")]);
        let cgroup = Cgroup::find_below(root.path(), "/p", 0).unwrap();
        assert_eq!(cgroup.cpu_limit(), Some(50_000));
        fs::write(root.path().join("p/cpu.max"), "10000 0").unwrap();
        assert_eq!(cgroup.cpu_limit(), Some(10_000), "no period is none of the kernel's");
        fs::remove_dir_all(root.path().join("p")).unwrap();
        assert_eq!(cgroup.cpu_limit(), None);
        assert!(cgroup.set_cpu_limit(Some(1), &Vec::new).is_err());
    }
}
