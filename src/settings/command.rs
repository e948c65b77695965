//! The command line.

use std::{ffi::OsString, path::PathBuf};

use super::{
    error::SettingsError,
    invocation::{CommandOptions, Invocation, UnusableSettings},
    keys,
    layers::{Layers, SettingSource},
    value,
};
use crate::wire::podspec::nearest::nearest_word;

/// What may be meant, or where to look.
fn did_you_mean<'a>(given: &str, known: impl Iterator<Item = &'a str>, dashes: &str) -> String {
    let near = nearest_word(given, known).map(|near| format!(": did you mean '{dashes}{near}'?"));
    near.unwrap_or_else(|| " (see --help)".to_owned())
}

/// The command line.
#[derive(Default)]
pub(super) struct CommandLine {
    pub(super) config: Option<PathBuf>,
    pub(super) check: bool,
    pub(super) check_settings: bool,
    pub(super) strict: bool,
    pub(super) json: bool,
    /// Of `stop`.
    until_changed: bool,
    /// Of `update`.
    now: bool,
    /// What to do instead of running the agent.
    pub(super) word: Option<String>,
    /// A workload's name, or an expression.
    argument: Option<String>,
    pub(super) options: CommandOptions,
    /// Flags that were given and are no setting's.
    given: Vec<&'static keys::CommandFlag>,
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
                Arg::Value(word) if command.word.is_none() || command.argument.is_none() => {
                    let text =
                        word.into_string().map_err(|bad| fault(lexopt::Error::NonUnicodeValue(bad)))?;
                    let place =
                        if command.word.is_none() { &mut command.word } else { &mut command.argument };
                    *place = Some(text);
                }
                Arg::Long("config") => command.config = Some(parser.value().map_err(fault)?.into()),
                Arg::Short('f') => command.read_flag("follow", String::new())?,
                Arg::Long(flag) => {
                    let key = keys::SETTING_KEYS.iter().find(|key| key.flag == Some(flag));
                    let own = keys::COMMAND_FLAGS.iter().find(|own| own.flag == flag);
                    if key.is_none() && own.is_none() {
                        let known = keys::SETTING_KEYS.iter().filter_map(|key| key.flag);
                        let known = known.chain(keys::COMMAND_FLAGS.iter().map(|own| own.flag));
                        let near = did_you_mean(flag, known, "--");
                        return Err(SettingsError(format!(
                            "command line: there is no flag '--{flag}'{near}"
                        )));
                    }
                    if let Some(keys::CommandFlag { flag, argument: "", .. }) = own {
                        command.read_flag(flag, String::new())?;
                        continue;
                    }
                    let value = parser.value().map_err(fault)?;
                    let text =
                        value.into_string().map_err(|bad| fault(lexopt::Error::NonUnicodeValue(bad)))?;
                    let Some(key) = key else {
                        own.map_or(Ok(()), |own| command.read_flag(own.flag, text))?;
                        continue;
                    };
                    command.flags.add(key, vec![text], SettingSource::Flag(key.flag.unwrap_or_default()));
                }
                _ => return Err(fault(arg.unexpected())),
            }
        }
        command.check_command()?;
        Ok(Ok(command))
    }

    /// Whether there is such a command, with this argument and these flags.
    fn check_command(&self) -> Result<(), SettingsError> {
        let word = self.word.as_deref().unwrap_or_default();
        if let Some(other) = self.given.iter().find(|own| !own.command.is_empty() && own.command != word) {
            return Err(SettingsError(format!(
                "command line: --{} is a flag of '{}' (see --help)",
                other.flag, other.command
            )));
        }
        if word.is_empty() {
            return Ok(());
        }
        let fault = |cause: String| Err(SettingsError(format!("command line: {cause} (see --help)")));
        match (keys::COMMANDS.iter().find(|it| it.word == word), &self.argument) {
            (None, _) => {
                let near = did_you_mean(word, keys::COMMANDS.iter().map(|it| it.word), "");
                Err(SettingsError(format!("command line: there is no command '{word}'{near}")))
            }
            (Some(keys::Command { argument: "", .. }), Some(extra)) => {
                fault(format!("'{word}' takes no '{extra}'"))
            }
            (Some(keys::Command { argument, .. }), None) if argument.starts_with(char::is_alphabetic) => {
                fault(format!("'{word}' wants {argument}"))
            }
            _ if word == "support-bundle" && self.options.output.is_none() => {
                fault(format!("'{word}' wants --output FILE"))
            }
            _ => Ok(()),
        }
    }

    /// This flag of one command was given.
    fn read_flag(&mut self, flag: &str, text: String) -> Result<(), SettingsError> {
        let CommandOptions { follow, previous, watch, since, tail, container, output } = &mut self.options;
        let wrong = |what: &str| {
            Err(SettingsError(format!("command line: --{flag} must be {what}, not '{text}' (see --help)")))
        };
        match flag {
            "check" => self.check = true,
            "check-settings" => self.check_settings = true,
            "strict" => self.strict = true,
            "json" => self.json = true,
            "until-changed" => self.until_changed = true,
            "now" => self.now = true,
            "follow" => *follow = true,
            "previous" => *previous = true,
            "watch" => *watch = true,
            "since" => match value::parse_ttl(&text) {
                Ok(Some(age)) => *since = Some(age),
                _ => return wrong("an age like 30s, 10m or 2h"),
            },
            "tail" => match text.parse() {
                Ok(lines) => *tail = Some(lines),
                Err(_) => return wrong("a number of lines"),
            },
            "output" => *output = Some(text.into()),
            _ => *container = Some(text),
        }
        self.given.extend(keys::COMMAND_FLAGS.iter().find(|own| own.flag == flag));
        Ok(())
    }

    /// What can be done although the settings can't be used.
    pub(super) fn into_settingless(
        self,
        fault: SettingsError,
        runtime_dir: PathBuf,
    ) -> Result<Invocation, SettingsError> {
        // a file that isn't there was never that of an agent
        let is_there = self.config.as_ref().is_none_or(|path| path.exists());
        match self.word.as_deref() {
            Some("doctor") if is_there => {
                Ok(Invocation::Doctor(Err(UnusableSettings { runtime_dir, fault }), self.json))
            }
            Some("support-bundle") if is_there => {
                let output = self.options.output.unwrap_or_default();
                Ok(Invocation::Bundle(Err(UnusableSettings { runtime_dir, fault }), output, self.json))
            }
            Some(word) if is_there && word != "register" => {
                let options = self.options.clone();
                Ok(Invocation::Ask {
                    runtime_dir,
                    words: self.into_agent_words(),
                    options,
                    fault: Some(fault),
                })
            }
            _ => Err(fault),
        }
    }

    /// As the agent is asked.
    pub(super) fn into_agent_words(self) -> Vec<String> {
        let json = self.json.then(|| "--json".to_owned());
        let until_changed = self.until_changed.then(|| "--until-changed".to_owned());
        let now = self.now.then(|| "--now".to_owned());
        let flags = until_changed.into_iter().chain(now).chain(json);
        self.word.into_iter().chain(self.argument).chain(flags).collect()
    }
}
