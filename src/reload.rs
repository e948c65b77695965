//! SIGHUP: the settings are read again, by a process that takes this one's place. So they are read in one way only, and
//! running pods are adopted. A binary that was upgraded meanwhile is the one that starts.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt, process::CommandExt},
    process::Command,
};

use crate::{
    io::metrics::{self, Handover},
    settings::{Host, Settings},
};

/// Whether the settings can be read again. Those that turn out bad change nothing: the agent goes on with what it has.
///
/// # Errors
/// What is wrong with them.
pub fn check_settings(arguments: &[OsString]) -> Result<(), String> {
    match Settings::load(arguments.iter().cloned(), env::vars_os(), &Host::this()) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts the binary anew in this process. Comes back only if that fails, and says why.
pub fn start_anew(arguments: &[OsString], handover: &Handover) -> String {
    let path = env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let path = path.as_os_str().as_bytes();
    let path = OsStr::from_bytes(path.strip_suffix(b" (deleted)").unwrap_or(path));
    log::info!("starting again to read the settings");
    log::logger().flush();
    let left = handover.environment().into_iter().chain([metrics::inherited_receivers_env()]);
    let error = Command::new(path).args(arguments).envs(left).exec();
    format!("failed to start '{}' again: {error}", path.display())
}
