//! Credentials for image registries.

use device_worker_ng::wire::podman::registry::{check_docker_config, credentials};

use crate::{bundle, promise};

pub(super) fn run(input: &[u8]) {
    let files = bundle::files(input);
    let (config, image) = (bundle::text(&files, ""), bundle::text(&files, "image"));
    let image = image.trim();
    let checked = check_docker_config(&config);
    if let Err(why) = &checked {
        promise::is_sentence(why);
    }
    let Some((registry, header)) = credentials(&config, image) else { return };
    let host = image.split('/').next().unwrap_or_default();
    let own = registry.split('/').next().unwrap_or_default();
    let is_docker = host == "index.docker.io" || host == "registry-1.docker.io";
    assert!(own == host || (is_docker && own == "docker.io"), "'{image}' gets what is for '{registry}'");
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
    assert!(header.bytes().all(is_digit), "a header that is none");
}
