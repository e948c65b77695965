//! What the command line asks for.

use std::path::PathBuf;

use super::{error::SettingsError, validated::Settings};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Invocation {
    /// Run the agent.
    Run(Box<Settings>),
    /// Say what settings and manifests mean; `true`: warnings count, too.
    Check(Box<Settings>, bool),
    /// Let a device that the server unregistered ask to be let in again.
    Register(Box<Settings>),
    /// Ask the running agent.
    Ask {
        /// Where its socket is.
        runtime_dir: PathBuf,
        /// The command, its argument and `--json`, as they were written.
        words: Vec<String>,
        /// Why the agent couldn't start with these settings.
        fault: Option<SettingsError>,
    },
    /// Look for what could keep the agent from its work; `true`: as JSON.
    Doctor(Result<Box<Settings>, Unusable>, bool),
    /// Print this, and be done.
    Print(String),
}

/// Settings that no agent could start with. One that runs can be asked all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Where the socket of the one that runs is.
    pub runtime_dir: PathBuf,
    /// The first thing that is wrong with them.
    pub fault: SettingsError,
}
