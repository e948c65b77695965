//! The file of settings, the environment and the command line.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt};

use device_worker_ng::settings::{Host, Invocation, SettingSource, Settings};

use crate::{bundle, json, promise, scratch};

pub(super) fn run(input: &[u8]) {
    let scratch = scratch::directory();
    let host = Host {
        uid: 0,
        machine_id: scratch.path().join("machine-id"),
        config: scratch.path().join("none.yaml"),
        run: scratch.path().into(),
    };
    let files = bundle::files(input);
    let config = scratch.path().join("config.yaml");
    fs::write(&config, bundle::bytes(&files, "")).expect("ours");
    let machine = files.iter().any(|file| file.0 == "machine-id");
    let id: &[u8] = if machine { bundle::bytes(&files, "machine-id") } else { &[b'a'; 32] };
    fs::write(&host.machine_id, id).expect("ours");
    let lines = |name: &str| -> Vec<Vec<u8>> {
        let text = bundle::bytes(&files, name);
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let environment = lines("environment").into_iter().map(|line| {
        let at = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
        let value = line[at..].iter().skip(1).copied().collect();
        (OsString::from_vec(line[..at].to_vec()), OsString::from_vec(value))
    });
    let arguments = lines("arguments").into_iter().map(OsString::from_vec);
    let arguments: Vec<OsString> =
        ["--config".into(), config.clone().into()].into_iter().chain(arguments).collect();

    let before = scratch::everything(scratch.path());
    let loaded = Settings::load(arguments, environment, &host);
    assert_eq!(scratch::everything(scratch.path()), before, "reading changed something");
    let settings = match loaded {
        Ok(Invocation::Print(text)) => return assert!(!text.is_empty()),
        Ok(
            Invocation::Run(settings)
            | Invocation::Check(settings, ..)
            | Invocation::Register(settings)
            | Invocation::Doctor(Ok(settings), _)
            | Invocation::Bundle(Ok(settings), ..),
        ) => settings,
        Ok(Invocation::Doctor(Err(unusable), _) | Invocation::Bundle(Err(unusable), ..)) => {
            return promise::is_cause(&unusable.fault.to_string());
        }
        Ok(Invocation::Ask { words, fault, .. }) => {
            assert!(!words.is_empty(), "nothing is asked");
            return fault.iter().for_each(|fault| promise::is_cause(&fault.to_string()));
        }
        Err(error) => return promise::is_cause(&error.to_string()),
    };
    // what is shown as in force is a file of settings that means the same
    let mut written = String::new();
    for setting in &settings.listing {
        // these two come from the environment's own variables, too
        let is_other = ["KUBECONFIG", "XDG_RUNTIME_DIR"].contains(&setting.key) && setting.value != "none";
        if setting.source != SettingSource::Default || is_other {
            let text = serde_json::Value::from(setting.value.as_str()).to_string();
            written += &format!("{}: {}\n", setting.key, json::in_ascii(&text));
        }
    }
    fs::write(&config, written).expect("ours");
    let arguments = ["--check".into(), "--config".into(), config.into()];
    let again = match Settings::load(arguments, [], &host) {
        Ok(Invocation::Check(again, ..)) => again,
        Err(error) if error.to_string().starts_with("neither MANIFESTS nor SERVER") => return,
        other => panic!("what is in force is not read again: {other:?}"),
    };
    assert_eq!(parts(&again), parts(&settings), "written down, it means something else");
}

/// All but what the environment says that is no setting.
fn parts(settings: &Settings) -> Settings {
    let mut parts = settings.clone();
    parts.in_cluster_server = None;
    parts.listing.clear();
    parts
}
