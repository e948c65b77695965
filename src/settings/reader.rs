//! Takes one key after the other, with its default, and notes what is in force.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use log::LevelFilter;

use super::{
    error::{SettingsError, fault},
    fields::{Setting, Settings},
    host::{self, Host},
    keys,
    layers::{Given, Layers, SettingSource},
    value::{self, ListenAddress, Reserve},
};
use crate::wire::{manifest::UnknownFields, podman::limits::Limits};

/// The layers on their way to [`Settings`].
pub(super) struct Reader {
    layers: Layers,
    environment: BTreeMap<OsString, OsString>,
    listing: Vec<Setting>,
}

impl Reader {
    pub(super) fn new(layers: Layers, environment: BTreeMap<OsString, OsString>) -> Self {
        Self { layers, environment, listing: Vec::new() }
    }

    /// # Errors
    /// The first key whose value can't be used.
    pub(super) fn settings(&mut self, host: &Host) -> Result<Settings, SettingsError> {
        let manifests = self.path("MANIFESTS")?;
        let unknown_fields = self.or_shown("UNKNOWN_FIELDS", value::unknown_fields, UnknownFields::Refuse)?;
        let device_id = match self.text("DEVICE_ID", value::device_id)? {
            Some(id) => id,
            None => self.default("DEVICE_ID", host::machine_id(&host.machine_id)?),
        };
        let log_level = self.or_shown("LOG_LEVEL", value::log_level, LevelFilter::Info)?;
        let metrics_listen = match self.take("METRICS_LISTEN", value::listen)? {
            Some(addresses) => addresses,
            None => ListenAddress::defaults(),
        };
        self.show("METRICS_LISTEN", &list(&metrics_listen));
        let metrics_ttl = self.text("METRICS_TTL", value::ttl)?.flatten();
        let status_page = self.or_shown("STATUS_PAGE", value::switch, false)?;
        let xdg_runtime_dir = self.xdg_runtime_dir(host)?;
        let state_dir = self.state_dir(host)?;
        let runtime_dir = self.runtime_dir(host)?;
        let memory_reserve = self.or_shown("MEMORY_RESERVE", value::reserve, Reserve::MEMORY)?;
        let disk_reserve = self.or_shown("DISK_RESERVE", value::reserve, Reserve::DISK)?;
        let limits = self.limits()?;
        let podman_socket = self.path_or("PODMAN_SOCKET", "/run/podman/podman.sock")?;
        let server = self.text("SERVER", value::server)?;
        let server_name = self.text("SERVER_NAME", value::host_name)?;
        let (ca_root, cert, key) = (self.path("CA_ROOT")?, self.path("CERT")?, self.path("KEY")?);
        let namespace = self.or_shown("NAMESPACE", value::namespace, "default".to_owned())?;
        let proxy = self.text("PROXY", value::proxy)?;
        let kubeconfig = self.kubeconfig()?;
        self.text("GRACEFUL_SHUTDOWN", |_| Ok(()))?;
        let position = |setting: &Setting| keys::KEYS.iter().position(|key| key.name == setting.key);
        self.listing.sort_unstable_by_key(position);
        Ok(Settings {
            device_id,
            log_level,
            manifests,
            unknown_fields,
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
            in_cluster_server: self.in_cluster_server(),
            listing: std::mem::take(&mut self.listing),
        })
    }

    fn state_dir(&mut self, host: &Host) -> Result<PathBuf, SettingsError> {
        if let Some(path) = self.path("STATE_DIR")? {
            return Ok(path);
        }
        if host.uid == 0 {
            return Ok(self.default_path("STATE_DIR", "/var/lib/device-worker-ng".into()));
        }
        let home = || self.variable("HOME").map(|home| home.join(".local/state"));
        let base = self.variable("XDG_STATE_HOME").or_else(home).ok_or_else(|| {
            SettingsError("STATE_DIR is not given, and neither XDG_STATE_HOME nor HOME is set".to_owned())
        })?;
        Ok(self.default_path("STATE_DIR", base.join("device-worker-ng")))
    }

    fn limits(&mut self) -> Result<Limits, SettingsError> {
        Ok(Limits {
            memory: self.text("DEFAULT_MEMORY_LIMIT", value::memory_limit)?.flatten(),
            cpu: self.text("DEFAULT_CPU_LIMIT", value::cpu_limit)?.flatten(),
            pids: self.or_shown("DEFAULT_PIDS_LIMIT", value::pids_limit, Limits::default().pids)?,
        })
    }

    fn kubeconfig(&mut self) -> Result<Option<PathBuf>, SettingsError> {
        Ok(match (self.path("KUBECONFIG")?, self.variable("KUBECONFIG")) {
            (None, Some(named)) => Some(self.default_path("KUBECONFIG", named)),
            (given, _) => given,
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

    pub(super) fn runtime_dir(&mut self, host: &Host) -> Result<PathBuf, SettingsError> {
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
            self.listing.push(Setting { key, value: "none".to_owned(), source: SettingSource::Default });
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

    fn path_or(&mut self, key: &'static str, default: &str) -> Result<PathBuf, SettingsError> {
        Ok(match self.path(key)? {
            Some(path) => path,
            None => self.default_path(key, default.into()),
        })
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        self.environment.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn in_cluster_server(&self) -> Option<String> {
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

pub(super) fn list(addresses: &[ListenAddress]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
