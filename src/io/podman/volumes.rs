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
    wire::podman::libpod::Tree,
};

/// The volumes of one podman's pods.
pub(super) struct Volumes {
    directory: PathBuf,
    socket: PathBuf,
    /// What is being made has no pod yet, and is no left-over all the same.
    starting: Mutex<Vec<WorkloadId>>,
}

/// A pod is being made while this lives.
pub(super) struct Starting<'a>(&'a Volumes, WorkloadId);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        lock(&self.0.starting).retain(|id| *id != self.1);
    }
}

impl Volumes {
    pub(super) fn new(directory: PathBuf, socket: PathBuf) -> Self {
        Self { directory, socket, starting: Mutex::default() }
    }

    /// Where those of a pod are.
    pub(super) fn of(&self, id: &WorkloadId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    /// Keeps [`tidy`](Self::tidy) from what is made from now on.
    pub(super) fn starting(&self, id: &WorkloadId) -> Starting<'_> {
        lock(&self.starting).push(id.clone());
        Starting(self, id.clone())
    }

    /// Whether podman can come near. It can't if it is a user's and the agent another's: and root must not write where a
    /// user could lead it astray.
    pub(super) fn are_seen(&self) -> bool {
        fs::metadata(&self.socket).map_or(true, |its| its.uid() == 0 || its.uid() == geteuid().as_raw())
    }

    /// Makes those of a pod, if it has any.
    pub(super) fn make(&self, id: &WorkloadId, trees: &[&Tree]) -> Result<(), String> {
        if trees.is_empty() {
            return Ok(());
        }
        let own = self.of(id);
        let failed = |error: io::Error| {
            let path = own.display();
            format!("failed to write the volumes of its ConfigMaps and Secrets to '{path}': {error}")
        };
        self.remove(id).map_err(failed)?;
        self.write(id, trees).map_err(failed)
    }

    fn write(&self, id: &WorkloadId, trees: &[&Tree]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        fs::set_permissions(&self.directory, Permissions::from_mode(0o700))?;
        let own = ConfinedDir::open(&self.directory)?.directory(id.as_str(), 0o700)?;
        for tree in trees {
            let root = own.directory(&tree.name, 0o755)?;
            for file in &tree.files {
                root.file(&file.path, &file.content, file.mode, 0o755)?;
            }
        }
        Ok(())
    }

    /// A container's hook begins: if the agent dies before it is over, the next one sees that here.
    pub(super) fn mark(&self, id: &WorkloadId, container: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        ConfinedDir::open(&self.directory)?.directory(id.as_str(), 0o700)?;
        fs::write(self.mark_of(id, container), "")
    }

    /// The hook is over.
    pub(super) fn unmark(&self, id: &WorkloadId, container: &str) {
        let _ = fs::remove_file(self.mark_of(id, container)); // or there was none
    }

    /// Whether the container's hook began, and is not over.
    pub(super) fn is_marked(&self, id: &WorkloadId, container: &str) -> bool {
        self.mark_of(id, container).exists()
    }

    /// No volume's name begins like this.
    fn mark_of(&self, id: &WorkloadId, container: &str) -> PathBuf {
        self.of(id).join(format!("_{container}"))
    }

    /// They are gone when this succeeds.
    pub(super) fn remove(&self, id: &WorkloadId) -> io::Result<()> {
        match fs::remove_dir_all(self.of(id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes those without a pod: the agent was killed before it made one, or while it removed one.
    pub(super) fn tidy(&self, has_pod: &dyn Fn(&WorkloadId) -> bool) {
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
        let tree = Tree { name: "v".into(), files: vec![file], is_secret: true };
        let id = WorkloadId::from_pod_name("w-0");
        let volumes = Volumes::new(dir.path().join("volumes"), socket.clone());
        assert!(volumes.are_seen());
        volumes.make(&id, &[&tree]).unwrap();
        assert_eq!(fs::read(volumes.of(&id).join("v/k")).unwrap(), b"v");
        volumes.remove(&id).unwrap();
        assert!(!volumes.of(&id).exists());
        if geteuid().is_root() {
            std::os::unix::fs::chown(&socket, Some(1234), None).unwrap();
            assert!(!volumes.are_seen());
        }
    }

    #[test]
    fn a_mark_stays_until_its_hook_is_over_or_its_pod_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(dir.path().join("volumes"), dir.path().into());
        let id = WorkloadId::from_pod_name("w-0");
        let marked = || ["a", "b"].map(|container| volumes.is_marked(&id, container));
        ["a", "b", "b"].into_iter().for_each(|container| volumes.mark(&id, container).unwrap());
        assert_eq!(marked(), [true, true]);
        ["a", "a"].into_iter().for_each(|container| volumes.unmark(&id, container));
        assert_eq!(marked(), [false, true]);
        volumes.remove(&id).unwrap();
        assert_eq!(marked(), [false, false]);
    }

    #[test]
    fn what_is_being_made_is_no_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(dir.path().join("volumes"), dir.path().into());
        let id = WorkloadId::from_pod_name("w-0");
        fs::create_dir_all(volumes.of(&id)).unwrap();
        let starting = volumes.starting(&id);
        volumes.tidy(&|_| false);
        assert!(volumes.of(&id).exists());
        drop(starting);
        volumes.tidy(&|_| true);
        assert!(volumes.of(&id).exists());
        volumes.tidy(&|_| false);
        assert!(!volumes.of(&id).exists());
    }
}
