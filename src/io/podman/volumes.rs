//! The volumes with `ConfigMap`s and `Secret`s: directories of the agent's own, in memory, with a pod's id as their name. They are made
//! before the pod is, and go with it.
//!
//! Only podman's user can come near them, whatever the permissions of the files are, which are for users within
//! the containers.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::PathBuf,
    sync::Mutex,
};

use rustix::process::geteuid;

use crate::{
    agent::model::workload::WorkloadId,
    io::{confined_dir::ConfinedDir, lock},
    wire::podman::libpod::FileVolume,
};

/// The volumes of one podman's pods.
pub(super) struct Volumes {
    directory: PathBuf,
    socket: PathBuf,
    /// What is being made has no pod yet, and is no left-over all the same.
    starting: Mutex<Vec<WorkloadId>>,
}

/// A pod is being made while this lives.
pub(super) struct StartingGuard<'a>(&'a Volumes, WorkloadId);

impl Drop for StartingGuard<'_> {
    fn drop(&mut self) {
        lock(&self.0.starting).retain(|id| *id != self.1);
    }
}

impl Volumes {
    pub(super) fn new(directory: PathBuf, socket: PathBuf) -> Self {
        Self { directory, socket, starting: Mutex::default() }
    }

    /// Where those of a pod are.
    pub(super) fn pod_dir(&self, id: &WorkloadId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    /// Keeps [`remove_orphans`](Self::remove_orphans) from what is made from now on.
    pub(super) fn guard_starting(&self, id: &WorkloadId) -> StartingGuard<'_> {
        lock(&self.starting).push(id.clone());
        StartingGuard(self, id.clone())
    }

    /// Whether podman can come near. It can't if it is a user's and the agent another's: and root must not write where a
    /// user could lead it astray.
    pub(super) fn are_visible_to_podman(&self) -> bool {
        fs::metadata(&self.socket).map_or(true, |its| its.uid() == 0 || its.uid() == geteuid().as_raw())
    }

    /// Makes those of a pod, if it has any.
    pub(super) fn make(&self, id: &WorkloadId, trees: &[&FileVolume]) -> Result<(), String> {
        if trees.is_empty() {
            return Ok(());
        }
        let own = self.pod_dir(id);
        let failed = |error: io::Error| {
            let path = own.display();
            format!("failed to write the volumes of its ConfigMaps and Secrets to '{path}': {error}")
        };
        self.remove(id).map_err(failed)?;
        self.write(id, trees).map_err(failed)
    }

    fn write(&self, id: &WorkloadId, trees: &[&FileVolume]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        fs::set_permissions(&self.directory, Permissions::from_mode(0o700))?;
        let own = ConfinedDir::open(&self.directory)?.ensure_directory(id.as_str(), 0o700)?;
        for tree in trees {
            let root = own.ensure_directory(&tree.name, 0o755)?;
            for file in &tree.files {
                root.create_file(&file.path, &file.content, file.mode, 0o755)?;
            }
        }
        Ok(())
    }

    /// A container's hook begins: if the agent dies before it is over, the next one sees that here.
    pub(super) fn mark_hook(&self, id: &WorkloadId, container: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        ConfinedDir::open(&self.directory)?.ensure_directory(id.as_str(), 0o700)?;
        fs::write(self.hook_mark_path(id, container), "")
    }

    /// The hook is over.
    pub(super) fn unmark_hook(&self, id: &WorkloadId, container: &str) {
        let _ = fs::remove_file(self.hook_mark_path(id, container)); // or there was none
    }

    /// Whether the container's hook began, and is not over.
    pub(super) fn is_hook_marked(&self, id: &WorkloadId, container: &str) -> bool {
        self.hook_mark_path(id, container).exists()
    }

    /// No volume's name begins like this.
    fn hook_mark_path(&self, id: &WorkloadId, container: &str) -> PathBuf {
        self.pod_dir(id).join(format!("_{container}"))
    }

    /// They are gone when this succeeds.
    pub(super) fn remove(&self, id: &WorkloadId) -> io::Result<()> {
        match fs::remove_dir_all(self.pod_dir(id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes those without a pod: the agent was killed before it made one, or while it removed one.
    pub(super) fn remove_orphans(&self, has_pod: &dyn Fn(&WorkloadId) -> bool) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let id = WorkloadId::from_pod_name(&entry.file_name().to_string_lossy());
            // held, so that none starts in between
            let starting = lock(&self.starting);
            if !starting.contains(&id)
                && !has_pod(&id)
                && let Err(error) = self.remove(&id)
            {
                log::warn!("failed to remove '{}': {error}", entry.path().display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::podman::libpod::File;

    #[test]
    fn files_are_written_and_another_users_podman_does_not_see_them() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        fs::write(&socket, "").unwrap();
        let file = File { path: "k".into(), mode: 0o644, content: b"v".into() };
        let tree = FileVolume { name: "v".into(), files: vec![file], is_secret: true };
        let id = WorkloadId::from_pod_name("w-0");
        let volumes = Volumes::new(dir.path().join("volumes"), socket.clone());
        assert!(volumes.are_visible_to_podman());
        volumes.make(&id, &[&tree]).unwrap();
        assert_eq!(fs::read(volumes.pod_dir(&id).join("v/k")).unwrap(), b"v");
        volumes.remove(&id).unwrap();
        assert!(!volumes.pod_dir(&id).exists());
        if geteuid().is_root() {
            std::os::unix::fs::chown(&socket, Some(1234), None).unwrap();
            assert!(!volumes.are_visible_to_podman());
        }
    }

    #[test]
    fn a_mark_stays_until_its_hook_is_over_or_its_pod_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(dir.path().join("volumes"), dir.path().into());
        let id = WorkloadId::from_pod_name("w-0");
        let marked = || ["a", "b"].map(|container| volumes.is_hook_marked(&id, container));
        ["a", "b", "b"].into_iter().for_each(|container| volumes.mark_hook(&id, container).unwrap());
        assert_eq!(marked(), [true, true]);
        ["a", "a"].into_iter().for_each(|container| volumes.unmark_hook(&id, container));
        assert_eq!(marked(), [false, true]);
        volumes.remove(&id).unwrap();
        assert_eq!(marked(), [false, false]);
    }

    #[test]
    fn what_is_being_made_is_no_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(dir.path().join("volumes"), dir.path().into());
        let id = WorkloadId::from_pod_name("w-0");
        fs::create_dir_all(volumes.pod_dir(&id)).unwrap();
        let starting = volumes.guard_starting(&id);
        volumes.remove_orphans(&|_| false);
        assert!(volumes.pod_dir(&id).exists());
        drop(starting);
        volumes.remove_orphans(&|_| true);
        assert!(volumes.pod_dir(&id).exists());
        volumes.remove_orphans(&|_| false);
        assert!(!volumes.pod_dir(&id).exists());
    }
}
