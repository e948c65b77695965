//! What the command line asks for.

use std::{path::PathBuf, time::Duration};

use super::{error::SettingsError, fields::Settings};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Invocation {
    /// Run the agent.
    Run(Box<Settings>),
    /// Say what settings and manifests mean; `true`: warnings count, too; `true`: as JSON.
    Check(Box<Settings>, bool, bool),
    /// Let a device that the server unregistered ask to be let in again.
    Register(Box<Settings>),
    /// Ask the running agent.
    Ask {
        /// Where its socket is.
        runtime_dir: PathBuf,
        /// The command, its argument and `--json`, as they were written.
        words: Vec<String>,
        /// The flags of single commands.
        options: CommandOptions,
        /// Why the agent couldn't start with these settings.
        fault: Option<SettingsError>,
    },
    /// Look for what could keep the agent from its work; `true`: as JSON.
    Doctor(Result<Box<Settings>, UnusableSettings>, bool),
    /// Write all that helps people elsewhere into this file; `true`: say so as JSON.
    Bundle(Result<Box<Settings>, UnusableSettings>, PathBuf, bool),
    /// Print this, and be done.
    Print(String),
}

/// The flags of single commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandOptions {
    /// Go on with what comes.
    pub follow: bool,
    /// Of the run before the present one.
    pub previous: bool,
    /// Again and again.
    pub watch: bool,
    /// What is not older.
    pub since: Option<Duration>,
    /// So many lines at the end.
    pub tail: Option<u32>,
    /// Of this container only.
    pub container: Option<String>,
    /// The file to write.
    pub output: Option<PathBuf>,
}

impl CommandOptions {
    /// Whether the container of this name is meant.
    pub fn includes_container(&self, container: &str) -> bool {
        self.container.as_ref().is_none_or(|wanted| wanted == container)
    }
}

/// Settings that no agent could start with. One that runs can be asked all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableSettings {
    /// Where the socket of the one that runs is.
    pub runtime_dir: PathBuf,
    /// The first thing that is wrong with them.
    pub fault: SettingsError,
}
