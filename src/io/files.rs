//! The agent's own files. What is no file where one belongs, as a pipe or a directory, is an error, and never waited
//! for.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

/// Opens a file to be read.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with_options(OpenOptions::new().read(true), path)
}

/// Opens a file as the options say.
pub(crate) fn open_with_options(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let no_file =
        || io::Error::new(io::ErrorKind::InvalidInput, "it is no file, but a pipe, directory or the like");
    let file = file.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
        // a pipe without a reader, or a socket
        Some(rustix::io::Errno::NXIO) => no_file(),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_no_file_is_an_error_and_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::create_dir(path("directory")).unwrap();
        fs::write(path("file"), "x").unwrap();
        for name in ["pipe", "directory"] {
            open(&path(name)).unwrap_err();
            open_with_options(OpenOptions::new().write(true), &path(name)).unwrap_err();
        }
        open(&path("file")).unwrap();
        assert_eq!(open(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
