//! One question to podman.

use std::{path::Path, time::Duration};

use ureq::{Body, http::Response};

use crate::io::unix;

/// For its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What podman answers at this socket to this path.
pub(super) fn get(socket: &Path, path: &str) -> Result<Response<Body>, ureq::Error> {
    let request = unix::unix_http_client(socket).get(format!("http://podman/{path}"));
    request.config().timeout_global(Some(TIMEOUT)).build().call()
}
