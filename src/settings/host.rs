//! The machine that the settings are for.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use super::error::SettingsError;

/// What the defaults depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The effective user; root's directories are others than a user's.
    pub uid: u32,
    /// The file that names the machine.
    pub machine_id: PathBuf,
    /// Where a command looks for the settings of an agent that it wasn't told of.
    pub config: PathBuf,
    /// Where root's runtime files are.
    pub run: PathBuf,
}

impl Host {
    /// The one this process runs on.
    pub fn this() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            machine_id: "/etc/machine-id".into(),
            config: "/etc/device-worker-ng/config.yaml".into(),
            run: "/run".into(),
        }
    }
}

/// systemd's name of the machine: 32 hex digits. An image that never booted says `uninitialized` instead.
pub(super) fn machine_id(path: &Path) -> Result<String, SettingsError> {
    let fault = |cause: &str| {
        SettingsError(format!(
            "DEVICE_ID is not given, and '{}' can't take its place: {cause}",
            path.display()
        ))
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_string(&mut text));
    read.map_err(|error| fault(&error.to_string()))?;
    let id = text.trim();
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if id.len() == 32 && id.as_bytes().iter().all(is_digit) {
        return Ok(id.to_owned());
    }
    Err(fault("it does not hold 32 lower-case hex digits"))
}
