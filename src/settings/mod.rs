//! Settings: flags > environment > file > defaults, every value checked before anything starts.

mod command;
mod error;
mod host;
pub(crate) mod keys;
mod layers;
mod value;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use command::CommandLine;
pub use error::SettingsError;
pub use host::Host;
pub use layers::Source;
use layers::{Given, Layers};
pub use value::{ListenAddress, Reserve};

use crate::{agent::legible, wire::podman::pod::Limits};

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

/// Everything that can be set, valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This device's name, lower-case DNS-1123.
    pub device_id: String,
    /// What to log.
    pub log_level: log::LevelFilter,
    /// The directory of manifests.
    pub manifests: Option<PathBuf>,
    /// Where to listen for metrics; at least one.
    pub metrics_listen: Vec<ListenAddress>,
    /// How long a metric counts; `None`: until the next post.
    pub metrics_ttl: Option<Duration>,
    /// Whether there is a status page.
    pub status_page: bool,
    /// What must survive a reboot.
    pub state_dir: PathBuf,
    /// What must survive the process, but no reboot.
    pub runtime_dir: PathBuf,
    /// The memory that shall stay free.
    pub memory_reserve: Reserve,
    /// What shall stay free of each disk.
    pub disk_reserve: Reserve,
    /// For containers whose author set none.
    pub limits: Limits,
    /// The API socket of the podman that isn't rootless.
    pub podman_socket: PathBuf,
    /// The API socket of the user's own podman.
    pub rootless_podman_socket: PathBuf,
    /// The edge API's URL: `https`, with a host.
    pub server: Option<String>,
    /// The name in the server's certificate, when it isn't the host of `server`.
    pub server_name: Option<String>,
    /// Whom to trust as the server's CA: a PEM file.
    pub ca_root: Option<PathBuf>,
    /// The bootstrap certificate: a PEM file.
    pub cert: Option<PathBuf>,
    /// Its key: a PEM file.
    pub key: Option<PathBuf>,
    /// The namespace to enrol into.
    pub namespace: String,
    /// The proxy's URL.
    pub proxy: Option<String>,
    /// The Kubernetes client's configuration.
    pub kubeconfig: Option<PathBuf>,
    /// The URL of the API server that a pod's environment names.
    pub kubernetes_service: Option<String>,
    /// Each setting as it is in force, for people.
    pub listing: Vec<Setting>,
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its value; `none` when there is none.
    pub value: String,
    /// Where it was given.
    pub source: Source,
}

impl Settings {
    /// The unix sockets that posts are taken at.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let path = |address: &ListenAddress| match address {
            ListenAddress::Unix(path) => Some(path.clone()),
            ListenAddress::Tcp(_) => None,
        };
        self.metrics_listen.iter().filter_map(path).collect()
    }

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
        // Lowest, as a file that somebody names is no accident.
        let mut layers = Layers::credentials(host, &environment);
        let (file, fault) = match &command.config {
            Some(path) => Layers::file(path),
            None if command.word.is_some() || command.check => Layers::usual(host, &environment),
            None => Default::default(),
        };
        layers.cover(file);
        layers.cover(Layers::environment(environment.clone())?);
        layers.cover(std::mem::take(&mut command.flags));
        let mut reader = Reader { layers, environment, listing: Vec::new() };
        let settings = match fault.map_or_else(|| reader.settings(host), Err) {
            Ok(settings) => Box::new(settings),
            Err(fault) => return command.despite(fault, reader.runtime_dir(host)?),
        };
        let has_source = settings.manifests.is_some() || settings.server.is_some();
        if !has_source && (command.word.is_none() || command.word.as_deref() == Some("register")) {
            return Err(SettingsError(
                "neither MANIFESTS nor SERVER is given: nothing says what to run (see --help)".to_owned(),
            ));
        }
        Ok(match command.word.as_deref() {
            _ if command.check_settings => Invocation::Print(String::new()),
            _ if command.check => Invocation::Check(settings, command.strict),
            None => Invocation::Run(settings),
            Some("register") => Invocation::Register(settings),
            Some("doctor") => Invocation::Doctor(Ok(settings), command.json),
            Some(_) => {
                Invocation::Ask { runtime_dir: settings.runtime_dir, words: command.words(), fault: None }
            }
        })
    }
}

/// Takes one key after the other, and notes what is in force.
struct Reader {
    layers: Layers,
    environment: BTreeMap<OsString, OsString>,
    listing: Vec<Setting>,
}

impl Reader {
    fn settings(&mut self, host: &Host) -> Result<Settings, SettingsError> {
        let is_root = host.uid == 0;
        let manifests = self.path("MANIFESTS")?;
        let device_id = match self.text("DEVICE_ID", value::device_id)? {
            Some(id) => id,
            None => self.default("DEVICE_ID", host::machine_id(&host.machine_id)?),
        };
        let log_level = self.text("LOG_LEVEL", value::log_level)?;
        let log_level = log_level.unwrap_or_else(|| {
            self.default("LOG_LEVEL", "info".to_owned());
            log::LevelFilter::Info
        });
        let metrics_listen = match self.take("METRICS_LISTEN", value::listen)? {
            Some(addresses) => addresses,
            None => ListenAddress::defaults(),
        };
        self.show("METRICS_LISTEN", &list(&metrics_listen));
        let metrics_ttl = self.text("METRICS_TTL", value::ttl)?.flatten();
        let status_page = self.or_shown("STATUS_PAGE", value::switch, false)?;
        let xdg_runtime_dir = self.xdg_runtime_dir(host)?;
        let state_dir = match self.path("STATE_DIR")? {
            Some(path) => path,
            None if is_root => self.default_path("STATE_DIR", "/var/lib/device-worker-ng".into()),
            None => {
                let home = || self.variable("HOME").map(|home| home.join(".local/state"));
                let base = self.variable("XDG_STATE_HOME").or_else(home).ok_or_else(|| {
                    SettingsError(
                        "STATE_DIR is not given, and neither XDG_STATE_HOME nor HOME is set".to_owned(),
                    )
                })?;
                self.default_path("STATE_DIR", base.join("device-worker-ng"))
            }
        };
        let runtime_dir = self.runtime_dir(host)?;
        let memory_reserve = self.or_shown("MEMORY_RESERVE", value::reserve, Reserve::MEMORY)?;
        let disk_reserve = self.or_shown("DISK_RESERVE", value::reserve, Reserve::DISK)?;
        let limits = Limits {
            memory: self.text("DEFAULT_MEMORY_LIMIT", value::memory_limit)?.flatten(),
            cpu: self.text("DEFAULT_CPU_LIMIT", value::cpu_limit)?.flatten(),
            pids: self.or_shown("DEFAULT_PIDS_LIMIT", value::pids_limit, Limits::default().pids)?,
        };
        let podman_socket = match self.path("PODMAN_SOCKET")? {
            Some(path) => path,
            None => self.default_path("PODMAN_SOCKET", "/run/podman/podman.sock".into()),
        };
        let server = self.text("SERVER", value::server)?;
        let server_name = self.text("SERVER_NAME", value::host_name)?;
        let (ca_root, cert, key) = (self.path("CA_ROOT")?, self.path("CERT")?, self.path("KEY")?);
        let namespace = match self.text("NAMESPACE", value::namespace)? {
            Some(name) => name,
            None => self.default("NAMESPACE", "default".to_owned()),
        };
        let proxy = self.text("PROXY", value::proxy)?;
        let kubeconfig = match (self.path("KUBECONFIG")?, self.variable("KUBECONFIG")) {
            (None, Some(named)) => Some(self.default_path("KUBECONFIG", named)),
            (given, _) => given,
        };
        self.text("GRACEFUL_SHUTDOWN", |_| Ok(()))?;
        let position = |setting: &Setting| keys::KEYS.iter().position(|key| key.name == setting.key);
        self.listing.sort_by_key(position);
        Ok(Settings {
            device_id,
            log_level,
            manifests,
            metrics_listen,
            metrics_ttl,
            status_page,
            state_dir,
            runtime_dir,
            memory_reserve,
            disk_reserve,
            limits,
            podman_socket,
            rootless_podman_socket: xdg_runtime_dir.join("podman/podman.sock"),
            server,
            server_name,
            ca_root,
            cert,
            key,
            namespace,
            proxy,
            kubeconfig,
            kubernetes_service: self.kubernetes_service(),
            listing: std::mem::take(&mut self.listing),
        })
    }

    fn xdg_runtime_dir(&mut self, host: &Host) -> Result<PathBuf, SettingsError> {
        if let Some(path) = self.path("XDG_RUNTIME_DIR")? {
            return Ok(path);
        }
        let named = self.variable("XDG_RUNTIME_DIR");
        let named = named.unwrap_or_else(|| format!("/run/user/{}", host.uid).into());
        Ok(self.default_path("XDG_RUNTIME_DIR", named))
    }

    fn runtime_dir(&mut self, host: &Host) -> Result<PathBuf, SettingsError> {
        if let Some(path) = self.path("RUNTIME_DIR")? {
            return Ok(path);
        }
        let path = match host.uid {
            0 => "/run/device-worker-ng".into(),
            _ => self.xdg_runtime_dir(host)?.join("device-worker-ng"),
        };
        Ok(self.default_path("RUNTIME_DIR", path))
    }

    /// The key's value, if it was given.
    fn take<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&[String]) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(Given { items, source }) = self.layers.get(key) else {
            self.listing.push(Setting { key, value: "none".to_owned(), source: Source::Default });
            return Ok(None);
        };
        let value = items.join(", ");
        let parsed = parse(items)
            .map_err(|cause| fault(&format!("setting {key}"), items, &format!(" from {source}: {cause}")))?;
        self.listing.push(Setting { key, value, source: source.clone() });
        Ok(Some(parsed))
    }

    fn text<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        self.take(key, |items| parse(items.first().map_or("", |item| item.trim())))
    }

    /// The same; without it the default, which the listing shows as the table of keys has it.
    fn or_shown<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        default: T,
    ) -> Result<T, SettingsError> {
        Ok(self.text(key, parse)?.unwrap_or_else(|| {
            self.show(key, keys::find(key).map_or("", |key| key.default));
            default
        }))
    }

    fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>, SettingsError> {
        self.text(key, |text| Ok(text.into()))
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        self.environment.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn kubernetes_service(&self) -> Option<String> {
        let text = |name| self.variable(name)?.into_os_string().into_string().ok();
        let (host, port) = (text("KUBERNETES_SERVICE_HOST")?, text("KUBERNETES_SERVICE_PORT")?);
        let is_ipv6 = host.contains(':');
        Some(if is_ipv6 { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") })
    }

    /// Corrects what the listing says of a key.
    fn show(&mut self, key: &str, value: &str) {
        if let Some(setting) = self.listing.iter_mut().find(|setting| setting.key == key) {
            value.clone_into(&mut setting.value);
        }
    }

    fn default(&mut self, key: &str, value: String) -> String {
        self.show(key, &value);
        value
    }

    fn default_path(&mut self, key: &str, path: PathBuf) -> PathBuf {
        self.show(key, &path.display().to_string());
        path
    }
}

/// Whatever was meant, what looks like the login in a URL is not shown.
fn fault(what: &str, items: &[String], cause: &str) -> SettingsError {
    let shown: Vec<_> = items.iter().map(|item| legible::without_login(item)).collect();
    SettingsError(format!("{what}, '{}'{cause}", shown.join(", ")))
}

fn list(addresses: &[ListenAddress]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
