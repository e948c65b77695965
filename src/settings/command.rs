//! The command line.

use std::{ffi::OsString, path::PathBuf};

use super::{
    error::SettingsError,
    invocation::{Invocation, Unusable},
    keys,
    layers::{Layers, Source},
};

/// The command line.
#[derive(Default)]
pub(super) struct CommandLine {
    pub(super) config: Option<PathBuf>,
    pub(super) check: bool,
    pub(super) check_settings: bool,
    pub(super) strict: bool,
    pub(super) json: bool,
    /// What to do instead of running the agent.
    pub(super) word: Option<String>,
    /// A workload's name, or an expression.
    argument: Option<String>,
    pub(super) flags: Layers,
}

impl CommandLine {
    /// The inner error is no error: it is what to print instead of anything else.
    pub(super) fn parse(
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Result<Self, String>, SettingsError> {
        use lexopt::Arg;
        let fault = |error: lexopt::Error| SettingsError(format!("command line: {error} (see --help)"));
        let mut parser = lexopt::Parser::from_args(args);
        let mut command = Self::default();
        while let Some(arg) = parser.next().map_err(fault)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(Err(keys::help())),
                Arg::Long("version") | Arg::Short('V') => {
                    return Ok(Err(concat!("device-worker-ng ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
                }
                Arg::Long("check") => command.check = true,
                Arg::Long("check-settings") => command.check_settings = true,
                Arg::Long("strict") => command.strict = true,
                Arg::Long("json") => command.json = true,
                Arg::Value(word) if command.word.is_none() || command.argument.is_none() => {
                    let text =
                        word.into_string().map_err(|bad| fault(lexopt::Error::NonUnicodeValue(bad)))?;
                    let place =
                        if command.word.is_none() { &mut command.word } else { &mut command.argument };
                    *place = Some(text);
                }
                Arg::Long("config") => command.config = Some(parser.value().map_err(fault)?.into()),
                Arg::Long(flag) => {
                    let Some(key) = keys::KEYS.iter().find(|key| key.flag == Some(flag)) else {
                        return Err(fault(arg.unexpected()));
                    };
                    let value = parser.value().map_err(fault)?;
                    let text =
                        value.into_string().map_err(|bad| fault(lexopt::Error::NonUnicodeValue(bad)))?;
                    command.flags.add(key, vec![text], Source::Flag(key.flag.unwrap_or_default()));
                }
                _ => return Err(fault(arg.unexpected())),
            }
        }
        let Some(word) = &command.word else { return Ok(Ok(command)) };
        let fault = |cause: String| Err(SettingsError(format!("command line: {cause} (see --help)")));
        match (keys::COMMANDS.iter().find(|it| it.word == word), &command.argument) {
            (None, _) => fault(format!("there is no command '{word}'")),
            (Some(keys::Command { argument: "", .. }), Some(extra)) => {
                fault(format!("'{word}' takes no '{extra}'"))
            }
            (Some(keys::Command { argument, .. }), None) if !argument.is_empty() => {
                fault(format!("'{word}' wants {argument}"))
            }
            _ => Ok(Ok(command)),
        }
    }

    /// What can be done although the settings can't be used.
    pub(super) fn despite(
        self,
        fault: SettingsError,
        runtime_dir: PathBuf,
    ) -> Result<Invocation, SettingsError> {
        // a file that isn't there was never that of an agent
        let is_there = self.config.as_ref().is_none_or(|path| path.exists());
        match self.word.as_deref() {
            Some("doctor") if is_there => {
                Ok(Invocation::Doctor(Err(Unusable { runtime_dir, fault }), self.json))
            }
            Some(word) if is_there && word != "register" => {
                Ok(Invocation::Ask { runtime_dir, words: self.words(), fault: Some(fault) })
            }
            _ => Err(fault),
        }
    }

    /// As the agent is asked.
    pub(super) fn words(self) -> Vec<String> {
        let json = self.json.then(|| "--json".to_owned());
        self.word.into_iter().chain(self.argument).chain(json).collect()
    }
}
