//! Which clients may read or post.
//!
//! A browser can be lured here, by a page of a name that leads to the loopback for the moment. So what comes for a
//! name that a page can have is refused: to itself the browser sends the name that it was given.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::answer::RefusalResponse;

/// Refuses what a web page sends: none reads this, or switches workloads.
pub(super) fn check(has_origin: bool, has_name: bool) -> Result<(), RefusalResponse> {
    let reason = match (has_origin, has_name) {
        (true, _) => "web pages may neither read this nor post",
        (_, true) => "the Host has to be an IP address or localhost: other names may be a foreign page's",
        _ => return Ok(()),
    };
    Err(RefusalResponse("403 Forbidden", reason))
}

/// What no page can be called; the last two are what podman calls the device in its containers.
const LOCAL_HOST_NAMES: [&str; 3] = ["localhost", "host.containers.internal", "host.docker.internal"];

/// Whether a `Host` is a name that a stranger could have given to this address.
pub(super) fn is_foreign_host(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return true };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let six = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    !(name.is_empty()
        || LOCAL_HOST_NAMES.iter().any(|own| name.eq_ignore_ascii_case(own))
        || name.parse::<Ipv4Addr>().is_ok()
        || six.is_some_and(|six| six.parse::<Ipv6Addr>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_could_be_a_foreign_page_s_are_names() {
        for host in [
            "",
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:8080",
            "10.1.2.3",
            "[::1]:8080",
            "[fe80::1]",
            "host.containers.internal:8080",
        ] {
            assert!(!is_foreign_host(host.as_bytes()), "{host}");
        }
        for host in [
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "0x7f000001",
            "::1",
            "[::1",
            "x",
        ] {
            assert!(is_foreign_host(host.as_bytes()), "{host}");
        }
        assert!(is_foreign_host(b"\xff"));
    }
}
