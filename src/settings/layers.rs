//! Where a setting's text comes from: flags over the environment over the file over credentials.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use super::{
    error::{self, SettingsError},
    host::Host,
    keys::{self, SettingKey},
};
use crate::{
    agent::model::gather::gather,
    wire::{field::FieldPath, yaml},
};

const ENV_PREFIX: &str = "EDGE_DEVICE_";
/// The keys whose files may be credentials, and what these are called then.
const CREDENTIAL_NAMES: [(&str, &str); 4] =
    [("CA_ROOT", "ca-root"), ("CERT", "cert"), ("KEY", "key"), ("KUBECONFIG", "kubeconfig")];
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingSource {
    /// On the command line.
    Flag(&'static str),
    /// In the environment.
    Environment(&'static str),
    /// In the settings' file.
    File {
        /// As `--config` names it.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// By the service manager, as a credential of this name.
    Credential(&'static str),
    /// Nowhere.
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(key) => write!(f, "{ENV_PREFIX}{key}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting's text, and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenValue {
    pub(super) items: Vec<String>,
    pub(super) source: SettingSource,
}

/// What was given for each key. An empty text counts as not given, as with the model.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<&'static str, GivenValue>);

impl Layers {
    pub(super) fn get(&self, key: &str) -> Option<&GivenValue> {
        self.0.get(key)
    }

    /// Puts another layer's values over these.
    pub(super) fn overlay(&mut self, upper: Layers) {
        self.0.extend(upper.0);
    }

    pub(super) fn add(&mut self, key: &'static SettingKey, mut items: Vec<String>, source: SettingSource) {
        items.retain(|item| !item.trim().is_empty());
        if !items.is_empty() {
            self.0.insert(key.name, GivenValue { items, source });
        }
    }

    /// The files that a unit's `LoadCredential=` brought, by their names. A command from a shell finds those of the
    /// unit too, while it runs.
    pub(super) fn from_credentials(host: &Host, environment: &BTreeMap<OsString, OsString>) -> Self {
        let variable = |name: &str| environment.get(OsStr::new(name)).map(PathBuf::from);
        let run = || if host.uid == 0 { Some(host.run.clone()) } else { variable("XDG_RUNTIME_DIR") };
        let unit = || run().map(|run| run.join("credentials/device-worker-ng.service"));
        let directory = variable("CREDENTIALS_DIRECTORY").or_else(unit);
        let mut layer = Self::default();
        for (key, name) in CREDENTIAL_NAMES {
            if let (Some(key), Some(path)) = (keys::find(key), directory.as_ref().map(|it| it.join(name)))
                && path.exists()
            {
                layer.add(key, vec![path.to_string_lossy().into_owned()], SettingSource::Credential(name));
            }
        }
        layer
    }

    pub(super) fn from_environment(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let mut layer = Self::default();
        for (name, value) in variables {
            let Some(key) = name.to_str().and_then(|name| name.strip_prefix(ENV_PREFIX)) else { continue };
            let fault = |cause: &str| {
                let items = [value.to_string_lossy().into_owned()];
                error::settings_error(
                    &format!("environment variable {ENV_PREFIX}{key}"),
                    &items,
                    &format!(": {cause}"),
                )
            };
            let known = keys::find(key).ok_or_else(|| fault("there is no such setting (see --help)"))?;
            let text = value.to_str().ok_or_else(|| fault("is not UTF-8"))?;
            layer.add(known, vec![text.to_owned()], SettingSource::Environment(known.name));
        }
        Ok(layer)
    }

    /// The file that the agent on this machine is likely to use, if there is one: the user's own, or root's.
    pub(super) fn from_default_file(
        host: &Host,
        environment: &BTreeMap<OsString, OsString>,
    ) -> (Self, Option<SettingsError>) {
        let variable = |name: &str| environment.get(OsStr::new(name)).map(PathBuf::from);
        let home = || variable("HOME").map(|home| home.join(".config"));
        let own = variable("XDG_CONFIG_HOME").or_else(home).filter(|_| host.uid != 0);
        let own = own.map(|directory| directory.join("device-worker-ng/config.yaml"));
        let found = own.into_iter().chain([host.config.clone()]).find(|path| path.exists());
        found.map(|path| Self::from_file(&path)).unwrap_or_default()
    }

    /// What can be understood of a file, and the first thing that can't.
    pub(super) fn from_file(path: &Path) -> (Self, Option<SettingsError>) {
        let mut layer = Self::default();
        let fault = layer.read_file(path).err();
        (layer, fault)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let fault = |cause: String| SettingsError(format!("settings file '{}': {cause}", path.display()));
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
        read.map_err(|error| fault(error.to_string()))?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(fault(format!("is larger than {MAX_FILE_BYTES} bytes")));
        }
        if yaml::split_documents(text.as_bytes()).is_empty() {
            return Ok(());
        }
        let line = |name: &str| yaml::line_of(&text, &FieldPath::from([name]));
        let wrong = |name: &str, items: &[String], cause: &str| {
            let what = format!("settings file '{}': line {}: {name}", path.display(), line(name));
            error::settings_error(&what, items, &format!(": {cause}"))
        };
        let mut pairs = KeyTexts::default();
        let mut result = pairs.understand(&text).map_err(|error| match &pairs.begun {
            Some(name) => {
                let cause = error.to_string().replacen(&format!("{name}: "), "", 1);
                wrong(name, &[written(&text, line(name))], &cause)
            }
            None => fault(error.to_string()),
        });
        if result.is_err() {
            pairs = salvage_runtime_dir(&text);
        }
        for (at, (name, items)) in pairs.all.iter().enumerate() {
            if let Some((_, first)) = pairs.all[..at].iter().find(|(other, _)| other == name) {
                result = result.and(Err(wrong(name, &[&**first, items].concat(), "is given twice")));
            } else if let Some(known) = keys::find(name) {
                let source = SettingSource::File { path: path.to_owned(), line: line(name) };
                self.add(known, items.clone(), source);
            } else {
                let hint = match keys::find(&name.to_uppercase()) {
                    Some(known) => format!("write {}", known.name),
                    None => "see --help".to_owned(),
                };
                let cause = format!("there is no such setting ({hint})");
                result = result.and(Err(wrong(name, items, &cause)));
            }
        }
        result
    }
}

/// Where a command finds the agent, although the file that says so is broken elsewhere.
fn salvage_runtime_dir(text: &str) -> KeyTexts {
    let mut pairs = KeyTexts::default();
    let line = text.lines().find(|line| line.starts_with("RUNTIME_DIR:"));
    match line.map(|line| pairs.understand(line)) {
        Some(Ok(())) => pairs,
        _ => KeyTexts::default(),
    }
}

/// What stands in the file for the value of the key in this line.
fn written(text: &str, line: usize) -> String {
    let mut lines = text.lines().skip(line.saturating_sub(1));
    let first = lines.next().and_then(|line| line.split_once(':')).map_or("", |(_, value)| value);
    let more = lines.take_while(|line| line.starts_with([' ', '-']));
    let parts = std::iter::once(first).chain(more).map(str::trim).filter(|part| !part.is_empty());
    gather::<Vec<_>, _>(parts).join(" ")
}

/// A file's settings in their order, as the texts that were written: `DEVICE_ID: 0012` keeps its zeros.
#[derive(Default)]
struct KeyTexts {
    all: Vec<(String, Vec<String>)>,
    /// The key whose value can't be read.
    begun: Option<String>,
}

impl KeyTexts {
    fn understand(&mut self, text: &str) -> Result<(), serde_yaml::Error> {
        yaml::check_bounds(text)?;
        serde_yaml::Deserializer::from_str(text).deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut KeyTexts {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings, `KEY: value`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(key) = access.next_key::<String>()? {
            if self.all.len() > keys::SETTING_KEYS.len() {
                return Err(A::Error::custom("more settings than there are"));
            }
            self.begun = Some(key.clone());
            let items = if key == "METRICS_LISTEN" {
                access.next_value::<TextItems>()?.0
            } else {
                access.next_value::<Option<String>>()?.into_iter().collect()
            };
            self.begun = None;
            self.all.push((key, items));
        }
        Ok(())
    }
}

/// One text, or a list of them.
struct TextItems(Vec<String>);

impl<'de> Deserialize<'de> for TextItems {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;

        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = TextItems;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_unit<E: Error>(self) -> Result<TextItems, E> {
                Ok(TextItems(Vec::new()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TextItems, E> {
                Ok(TextItems(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<TextItems, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    if items.len() == 16 {
                        return Err(A::Error::custom("at most 16 items"));
                    }
                    items.push(item);
                }
                Ok(TextItems(items))
            }
        }

        deserializer.deserialize_any(ItemsVisitor)
    }
}
