//! The development edge API next to a device, with what it heard.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{Device, free_port, repository, skip};

/// The edge API; it ends with this.
pub struct Edge {
    process: Child,
    binary: std::path::PathBuf,
    directory: std::path::PathBuf,
}

impl Edge {
    /// Serves the device's manifests to it, instead of a directory. `None` after saying by name which test was
    /// skipped, where nobody has built it.
    pub fn start(device: &mut Device, period: u32) -> Option<Self> {
        let binary = repository("edge-api/target/debug/dev-edge-api");
        if !binary.exists() {
            assert!(std::env::var_os("DWNG_REQUIRE_PODMAN").is_none(), "'{}' is missing", binary.display());
            skip("no edge API; `make test` builds it");
            return None;
        }
        let (directory, address) = (device.path("edge"), format!("127.0.0.1:{}", free_port()));
        fs::create_dir(&directory).unwrap();
        let mut command = Command::new(&binary);
        command.args([
            "serve",
            "--quiet",
            "--listen",
            &address,
            "--period",
            &period.to_string(),
            "--manifests",
        ]);
        command.arg(device.manifests()).arg("--dir").arg(&directory);
        command.arg("--log-json").arg(directory.join("log.json")).stdin(Stdio::null()).stdout(Stdio::null());
        let edge = Self { process: command.spawn().unwrap(), binary, directory };
        for (key, file) in [("CA_ROOT", "ca.pem"), ("CERT", "bootstrap.pem"), ("KEY", "bootstrap.key")] {
            device.set(key, edge.directory.join(file).display().to_string());
        }
        device.set("SERVER", format!("https://{address}"));
        device.unset("MANIFESTS");
        let socket = edge.directory.join("control.sock");
        device.wait_for("the edge API", || socket.exists().then_some(()));
        Some(edge)
    }

    /// Gives it a command.
    pub fn tell(&self, command: &str) {
        let mut tell = Command::new(&self.binary);
        tell.arg("tell").arg(&self.directory).args(command.split(' ')).stdout(Stdio::null());
        assert!(tell.status().unwrap().success(), "{command}");
    }

    /// The good calls of this kind, with what they said.
    pub fn heard(&self, call: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.directory.join("log.json")).unwrap_or_default();
        let entries = log.split_inclusive('\n').filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter(|entry| entry["call"] == call && entry["status"] == 200).collect()
    }

    /// What it heard as events with these words.
    pub fn events(&self, words: &str) -> usize {
        let beats = self.heard("heartbeat");
        let events = beats.iter().filter_map(|beat| beat["content"]["events"].as_array()).flatten();
        events.filter(|event| event["message"].as_str().is_some_and(|text| text.contains(words))).count()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
