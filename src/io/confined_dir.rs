//! Files and directories below a directory that others may be able to write: no name leads out of it.
//!
//! Each step is made from the directory before it, and follows no link. A path of plain names is all that is taken.

use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Component, Path},
};

use rustix::{
    fs::{CWD, Mode, OFlags, fchmod, mkdirat, openat},
    io::Errno,
};

/// A directory to write into.
#[derive(Debug)]
pub(super) struct ConfinedDir(OwnedFd);

impl ConfinedDir {
    /// The directory at this path, which is the agent's to choose.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open_directory(CWD, path, OFlags::empty())?))
    }

    /// The directory at this path below, with these permissions whatever the umask says. What is missing of it is made.
    pub(super) fn ensure_directory(&self, path: &str, mode: u32) -> io::Result<Self> {
        let mut present = Self(self.0.try_clone()?);
        for name in plain_components(path)? {
            match mkdirat(&present.0, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            present = Self(open_directory(&present.0, name, OFlags::NOFOLLOW)?);
            fchmod(&present.0, Mode::from_raw_mode(mode))?;
        }
        Ok(present)
    }

    /// A new file at this path below, which must be free. The directories on its way are there, or are made with
    /// `directory_mode`.
    pub(super) fn create_file(
        &self,
        path: &str,
        content: &[u8],
        mode: u32,
        directory_mode: u32,
    ) -> io::Result<()> {
        plain_components(path)?;
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (self.ensure_directory(parent, directory_mode)?, name),
            None => (Self(self.0.try_clone()?), path),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&parent.0, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(mode))
    }
}

fn open_directory(from: impl AsFd, path: impl rustix::path::Arg, more: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(from, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more, Mode::empty())?)
}

/// The names that a path is made of; an error where there is another thing in it than names.
fn plain_components(path: &str) -> io::Result<Vec<&str>> {
    let is_plain = |name: &&str| {
        let mut parts = Path::new(name).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == *name)
    };
    let names: Vec<&str> = path.split('/').collect();
    match names.iter().all(is_plain) {
        true => Ok(names),
        false => Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("{path:?} is no path of plain names below the directory"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn mode(path: impl AsRef<Path>) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_are_written_below_with_their_permissions() {
        let place = tempfile::tempdir().unwrap();
        let below = ConfinedDir::open(place.path()).unwrap();
        below.create_file("a/b/c", b"1", 0o440, 0o755).unwrap();
        below.create_file("d", b"2", 0o604, 0o755).unwrap();
        assert_eq!(fs::read(place.path().join("a/b/c")).unwrap(), b"1");
        assert_eq!(mode(place.path().join("a/b/c")), 0o440);
        assert_eq!(mode(place.path().join("a")), 0o755);
        assert_eq!(mode(place.path().join("d")), 0o604);
        assert_eq!(below.create_file("d", b"3", 0o644, 0o755).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn nothing_is_written_but_below() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        let inside = place.path().join("inside");
        for directory in [&outside, &inside] {
            fs::create_dir(directory).unwrap();
            fs::set_permissions(directory, Permissions::from_mode(0o1777)).unwrap();
        }
        symlink(&outside, inside.join("link")).unwrap();
        symlink(outside.join("new"), inside.join("dangling")).unwrap();
        let below = ConfinedDir::open(&inside).unwrap();
        let absolute = outside.join("x").display().to_string();
        for path in [
            "",
            ".",
            "..",
            "../outside/x",
            "a/../../outside/x",
            &absolute,
            "a//b",
            "a/",
            "link/x",
            "dangling",
            "a\0b",
        ] {
            below.create_file(path, b"x", 0o644, 0o755).unwrap_err();
            below.ensure_directory(path, 0o755).map(drop).unwrap_err();
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!((mode(&outside), mode(&inside)), (0o1777, 0o1777));
    }
}
