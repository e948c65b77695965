//! Unix sockets that the agent listens on, in directories that others may be able to write: a pod may have one mounted.
//!
//! What a name leads to there may be another thing a moment later. So nothing is done to a name but to make and to
//! remove it, which follow no link; permissions and the question whether it is listened on are for an inode that is held open.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, fchmod, openat, unlinkat},
    io::Errno,
    net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt::socket_peercred},
};

/// A socket that has a name.
#[derive(Debug)]
pub(super) struct NamedUnixListener {
    socket: OwnedFd,
    path: PathBuf,
    /// Of its file.
    identity: (u64, u64),
}

impl NamedUnixListener {
    /// Takes the place of what an earlier agent left there; what is listened on stays, and so does what is no
    /// socket. A directory that is missing is made, for all to enter.
    pub(super) fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        let directory =
            openat(CWD, directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        remove_stale(&directory, name)?;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // its file gets these, less what the umask takes
        fchmod(&socket, Mode::from_raw_mode(mode))?;
        net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        let file = open(&directory, name)?;
        let about = file.metadata()?;
        if !about.file_type().is_socket() {
            return Err(io::Error::other("another file took its place"));
        }
        if about.mode() & 0o777 != mode {
            fs::set_permissions(proc_fd_path(&file), Permissions::from_mode(mode))?;
        }
        net::listen(&socket, 128)?;
        Ok(Self { socket, path: path.to_owned(), identity: file_identity(&about) })
    }

    /// Goes on with a socket that an earlier process bound to this path.
    ///
    /// # Errors
    /// The path leads to it no more.
    pub(super) fn take_over(socket: OwnedFd, path: &Path) -> io::Result<Self> {
        // who connects is told which process called this last: that makes it known as this one
        net::listen(&socket, 128)?;
        let file = open(CWD, path.as_os_str())?;
        match connect(&file) {
            Ok(probe) if socket_peercred(&probe)?.pid == rustix::process::getpid() => {}
            Err(Errno::AGAIN) => {} // as many wait as can: the receiver will see to them
            _ => return Err(io::Error::other("its path leads to another one")),
        }
        Ok(Self { socket, path: path.to_owned(), identity: file_identity(&file.metadata()?) })
    }

    /// Whether its name still leads to it: without, no client can come.
    pub(super) fn is_path_current(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|about| file_identity(&about) == self.identity)
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }
}

fn file_identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

/// The file itself, whatever it is.
fn open(directory: impl AsFd, name: &OsStr) -> rustix::io::Result<File> {
    openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).map(File::from)
}

/// A path to what is held open, whatever its name leads to by now.
fn proc_fd_path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Without blocking: a listener whose backlog is full would let us wait for ever.
fn connect(file: &File) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    net::connect(&socket, &SocketAddrUnix::new(proc_fd_path(file))?)?;
    Ok(socket)
}

fn remove_stale(directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let file = match open(directory, name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    match connect(&file) {
        Err(Errno::CONNREFUSED) => Ok(unlinkat(directory, name, AtFlags::empty())?),
        _ => Ok(()), // and bind says that it is in use
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Read,
        os::unix::{
            fs::{PermissionsExt, symlink},
            net::{UnixListener, UnixStream},
        },
        process::{Command, Stdio},
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;

    const ALL: u32 = 0o666;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// A directory, where a socket will be in it, and a file that is not for all.
    fn beside_a_secret() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let (path, secret) = (place.path().join("socket"), place.path().join("secret"));
        fs::write(&secret, "").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        (place, path, secret)
    }

    #[test]
    fn a_socket_has_its_permissions_and_takes_the_place_of_a_stale_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("new/socket");
        for wanted in [0o600, 0o666] {
            let listener = NamedUnixListener::bind(&path, wanted).unwrap();
            assert_eq!(mode(&path), wanted);
            assert!(listener.is_path_current());
            UnixStream::connect(&path).unwrap();
            assert_eq!(NamedUnixListener::bind(&path, ALL).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn a_socket_without_its_name_is_not_there_and_another_takes_its_place() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run/socket");
        let lost = NamedUnixListener::bind(&path, ALL).unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(!lost.is_path_current());
        let found = NamedUnixListener::bind(&path, ALL).unwrap();
        assert!(found.is_path_current() && !lost.is_path_current());
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_socket_is_taken_over_unless_another_has_its_name() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let first = NamedUnixListener::bind(&path, ALL).unwrap();
        let left = || first.socket().try_clone().unwrap();
        let next = NamedUnixListener::take_over(left(), &path).unwrap();
        assert_eq!((next.identity, next.is_path_current()), (first.identity, true));
        fs::remove_file(&path).unwrap();
        NamedUnixListener::take_over(left(), &path).unwrap_err();
        let other = Command::new("python3")
            .args([
                "-c",
                "import socket,sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); \
                   print(flush=True); sys.stdin.read()",
            ])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut other = other.unwrap();
        other.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        NamedUnixListener::take_over(left(), &path).unwrap_err();
        drop(other.stdin.take());
        other.wait().unwrap();
    }

    #[test]
    fn what_is_no_socket_stays_and_is_not_followed() {
        let (_place, path, secret) = beside_a_secret();
        symlink(&secret, &path).unwrap();
        let error = NamedUnixListener::bind(&path, ALL).unwrap_err();
        assert_eq!(error.to_string(), "there is a file that is no socket");
        assert_eq!(mode(&secret), 0o600);
    }

    #[test]
    fn a_link_in_the_place_of_the_socket_is_not_followed() {
        let (place, path, secret) = beside_a_secret();
        // without a listener: a link to one would only let it be asked for a connection
        drop(UnixListener::bind(place.path().join("other")).unwrap());
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let link = place.path().join("link");
                    let _ = symlink(&secret, &link);
                    let _ = fs::rename(&link, &path);
                    let _ = fs::remove_file(&path);
                }
            });
            for _ in 0..2_000 {
                drop(NamedUnixListener::bind(&path, ALL));
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(mode(&secret), 0o600);
    }
}
