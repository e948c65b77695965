//! `conmon`, which podman has wait for each container, writes down how it ended. podman reads it there itself, and
//! has removed it when its clean-up is through.

use std::{
    ffi::{CStr, OsStr},
    fs::File,
    io::{self, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{
    Mode, OFlags,
    inotify::{self, CreateFlags, WatchFlags},
    open,
};

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// 128 + the signal that killed it.
    pub code: i32,
    /// By the wall clock, and exactly what podman says of it.
    pub at: SystemTime,
}

impl Exit {
    /// Whether it failed by itself. One that ended well or by a signal may have been stopped in order to start it
    /// again or to remove it: podman knows.
    pub fn is_own_failure(&self) -> bool {
        (1..=128).contains(&self.code)
    }
}

/// Where the `conmon` of this command line, as `/proc` has it, will write how its container ended.
pub(super) fn exit_file(cmdline: &[u8], container: &str) -> Option<PathBuf> {
    let mut arguments = cmdline.split(|byte| *byte == 0);
    arguments.find(|argument| *argument == b"--exit-dir")?;
    let directory = Path::new(OsStr::from_bytes(arguments.next()?));
    directory.is_absolute().then(|| directory.join(container))
}

/// The directories in which exits are written down.
pub(super) struct ExitFiles {
    inotify: OwnedFd,
}

impl AsFd for ExitFiles {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl ExitFiles {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)? })
    }

    /// From now on files beside this one are noticed. To watch a directory twice is to watch it once.
    pub(super) fn watch(&self, file: &Path) {
        let Some(directory) = file.parent() else { return };
        // conmon writes to another name first
        if let Err(error) = inotify::add_watch(&self.inotify, directory, WatchFlags::MOVED_TO) {
            log::debug!("failed to watch '{}': {error}", directory.display());
        }
    }

    /// Tells the names of the files that came since.
    pub(super) fn tell_new_files(&self, mut tell: impl FnMut(&str)) {
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            if let Some(Ok(name)) = event.file_name().map(CStr::to_str) {
                tell(name);
            }
        }
    }
}

/// Nothing if the file isn't there, or is none of `conmon`'s: the directory may be a user's.
pub(super) fn read(path: &Path) -> Option<Exit> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).ok()?);
    let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    let (seconds, nanoseconds) = (about.ctime().try_into().ok()?, about.ctime_nsec().try_into().ok()?);
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))?;
    Some(Exit { code: text.trim().parse().ok()?, at })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    fn the_command_line_names_the_directory() {
        let file = |cmdline: &str| exit_file(cmdline.replace(' ', "\0").as_bytes(), "5d1e");
        let cmdline = "/usr/bin/conmon -c 5d1e --exit-dir /run/libpod/exits --full-attach";
        assert_eq!(file(cmdline), Some("/run/libpod/exits/5d1e".into()));
        for without in ["/usr/bin/conmon -c 5d1e", "conmon --exit-dir", "conmon --exit-dir exits", ""] {
            assert_eq!(file(without), None, "{without}");
        }
    }

    #[test]
    fn only_what_conmon_writes_is_an_exit() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("5d1e");
        assert_eq!(read(&file), None);
        fs::write(&file, "137").unwrap();
        let exit = read(&file).unwrap();
        assert_eq!(exit.code, 137);
        assert!(exit.at.elapsed().unwrap() < Duration::from_secs(60));
        for content in ["", "x", "1 2", "99999999999"] {
            fs::write(&file, content).unwrap();
            assert_eq!(read(&file), None, "{content}");
        }
        fs::write(&file, "1").unwrap();
        symlink(&file, place.path().join("link")).unwrap();
        assert_eq!(read(&place.path().join("link")), None);
        let pipe = place.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read(&pipe), None, "nor is it waited for");
        assert_eq!(read(place.path()), None);
    }
}
