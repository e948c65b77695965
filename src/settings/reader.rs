//! Takes one key after the other, with its default, and notes what is in force.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use log::LevelFilter;

use super::{
    error::{SettingsError, settings_error},
    fields::{Setting, Settings},
    host::{self, Host},
    keys,
    layers::{GivenValue, Layers, SettingSource},
    value::{self, ListenAddress, Reserve},
};
use crate::wire::{manifest::UnknownFields, podman::limits::DefaultLimits};

/// The layers on their way to [`Settings`].
pub(super) struct SettingsReader {
    layers: Layers,
    environment: BTreeMap<OsString, OsString>,
    listing: Vec<Setting>,
}

impl SettingsReader {
    pub(super) fn new(layers: Layers, environment: BTreeMap<OsString, OsString>) -> Self {
        Self { layers, environment, listing: Vec::new() }
    }

    /// # Errors
    /// The first key whose value can't be used.
    pub(super) fn settings(&mut self, host: &Host) -> Result<Settings, SettingsError> {
        let manifests = self.path("MANIFESTS")?;
        let unknown_fields =
            self.text_or_default("UNKNOWN_FIELDS", value::parse_unknown_fields, UnknownFields::Refuse)?;
        let device_id = match self.parse_text("DEVICE_ID", value::parse_device_id)? {
            Some(id) => id,
            None => self.default("DEVICE_ID", host::machine_id(&host.machine_id)?),
        };
        let log_level = self.text_or_default("LOG_LEVEL", value::parse_log_level, LevelFilter::Info)?;
        let metrics_listen = match self.parse_items("METRICS_LISTEN", value::parse_listen_addresses)? {
            Some(addresses) => addresses,
            None => ListenAddress::defaults(),
        };
        self.set_listed_value("METRICS_LISTEN", &join_addresses(&metrics_listen));
        let metrics_ttl = self.parse_text("METRICS_TTL", value::parse_ttl)?.flatten();
        let status_page = self.text_or_default("STATUS_PAGE", value::parse_switch, false)?;
        let xdg_runtime_dir = self.xdg_runtime_dir(host)?;
        let state_dir = self.state_dir(host)?;
        let runtime_dir = self.runtime_dir(host)?;
        let memory_reserve =
            self.text_or_default("MEMORY_RESERVE", value::parse_reserve, Reserve::DEFAULT_MEMORY)?;
        let disk_reserve =
            self.text_or_default("DISK_RESERVE", value::parse_reserve, Reserve::DEFAULT_DISK)?;
        let limits = self.limits()?;
        let podman_socket = self.path_or("PODMAN_SOCKET", "/run/podman/podman.sock")?;
        let server = self.parse_text("SERVER", value::parse_server_url)?;
        let server_name = self.parse_text("SERVER_NAME", value::parse_host_name)?;
        let (ca_root, cert, key) = (self.path("CA_ROOT")?, self.path("CERT")?, self.path("KEY")?);
        let namespace = self.text_or_default("NAMESPACE", value::parse_namespace, "default".to_owned())?;
        let proxy = self.parse_text("PROXY", value::parse_proxy_url)?;
        let kubeconfig = self.kubeconfig()?;
        self.parse_text("GRACEFUL_SHUTDOWN", |_| Ok(()))?;
        let position = |setting: &Setting| keys::SETTING_KEYS.iter().position(|key| key.name == setting.key);
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
            return Ok(self.list_default_path("STATE_DIR", "/var/lib/device-worker-ng".into()));
        }
        let home = || self.environment_path("HOME").map(|home| home.join(".local/state"));
        let base = self.environment_path("XDG_STATE_HOME").or_else(home).ok_or_else(|| {
            SettingsError("STATE_DIR is not given, and neither XDG_STATE_HOME nor HOME is set".to_owned())
        })?;
        Ok(self.list_default_path("STATE_DIR", base.join("device-worker-ng")))
    }

    fn limits(&mut self) -> Result<DefaultLimits, SettingsError> {
        Ok(DefaultLimits {
            memory: self.parse_text("DEFAULT_MEMORY_LIMIT", value::parse_memory_limit)?.flatten(),
            cpu: self.parse_text("DEFAULT_CPU_LIMIT", value::parse_cpu_limit)?.flatten(),
            pids: self.text_or_default(
                "DEFAULT_PIDS_LIMIT",
                value::parse_pids_limit,
                DefaultLimits::default().pids,
            )?,
        })
    }

    fn kubeconfig(&mut self) -> Result<Option<PathBuf>, SettingsError> {
        Ok(match (self.path("KUBECONFIG")?, self.environment_path("KUBECONFIG")) {
            (None, Some(named)) => Some(self.list_default_path("KUBECONFIG", named)),
            (given, _) => given,
        })
    }

    fn xdg_runtime_dir(&mut self, host: &Host) -> Result<PathBuf, SettingsError> {
        if let Some(path) = self.path("XDG_RUNTIME_DIR")? {
            return Ok(path);
        }
        let named = self.environment_path("XDG_RUNTIME_DIR");
        let named = named.unwrap_or_else(|| format!("/run/user/{}", host.uid).into());
        Ok(self.list_default_path("XDG_RUNTIME_DIR", named))
    }

    pub(super) fn runtime_dir(&mut self, host: &Host) -> Result<PathBuf, SettingsError> {
        if let Some(path) = self.path("RUNTIME_DIR")? {
            return Ok(path);
        }
        let path = match host.uid {
            0 => "/run/device-worker-ng".into(),
            _ => self.xdg_runtime_dir(host)?.join("device-worker-ng"),
        };
        Ok(self.list_default_path("RUNTIME_DIR", path))
    }

    /// The key's value, if it was given.
    fn parse_items<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&[String]) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(GivenValue { items, source }) = self.layers.get(key) else {
            self.listing.push(Setting { key, value: "none".to_owned(), source: SettingSource::Default });
            return Ok(None);
        };
        let value = items.join(", ");
        let parsed = parse(items).map_err(|cause| {
            settings_error(&format!("setting {key}"), items, &format!(" from {source}: {cause}"))
        })?;
        self.listing.push(Setting { key, value, source: source.clone() });
        Ok(Some(parsed))
    }

    fn parse_text<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        self.parse_items(key, |items| parse(items.first().map_or("", |item| item.trim())))
    }

    /// The same; without it the default, which the listing shows as the table of keys has it.
    fn text_or_default<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        default: T,
    ) -> Result<T, SettingsError> {
        Ok(self.parse_text(key, parse)?.unwrap_or_else(|| {
            self.set_listed_value(key, keys::find(key).map_or("", |key| key.default));
            default
        }))
    }

    fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>, SettingsError> {
        self.parse_text(key, |text| Ok(text.into()))
    }

    fn path_or(&mut self, key: &'static str, default: &str) -> Result<PathBuf, SettingsError> {
        Ok(match self.path(key)? {
            Some(path) => path,
            None => self.list_default_path(key, default.into()),
        })
    }

    fn environment_path(&self, name: &str) -> Option<PathBuf> {
        self.environment.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn in_cluster_server(&self) -> Option<String> {
        let text = |name| self.environment_path(name)?.into_os_string().into_string().ok();
        let (host, port) = (text("KUBERNETES_SERVICE_HOST")?, text("KUBERNETES_SERVICE_PORT")?);
        let is_ipv6 = host.contains(':');
        Some(if is_ipv6 { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") })
    }

    /// Corrects what the listing says of a key.
    fn set_listed_value(&mut self, key: &str, value: &str) {
        if let Some(setting) = self.listing.iter_mut().find(|setting| setting.key == key) {
            value.clone_into(&mut setting.value);
        }
    }

    fn default(&mut self, key: &str, value: String) -> String {
        self.set_listed_value(key, &value);
        value
    }

    fn list_default_path(&mut self, key: &str, path: PathBuf) -> PathBuf {
        self.set_listed_value(key, &path.display().to_string());
        path
    }
}

pub(super) fn join_addresses(addresses: &[ListenAddress]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
