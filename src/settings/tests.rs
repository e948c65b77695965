//! Settings by their outcome.

use std::{ffi::OsString, fs::File, io::Write, path::Path, time::Duration};

use super::{reader::join_addresses, *};
use crate::wire::{manifest::UnknownFields, podman::limits::DefaultLimits};

const SAMPLE: &str = include_str!("../../config.yaml.sample");

struct World {
    dir: tempfile::TempDir,
    host: Host,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine_id = dir.path().join("machine-id");
        std::fs::write(&machine_id, "0123456789abcdef0123456789abcdef\n").unwrap();
        let config = dir.path().join("usual.yaml");
        let run = dir.path().join("run");
        Self { dir, host: Host { uid: 0, machine_id, config, run } }
    }

    fn file(&self, text: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join("config.yaml");
        File::create(&path).unwrap().write_all(text.as_ref()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn load(&self, args: &[&str], environment: &[(&str, &str)]) -> Result<Invocation, String> {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Settings::load(args.iter().map(OsString::from), environment, &self.host).map_err(|e| e.to_string())
    }

    fn settings(&self, args: &[&str], environment: &[(&str, &str)]) -> Settings {
        match self.load(args, environment) {
            Ok(Invocation::Run(settings)) => *settings,
            other => panic!("{other:?}"),
        }
    }

    fn load_file(&self, text: &str) -> Result<Settings, String> {
        let file = self.file(text);
        match self.load(&["--config", &file], &[])? {
            Invocation::Run(settings) => Ok(*settings),
            other => panic!("{other:?}"),
        }
    }
}

const MANIFESTS: (&str, &str) = ("EDGE_DEVICE_MANIFESTS", "/m");

#[test]
fn the_environment_alone_is_enough_and_the_rest_has_defaults() {
    let settings = World::new().settings(&[], &[MANIFESTS]);
    assert_eq!(settings.manifests, Some("/m".into()));
    assert_eq!(settings.device_id, "0123456789abcdef0123456789abcdef");
    assert_eq!(settings.log_level, log::LevelFilter::Info);
    assert_eq!(join_addresses(&settings.metrics_listen), "127.0.0.1:8080, [::1]:8080");
    assert_eq!(settings.metrics_ttl, None);
    assert!(!settings.status_page);
    assert_eq!(settings.unknown_fields, UnknownFields::Refuse);
    assert_eq!(settings.state_dir, Path::new("/var/lib/device-worker-ng"));
    assert_eq!(settings.runtime_dir, Path::new("/run/device-worker-ng"));
    assert_eq!(settings.podman_socket, Path::new("/run/podman/podman.sock"));
    assert_eq!(settings.rootless_podman_socket, Path::new("/run/user/0/podman/podman.sock"));
    assert_eq!(settings.namespace, "default");
    assert_eq!(settings.listing.len(), keys::SETTING_KEYS.len());
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let world = World::new();
    let file = world.file("MANIFESTS: /m\nNAMESPACE: file\n");
    let namespace = |args: &[&str], environment: &[(&str, &str)]| {
        let args = [&["--config", file.as_str()], args].concat();
        let settings = world.settings(&args, environment);
        let shown = settings.listing.iter().find(|setting| setting.key == "NAMESPACE").unwrap().clone();
        assert_eq!(shown.value, settings.namespace);
        (settings.namespace, shown.source.to_string())
    };
    let environment = [("EDGE_DEVICE_NAMESPACE", "env")];
    assert_eq!(namespace(&["--namespace=flag"], &environment), ("flag".into(), "--namespace".into()));
    assert_eq!(namespace(&["--namespace", "flag"], &[]), ("flag".into(), "--namespace".into()));
    assert_eq!(namespace(&[], &environment), ("env".into(), "EDGE_DEVICE_NAMESPACE".into()));
    assert_eq!(namespace(&[], &[]), ("file".into(), format!("{file}:2")));
    assert_eq!(namespace(&[], &[("EDGE_DEVICE_NAMESPACE", "")]).0, "file", "empty is not given");
}

#[test]
fn a_units_credentials_stand_in_for_files_that_are_not_named() {
    let world = World::new();
    let directory = world.dir.path().to_str().unwrap();
    for name in ["cert", "ca-root", "kubeconfig", "server"] {
        std::fs::write(world.dir.path().join(name), "x").unwrap();
    }
    let file = world.file("SERVER: https://a:8043\nCERT: /named.pem\n");
    let environment = [("CREDENTIALS_DIRECTORY", directory), ("KUBECONFIG", "/home/k")];
    let settings = world.settings(&["--config", &file], &environment);
    assert_eq!(settings.cert, Some("/named.pem".into()));
    assert_eq!(settings.ca_root, Some(world.dir.path().join("ca-root")));
    assert_eq!(settings.key, None, "there is no such credential");
    assert_eq!(settings.kubeconfig, Some(world.dir.path().join("kubeconfig")));
    let shown = settings.listing.iter().find(|setting| setting.key == "CA_ROOT").unwrap();
    assert_eq!(shown.value, format!("{directory}/ca-root"));
    assert_eq!(shown.source.to_string(), "credential ca-root");
    assert_eq!(settings.server.as_deref(), Some("https://a:8043"), "only files come so");
}

#[test]
fn who_checks_the_settings_from_a_shell_finds_the_credentials_of_the_unit_that_runs() {
    let mut world = World::new();
    let unit = world.dir.path().join("run/credentials/device-worker-ng.service");
    std::fs::create_dir_all(&unit).unwrap();
    std::fs::write(unit.join("key"), "x").unwrap();
    assert_eq!(world.settings(&[], &[MANIFESTS]).key, Some(unit.join("key")));
    world.host.uid = 1000;
    let environment = [MANIFESTS, ("HOME", "/h")];
    assert_eq!(world.settings(&[], &environment).key, None, "they are root's");
    let run = world.dir.path().join("run");
    let environment = [MANIFESTS, ("HOME", "/h"), ("XDG_RUNTIME_DIR", run.to_str().unwrap())];
    assert_eq!(world.settings(&[], &environment).key, Some(unit.join("key")));
}

#[test]
fn neither_server_nor_manifests_is_an_error_that_names_both() {
    let error = World::new().load(&[], &[]).unwrap_err();
    assert!(error.contains("MANIFESTS") && error.contains("SERVER"), "{error}");
    let settings = World::new().settings(&["--server", "https://a:8043"], &[]);
    assert_eq!(settings.server.as_deref(), Some("https://a:8043"));
}

#[test]
fn an_unknown_key_is_an_error_that_names_key_source_and_value() {
    let world = World::new();
    let error = world.load_file("MANIFESTS: /m\n\nMANFESTS: /x\n").unwrap_err();
    assert!(error.contains("config.yaml': line 3: MANFESTS, '/x': there is no such setting"), "{error}");
    let error = world.load_file("PROXYY: http://u:p@h\n").unwrap_err();
    assert!(error.contains("line 1: PROXYY, 'http://(confidential)@h': there is no such"), "{error}");
    let error = world.load_file("manifests: /m\n").unwrap_err();
    assert!(error.contains("(write MANIFESTS)"), "{error}");
    let error = world.load(&[], &[MANIFESTS, ("EDGE_DEVICE_SERVR", "x")]).unwrap_err();
    assert!(error.contains("EDGE_DEVICE_SERVR, 'x': there is no such setting"), "{error}");
    let error = world.load(&["--srver", "x"], &[MANIFESTS]).unwrap_err();
    assert!(error.contains("'--srver'"), "{error}");
    for args in [&["run"][..], &["--config"], &["--check=yes"], &["-x"]] {
        assert!(world.load(args, &[MANIFESTS]).is_err(), "{args:?}");
    }
}

#[test]
fn a_bad_value_is_an_error_that_names_key_source_and_value() {
    let world = World::new();
    for (key, value) in [
        ("LOG_LEVEL", "loud"),
        ("LOG_LEVEL", "off"),
        ("DEVICE_ID", "Pi"),
        ("DEVICE_ID", "a b"),
        ("SERVER", "http://edge:8043"),
        ("SERVER", "edge:8043"),
        ("SERVER", "https://"),
        ("SERVER", "https://edge:port"),
        ("SERVER", "https://edge:99999"),
        ("SERVER_NAME", "a/b"),
        ("PROXY", "https://proxy:3128"),
        ("PROXY", "socks5://proxy"),
        ("NAMESPACE", "A"),
        ("METRICS_LISTEN", ":8080"),
        ("METRICS_LISTEN", "127.0.0.1"),
        ("METRICS_LISTEN", "unix:relative"),
        ("METRICS_LISTEN", ","),
        ("METRICS_TTL", "0"),
        ("METRICS_TTL", "-1"),
        ("METRICS_TTL", "5d"),
        ("METRICS_TTL", "1.5s"),
        ("METRICS_TTL", "99999999999"),
        ("STATUS_PAGE", "yes"),
        ("UNKNOWN_FIELDS", "ignore"),
        ("MEMORY_RESERVE", "101%"),
        ("MEMORY_RESERVE", "-5%"),
        ("MEMORY_RESERVE", "NaN%"),
        ("MEMORY_RESERVE", "64 MiB"),
        ("DISK_RESERVE", "much"),
        ("DEFAULT_MEMORY_LIMIT", "1Mi"),
        ("DEFAULT_MEMORY_LIMIT", "5%"),
        ("DEFAULT_CPU_LIMIT", "0"),
        ("DEFAULT_CPU_LIMIT", "9m"),
        ("DEFAULT_PIDS_LIMIT", "0"),
        ("DEFAULT_PIDS_LIMIT", "-1"),
    ] {
        let variable = format!("EDGE_DEVICE_{key}");
        let error = world.load(&[], &[MANIFESTS, (&variable, value)]).unwrap_err();
        assert!(error.starts_with(&format!("setting {key}, '{value}' from {variable}: ")), "{error}");
    }
    for (key, value) in [("SERVER", "https://user:pass@edge"), ("PROXY", "user:pa/ss@proxy:3128")] {
        let error = world.load(&[], &[MANIFESTS, (&format!("EDGE_DEVICE_{key}"), value)]).unwrap_err();
        let is_told = error.starts_with(&format!("setting {key}, '")) && error.contains("(confidential)@");
        assert!(is_told && !error.contains("user:") && !error.contains("ss@"), "{error}");
    }
    let error = world.load_file("MANIFESTS: /m\nLOG_LEVEL: loud\n").unwrap_err();
    assert!(
        error.starts_with("setting LOG_LEVEL, 'loud' from ") && error.contains("config.yaml:2: must be"),
        "{error}"
    );
}

#[test]
fn good_values_are_understood() {
    let world = World::new();
    let listen = |text: &str| {
        join_addresses(
            &world.load_file(&format!("MANIFESTS: /m\nMETRICS_LISTEN: {text}")).unwrap().metrics_listen,
        )
    };
    assert_eq!(listen("0.0.0.0:1"), "0.0.0.0:1");
    assert_eq!(listen("\"[::1]:2, unix:/a/b\""), "[::1]:2, unix:/a/b");
    assert_eq!(listen("[127.0.0.1:1, 'unix:/x', 127.0.0.1:1]"), "127.0.0.1:1, unix:/x");
    assert_eq!(listen("localhost:80"), "127.0.0.1:80, [::1]:80");
    let ttl =
        |text: &str| world.load_file(&format!("MANIFESTS: /m\nMETRICS_TTL: {text}")).unwrap().metrics_ttl;
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(
        ["none", "7", "30s", "5m", "1h"].map(ttl),
        [None, seconds(7), seconds(30), seconds(300), seconds(3600)]
    );
    for url in
        ["https://edge", "https://edge:8043/", "https://10.0.0.1:8043", "https://[::1]:8043", "https://[::1]"]
    {
        assert_eq!(world.settings(&["--server", url], &[]).server.as_deref(), Some(url));
    }
    let id = world.load_file("MANIFESTS: /m\nDEVICE_ID: 0012\n").unwrap().device_id;
    assert_eq!(id, "0012", "a text that looks like a number stays as it is written");
}

#[test]
fn a_reserve_is_a_share_or_a_size_and_fits_small_devices_by_itself() {
    let world = World::new();
    let mib = 1 << 20;
    let reserve = |text: &str| {
        let text = format!("MANIFESTS: /m\nMEMORY_RESERVE: {text}\nDISK_RESERVE: {text}\n");
        let settings = world.load_file(&text).unwrap();
        assert_eq!(settings.memory_reserve, settings.disk_reserve);
        settings.memory_reserve.bytes_of(1000 * mib)
    };
    assert_eq!(
        ["64Mi", "64MiB", "64MB", "7", "2.5%", "0", "0%"].map(reserve),
        [64 * mib, 64 * mib, 64_000_000, 7, 25 * mib, 0, 0]
    );
    let settings = world.settings(&[], &[MANIFESTS]);
    assert_eq!(
        [512, 2000, 64_000].map(|ram| settings.memory_reserve.bytes_of(ram * mib) / mib),
        [64, 200, 512]
    );
    assert_eq!(
        [200, 4000, 64_000].map(|disk| settings.disk_reserve.bytes_of(disk * mib) / mib),
        [10, 200, 1024]
    );
}

#[test]
fn default_limits_are_understood() {
    let limits = |key: &str, text: &str| {
        World::new().load_file(&format!("MANIFESTS: /m\nDEFAULT_{key}_LIMIT: {text}")).unwrap().limits
    };
    let none = DefaultLimits { memory: None, cpu: None, pids: Some(512) };
    assert_eq!(limits("MEMORY", "none"), none);
    assert_eq!(limits("MEMORY", "64MiB").memory, Some(64 << 20));
    assert_eq!(["0.5", "250m", "2"].map(|text| limits("CPU", text).cpu), [500, 250, 2000].map(Some));
    assert_eq!(["100", "none"].map(|text| limits("PIDS", text).pids), [Some(100), None]);
}

#[test]
fn a_file_that_is_no_settings_is_an_error_and_an_empty_one_says_nothing() {
    let world = World::new();
    for (text, part) in [
        ("- a", "expected settings"),
        ("a: b: c", "mapping values are not allowed"),
        ("\nLOG_LEVEL: {a: b}\n", "line 2: LOG_LEVEL, '{a: b}': invalid type: map"),
        ("LOG_LEVEL:\n- a\n- b\nCERT: c", "line 1: LOG_LEVEL, '- a - b': invalid type: sequence"),
        ("METRICS_LISTEN: 8080", "line 1: METRICS_LISTEN, '8080': invalid type: integer"),
        ("PROXY: [http://u:p@h]", "line 1: PROXY, '[http://(confidential)@h]': invalid type"),
        ("LOG_LEVEL: info\nLOG_LEVEL: debug", "line 1: LOG_LEVEL, 'info, debug': is given twice"),
        ("PROXY: http://u:p@h\nPROXY: ''", "line 1: PROXY, 'http://(confidential)@h, ': is given twice"),
        ("LOG_LEVEL: info\n---\nLOG_LEVEL: info", "more than one document"),
    ] {
        let error = world.load_file(text).unwrap_err();
        assert!(error.contains("config.yaml") && error.contains(part), "{text}: {error}");
    }
    for text in ["", "# nothing\n", "---\n", "MANIFESTS:\nLOG_LEVEL: ''\n"] {
        assert!(world.load_file(text).unwrap_err().contains("neither MANIFESTS nor SERVER"), "{text}");
    }
    let bytes = world.file(b"LOG_LEVEL: \xff");
    assert!(world.load(&["--config", &bytes], &[]).unwrap_err().contains("UTF-8"));
    let missing = world.load(&["--config", "/nowhere/c.yaml"], &[]).unwrap_err();
    assert!(missing.contains("settings file '/nowhere/c.yaml'"), "{missing}");
    let endless = world.load(&["--config", "/dev/zero"], &[]).unwrap_err();
    assert!(endless.contains("is larger than"), "{endless}");
}

#[test]
fn a_users_directories_are_not_roots() {
    let mut world = World::new();
    world.host.uid = 1000;
    let xdg = [MANIFESTS, ("XDG_RUNTIME_DIR", "/run/me"), ("XDG_STATE_HOME", "/s"), ("HOME", "/h")];
    let settings = world.settings(&[], &xdg);
    assert_eq!(settings.state_dir, Path::new("/s/device-worker-ng"));
    assert_eq!(settings.runtime_dir, Path::new("/run/me/device-worker-ng"));
    assert_eq!(settings.rootless_podman_socket, Path::new("/run/me/podman/podman.sock"));
    let settings = world.settings(&[], &[MANIFESTS, ("HOME", "/h"), ("EDGE_DEVICE_XDG_RUNTIME_DIR", "/own")]);
    assert_eq!(settings.state_dir, Path::new("/h/.local/state/device-worker-ng"));
    assert_eq!(settings.runtime_dir, Path::new("/own/device-worker-ng"));
    assert!(world.load(&[], &[MANIFESTS]).unwrap_err().contains("STATE_DIR"));
}

#[test]
fn a_machine_id_that_names_no_machine_is_an_error() {
    let world = World::new();
    for text in ["", "uninitialized\n", "0123456789ABCDEF0123456789ABCDEF\n"] {
        std::fs::write(&world.host.machine_id, text).unwrap();
        assert!(world.load(&[], &[MANIFESTS]).unwrap_err().contains("DEVICE_ID is not given"), "{text}");
    }
    std::fs::remove_file(&world.host.machine_id).unwrap();
    assert!(world.load(&[], &[MANIFESTS]).is_err());
    assert_eq!(world.settings(&[], &[MANIFESTS, ("EDGE_DEVICE_DEVICE_ID", "pi")]).device_id, "pi");
}

#[test]
fn check_help_and_version_are_asked_for_by_flags() {
    let world = World::new();
    assert!(matches!(world.load(&["--check"], &[MANIFESTS]), Ok(Invocation::Check(_, false, false))));
    let Ok(Invocation::Print(help)) = world.load(&["--help"], &[]) else { panic!() };
    for key in &keys::SETTING_KEYS {
        assert!(help.contains(key.name) && help.contains(key.doc), "{}", key.name);
    }
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    let version = concat!("device-worker-ng ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(world.load(&["--version"], &[]), Ok(Invocation::Print(version.to_owned())));
}

#[test]
fn the_sample_works_as_it_is() {
    let settings = World::new().load_file(SAMPLE).unwrap();
    let given: Vec<_> =
        settings.listing.iter().filter(|setting| setting.source != SettingSource::Default).collect();
    assert_eq!(given.len(), 1);
    assert_eq!(settings.manifests, Some("/etc/device-worker-ng/manifests".into()));
}

#[test]
fn the_sample_explains_every_key_and_works_with_all_of_them() {
    let is_key = |line: &str| line.starts_with(|c: char| c.is_ascii_uppercase()) || line.starts_with("  - ");
    let uncommented: String = SAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let settings = World::new().load_file(&uncommented).unwrap();
    for setting in &settings.listing {
        assert_ne!(setting.source, SettingSource::Default, "{} is not in the sample", setting.key);
        let default = keys::find(setting.key).unwrap().default;
        let is_value = !default.contains(['$', ' ']) && !["none", "/etc/machine-id"].contains(&default);
        assert!(!is_value || setting.value == default, "{} shows another default", setting.key);
    }
}

#[test]
fn a_check_finds_the_settings_of_this_machine_as_commands_do_and_the_agent_does_not() {
    let world = World::new();
    std::fs::write(&world.host.config, "MANIFESTS: /usual\n").unwrap();
    let Ok(Invocation::Check(settings, ..)) = world.load(&["--check"], &[]) else { panic!() };
    assert_eq!(settings.manifests, Some("/usual".into()));
    let other = world.file(b"MANIFESTS: /named\n");
    let Ok(Invocation::Check(settings, ..)) = world.load(&["--check", "--config", &other], &[]) else {
        panic!()
    };
    assert_eq!(settings.manifests, Some("/named".into()));
    assert!(world.load(&[], &[]).unwrap_err().contains("neither MANIFESTS nor SERVER"));
}

#[test]
fn commands_find_the_agent_although_the_file_is_broken_and_nothing_else_starts_with_it() {
    let world = World::new();
    for (text, part) in [
        ("RUNTIME_DIR: /here\nLOG_LEVEL: loud\n", "'loud'"),
        ("MANFESTS: /m\nRUNTIME_DIR: /here\n", "MANFESTS, '/m': there is no such setting"),
        ("RUNTIME_DIR: /here\nLOG_LEVEL: [\n", "config.yaml"),
    ] {
        let file = world.file(text);
        let load = |args: &[&str]| world.load(&[&["--config", &file], args].concat(), &[]);
        let Ok(Invocation::Ask { runtime_dir, words, fault: Some(fault), .. }) = load(&["status"]) else {
            panic!("{text}")
        };
        assert_eq!((&*runtime_dir, &words[..]), (Path::new("/here"), &["status".to_owned()][..]));
        assert!(fault.to_string().contains(part), "{text}: {fault}");
        let Ok(Invocation::Doctor(Err(unusable), false)) = load(&["doctor"]) else { panic!("{text}") };
        assert_eq!((unusable.runtime_dir, unusable.fault), (runtime_dir, fault));
        for args in [&[][..], &["--check"], &["--check-settings"], &["register"]] {
            assert!(load(args).unwrap_err().contains(part), "{args:?}");
        }
    }
    assert!(world.load(&["--config", "/nowhere/c.yaml", "status"], &[]).unwrap_err().contains("/nowhere"));
    let good = world.load(&["--check-settings"], &[MANIFESTS]);
    assert_eq!(good, Ok(Invocation::Print(String::new())));
}

/// Of the settings' file: for editors.
fn schema() -> serde_json::Value {
    use serde_json::json;
    let plain = json!(["string", "number", "boolean", "null"]);
    let mut properties = serde_json::Map::new();
    for key in &keys::SETTING_KEYS {
        let description = format!("{}; default: {}", key.doc, key.default);
        let mut form = match key.name {
            "LOG_LEVEL" => json!({ "enum": ["error", "warn", "info", "debug", "trace", null] }),
            "UNKNOWN_FIELDS" => json!({ "enum": ["refuse", "warn", null] }),
            "STATUS_PAGE" => json!({ "enum": [true, false, "true", "false", null] }),
            "METRICS_LISTEN" => json!({ "type": ["string", "array", "null"], "items": { "type": "string" } }),
            _ => json!({ "type": plain }),
        };
        form["description"] = description.into();
        properties.insert(key.name.to_owned(), form);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The settings of device-worker-ng",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
    })
}

#[test]
fn the_schema_of_settings_is_that_of_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/schema/settings.schema.json");
    let expected = serde_json::to_string(&schema()).unwrap() + "\n";
    if std::fs::read_to_string(path).unwrap_or_default() != expected {
        let new = concat!(env!("CARGO_MANIFEST_DIR"), "/target/settings.schema.json");
        std::fs::write(new, expected).unwrap();
        panic!("packaging/schema/settings.schema.json is not what the table says: take {new}");
    }
}
