//! A container registry with TLS and a password, by `scripts/test-registry`, where its program is.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{IMAGE, Part, free_port, repository, skip_without};

pub struct Registry {
    /// Its host and port.
    pub address: String,
    /// It ends when its input does.
    process: Child,
    certificates: PathBuf,
}

impl Registry {
    pub const USER: &'static str = "edge";

    /// One that podman trusts, with [`IMAGE`] in it as `team/app:1`. `None` after saying by name which test was
    /// skipped.
    pub fn start(password: &str) -> Option<Self> {
        // the home of podman's service
        let sandbox: PathBuf = std::env::var_os("PODMAN_SANDBOX").expect("PODMAN_SANDBOX").into();
        let port = free_port();
        let address = format!("localhost:{port}");
        let process = Command::new(repository("scripts/test-registry"))
            .args(["--port", &port.to_string(), "--user", Self::USER, "--password", password, "--"])
            .args(["sh", "-c", "echo \"$REGISTRY_CA\"; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let certificates = sandbox.join("home/.config/containers/certs.d").join(&address);
        let mut registry = Self { address, process, certificates };
        let mut certificate = String::new();
        let output = registry.process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut certificate).unwrap();
        if certificate.trim().is_empty() {
            skip_without(Part::Found, "scripts/test-registry can't run a registry: it says why");
            return None;
        }
        fs::create_dir_all(&registry.certificates).unwrap();
        fs::copy(certificate.trim(), registry.certificates.join("ca.crt")).expect("its certificate");
        let login = format!("{}:{password}", Self::USER);
        let pushed = Command::new("podman")
            .args(["push", "--quiet", "--creds", &login, IMAGE, &registry.image()])
            .output()
            .unwrap();
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
        Some(registry)
    }

    pub fn image(&self) -> String {
        format!("{}/team/app:1", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.certificates);
    }
}
