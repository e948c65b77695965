//! Paths of the host that volumes name: whether what is there is what was asked for, and what is to be made.
//!
//! The agent may see less of the host than podman does, and may change less: that nothing is there is podman's to say.

use std::{
    fs::{self, DirBuilder, Metadata, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2},
    io::Errno,
};

use crate::wire::podspec::volumes::{HostPath, HostPathKind};

/// What only podman can make, or tell whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingHostPath {
    pub(super) path: String,
    pub(super) is_directory: bool,
}

/// Makes what may be missing, and refuses what isn't what its volume says.
pub(super) fn prepare(HostPath { path, kind }: &HostPath) -> Result<Option<MissingHostPath>, String> {
    let (path, kind) = (&path.0, *kind);
    let is_directory = kind == HostPathKind::DirectoryOrCreate;
    let wanted = || Some(MissingHostPath { path: path.clone(), is_directory });
    let is_to_be_made = is_directory || kind == HostPathKind::FileOrCreate;
    // the service manager may give the agent others of its own
    let is_private = ["/tmp/", "/var/tmp/"].iter().any(|place| path.starts_with(place));
    match fs::metadata(path) {
        Ok(found) if matches_kind(&found, kind) => Ok(None),
        Ok(_) => Err(format!("'{path}' is no {}", format!("{kind:?}").trim_end_matches("OrCreate"))),
        Err(_) if !is_to_be_made => Ok(None),
        Err(error) if is_private || error.kind() != ErrorKind::NotFound => Ok(wanted()),
        Err(_) => {
            let (made, what) = if is_directory {
                (DirBuilder::new().recursive(true).mode(0o755).create(path), "directory")
            } else {
                let open = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
                (open.map(drop), "file")
            };
            match made {
                Ok(()) => Ok(None),
                Err(error) if is_forbidden(error.kind()) => Ok(wanted()),
                Err(error) => Err(format!("failed to make the {what} '{path}': {error}")),
            }
        }
    }
}

/// For the agent: it is no reason why podman should not.
fn is_forbidden(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

fn matches_kind(found: &Metadata, kind: HostPathKind) -> bool {
    use HostPathKind::{
        BlockDevice, CharDevice, Directory, DirectoryOrCreate, File, FileOrCreate, Socket, Unchecked,
    };
    let its = found.file_type();
    match kind {
        Directory | DirectoryOrCreate => its.is_dir(),
        File | FileOrCreate => its.is_file(),
        Socket => its.is_socket(),
        CharDevice => its.is_char_device(),
        BlockDevice => its.is_block_device(),
        Unchecked => true,
    }
}

/// Sees to it that this part of a volume is there, which is a directory if it has to be made, and that it is in the
/// volume: what containers wrote there may lead anywhere.
pub(super) fn ensure_subpath(volume: &str, path: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("failed to make '{path}' in the volume '{volume}': {error}");
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root =
        openat(CWD, volume, flags | OFlags::DIRECTORY, Mode::empty()).map_err(|it| failed(it.into()))?;
    let mode = fs::metadata(volume).map_err(failed)?.permissions().mode();
    let find = |path: &str| openat2(&root, path, flags, Mode::empty(), ResolveFlags::BENEATH);
    let mut present = root.try_clone().map_err(failed)?;
    let mut end = 0;
    for name in path.split('/') {
        end += name.len();
        let found = match find(&path[..end]) {
            Err(Errno::NOENT) => {
                mkdirat(&present, name, Mode::from_raw_mode(mode & 0o7777))
                    .map_err(|it| failed(it.into()))?;
                let made = find(&path[..end]);
                if made.is_ok() {
                    // whatever the umask says; no more than the volume itself allows
                    let _ = rustix::fs::chmodat(
                        &present,
                        name,
                        Mode::from_raw_mode(mode & 0o7777),
                        rustix::fs::AtFlags::empty(),
                    );
                }
                made
            }
            found => found,
        };
        present = match found {
            Ok(found) => found,
            Err(Errno::XDEV | Errno::LOOP) => {
                return Err(format!("'{path}' leads out of the volume '{volume}'"));
            }
            Err(error) => return Err(failed(error.into())),
        };
        end += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::wire::podspec::{values::AbsolutePath, volumes::HostPathKind::*};

    #[test]
    fn a_part_of_a_volume_is_made_and_cannot_leave_it() {
        let place = tempfile::tempdir().unwrap();
        let volume = place.path().join("v");
        fs::create_dir(&volume).unwrap();
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
        let at = volume.to_str().unwrap();
        ensure_subpath(at, "a/b").unwrap();
        ensure_subpath(at, "a/b").unwrap();
        let mode = fs::metadata(volume.join("a/b")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o777);
        fs::write(volume.join("file"), "").unwrap();
        ensure_subpath(at, "file").unwrap();
        symlink("a", volume.join("inside")).unwrap();
        ensure_subpath(at, "inside/b").unwrap();
        symlink("/", volume.join("out")).unwrap();
        symlink("..", volume.join("up")).unwrap();
        for leads in ["out", "out/etc", "up", "up/w", "inside/../../x"] {
            assert!(ensure_subpath(at, leads).unwrap_err().contains("leads out"), "{leads}");
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_is_what_its_volume_says_or_is_made() {
        // not below /tmp, where podman is asked
        let place = tempfile::tempdir_in(std::env::current_dir().unwrap().join("target")).unwrap();
        let host = |path: &str, kind| HostPath { path: AbsolutePath(path.to_owned()), kind };
        let at = |path: &str, kind| prepare(&host(&place.path().join(path).display().to_string(), kind));
        for (path, kind) in [("d/e", DirectoryOrCreate), ("f", FileOrCreate)] {
            assert_eq!((at(path, kind), at(path, kind)), (Ok(None), Ok(None)));
            assert!(place.path().join(path).exists());
        }
        for kind in [Unchecked, Directory, DirectoryOrCreate] {
            assert_eq!(at("d", kind), Ok(None));
        }
        for (path, kind) in
            [("d", File), ("f", Directory), ("f", Socket), ("f", CharDevice), ("d", FileOrCreate)]
        {
            assert!(at(path, kind).unwrap_err().contains(" is no "), "{path} {kind:?}");
        }
        assert!(at("x/y", FileOrCreate).unwrap_err().contains("failed to make the file"));
        let device = host("/dev/zero", CharDevice);
        assert_eq!((prepare(&device), at("missing", Directory)), (Ok(None), Ok(None)));
        let path = "/var/tmp/no-such-directory/f".to_owned();
        let wanted = MissingHostPath { path, is_directory: false };
        assert_eq!(prepare(&host("/var/tmp/no-such-directory/f", FileOrCreate)), Ok(Some(wanted)));
    }
}
