//! The agent's own files, which a bad disk or another version may have written.

use std::{fs, path::Path};

use device_worker_ng::{
    io::{manifests::fuzzing::remembered, metrics::fuzzing::posted, persistence, state::Store},
    wire::own::{fallback, frames::check_name},
};

use crate::{bundle, scratch};

const NAMES: [&str; 5] = ["finished", "unheard", "fallbacks", "images", "configuration"];

pub(super) fn run(input: &[u8]) {
    let scratch = scratch::directory();
    let files = bundle::files(input);
    whole(&scratch.path().join("state"), &files);
    torn(&scratch.path().join("torn"), &files);
    log(&scratch.path().join("log"), bundle::bytes(&files, "log"));
    let _ = remembered(bundle::bytes(&files, "manifests"), "demo");
}

/// With their checksums, as another version would write them.
fn whole(directory: &Path, files: &[(String, Vec<u8>)]) {
    let store = Store::new(directory);
    for name in NAMES {
        let content = bundle::bytes(files, name);
        store.save(name, content).expect("ours");
        assert_eq!(store.load(name).as_deref(), Some(content));
    }
    let (_, unheard) = (persistence::finished_runs(&store), persistence::undelivered_events(&store));
    persistence::pulled_images(&store);
    assert!(!persistence::is_disconnected(&store));
    if let Ok(text) = serde_json::to_vec(&unheard) {
        store.save("unheard", &text).expect("ours");
        assert_eq!(persistence::undelivered_events(&store), unheard, "kept, it is another");
    }
    let fallbacks = persistence::fallbacks(&store);
    let bytes = fallback::to_bytes(&fallbacks).expect("what was read can be kept");
    assert_eq!(fallback::from_bytes(&bytes).expect("what was kept is read"), fallbacks);
}

/// Without: nothing of it is believed.
fn torn(directory: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir(directory).expect("ours");
    let store = Store::new(directory);
    for name in NAMES {
        let content = bundle::bytes(files, name);
        fs::write(directory.join(name), content).expect("ours");
        if let Some(loaded) = store.load(name) {
            assert_eq!(loaded, content[65..], "something else was read");
        }
    }
}

/// The log of posted values, in this boot's name.
fn log(directory: &Path, lines: &[u8]) {
    fs::create_dir(directory).expect("ours");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut content = format!("boot {}\n", boot.trim()).into_bytes();
    content.extend_from_slice(lines);
    fs::write(directory.join("metrics.log"), content).expect("ours");
    let values = posted(directory);
    for (sample, _) in &values {
        assert_eq!(check_name(&sample.name), Ok(()));
        assert!(sample.value.is_some_and(f64::is_finite));
    }
    assert_eq!(posted(directory), values, "written anew, it is another");
}
