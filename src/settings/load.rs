//! From arguments, environment and files to what is to be done.

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    command::CommandLine, error::SettingsError, fields::Settings, host::Host, invocation::Invocation,
    layers::Layers, reader::SettingsReader,
};

impl Settings {
    /// Reads the command line (without the program's name), the environment, and the file that `--config` names.
    ///
    /// # Errors
    /// The first thing that can't be used: an unknown flag, variable or key, a bad value, an unreadable file;
    /// or that neither `SERVER` nor `MANIFESTS` is given.
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        host: &Host,
    ) -> Result<Invocation, SettingsError> {
        let mut command = match CommandLine::parse(args)? {
            Ok(command) => command,
            Err(text) => return Ok(Invocation::Print(text)),
        };
        let given = environment;
        let mut environment = BTreeMap::new();
        environment.extend(given); // smaller than collected, see agent::gather
        // Lowest: a file that is named is meant.
        let mut layers = Layers::from_credentials(host, &environment);
        let (file, fault) = match &command.config {
            Some(path) => Layers::from_file(path),
            None if command.word.is_some() || command.check => Layers::from_default_file(host, &environment),
            None => Default::default(),
        };
        layers.overlay(file);
        layers.overlay(Layers::from_environment(environment.clone())?);
        layers.overlay(std::mem::take(&mut command.flags));
        let mut reader = SettingsReader::new(layers, environment);
        let settings = match fault.map_or_else(|| reader.settings(host), Err) {
            Ok(settings) => Box::new(settings),
            Err(fault) => return command.into_settingless(fault, reader.runtime_dir(host)?),
        };
        let has_source = settings.manifests.is_some() || settings.server.is_some();
        if !has_source && (command.word.is_none() || command.word.as_deref() == Some("register")) {
            return Err(SettingsError(
                "neither MANIFESTS nor SERVER is given: nothing says what to run (see --help)".to_owned(),
            ));
        }
        Ok(match command.word.as_deref() {
            _ if command.check_settings => Invocation::Print(String::new()),
            _ if command.check => Invocation::Check(settings, command.strict, command.json),
            None => Invocation::Run(settings),
            Some("register") => Invocation::Register(settings),
            Some("doctor") => Invocation::Doctor(Ok(settings), command.json),
            Some("support-bundle") => {
                let output = command.options.output.take().unwrap_or_default();
                Invocation::Bundle(Ok(settings), output, command.json)
            }
            Some(_) => {
                let options = std::mem::take(&mut command.options);
                let runtime_dir = settings.runtime_dir;
                Invocation::Ask { runtime_dir, words: command.into_agent_words(), options, fault: None }
            }
        })
    }
}
