//! The file that says how to get to a Kubernetes cluster.

use device_worker_ng::wire::{kubernetes::kubeconfig::Kubeconfig, manifest::fuzzing::document};

use crate::promise;

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let config = match Kubeconfig::read(text) {
        Ok(config) => config,
        Err(error) => return promise::is_cause(&error),
    };
    assert!(config.server.starts_with("https://"), "{}", config.server);
    assert!(config.pair.is_some() || config.token.is_some());
    let json = document(text).expect("it was read").to_string();
    assert!(Kubeconfig::read(&json) == Ok(config), "as JSON it is another");
}
