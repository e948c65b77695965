//! Whoever reads instead of posting: what there is to read, and with which headers it comes. And who may read or post.
//!
//! A browser can be lured here, by a page of a name that leads to the loopback for the moment. So what comes for a
//! name that a page can have is refused: to itself the browser sends the name that it was given.

use std::net::{Ipv4Addr, Ipv6Addr};

use ring::digest::{SHA256, digest};

use super::http::Refusal;
use crate::wire::base64;

/// The status page, with its style and its script.
pub(super) const PAGE: &str = include_str!("page.html");
/// Where it gets its figures from.
const STATUS: &str = "/status.json";

/// What can be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Get {
    Metrics,
    Status,
    Page,
}

impl Get {
    /// What a request without a body wants to read.
    pub(super) fn of(method: &str, target: &str) -> Option<Self> {
        let get = match path(target) {
            "/metrics" => Self::Metrics,
            STATUS => Self::Status,
            "/" => Self::Page,
            _ => return None,
        };
        matches!(method, "GET" | "HEAD").then_some(get)
    }

    /// The head of an answer with this body.
    pub(super) fn head(self, body: &[u8], keep_alive: bool) -> Vec<u8> {
        let (kind, more) = match self {
            Self::Metrics => ("application/openmetrics-text; version=1.0.0; charset=utf-8", String::new()),
            Self::Status => ("application/json", String::new()),
            Self::Page => ("text/html; charset=utf-8", format!("Content-Security-Policy: {}\r\n", policy())),
        };
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{connection}{more}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n\r\n"
        )
        .into_bytes()
    }
}

/// Without the query.
pub(super) fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// Whether that is one of the status page's.
pub(super) fn is_page(path: &str) -> bool {
    path == "/" || path == STATUS
}

/// Who has been lured here is refused: no web page reads this, or switches workloads.
pub(super) fn check(has_origin: bool, has_name: bool) -> Result<(), Refusal> {
    let reason = match (has_origin, has_name) {
        (true, _) => "web pages may neither read this nor post",
        (_, true) => "the Host has to be an IP address or localhost: other names may be a foreign page's",
        _ => return Ok(()),
    };
    Err(Refusal("403 Forbidden", reason))
}

/// What no page can be called; the last two are what podman calls the device in its containers.
const OWN_NAMES: [&str; 3] = ["localhost", "host.containers.internal", "host.docker.internal"];

/// Whether a `Host` is a name that anybody could have given to this address.
pub(super) fn is_name(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return true };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let six = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    !(name.is_empty()
        || OWN_NAMES.iter().any(|own| name.eq_ignore_ascii_case(own))
        || name.parse::<Ipv4Addr>().is_ok()
        || six.is_some_and(|six| six.parse::<Ipv6Addr>().is_ok()))
}

/// Nothing but this very style and script runs, and it talks to nobody but us.
fn policy() -> String {
    let hash = |tag: &str| {
        let begin = PAGE.find(&format!("<{tag}>")).map_or(0, |at| at + tag.len() + 2);
        let inner = PAGE.get(begin..).and_then(|rest| rest.split(&format!("</{tag}>")).next());
        base64::encode(digest(&SHA256, inner.unwrap_or_default().as_bytes()).as_ref())
    };
    let (style, script) = (hash("style"), hash("script"));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
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
            assert!(!is_name(host.as_bytes()), "{host}");
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
            assert!(is_name(host.as_bytes()), "{host}");
        }
        assert!(is_name(b"\xff"));
    }

    #[test]
    fn the_page_is_small_and_loads_nothing() {
        assert!(PAGE.len() <= 20_000, "{}", PAGE.len());
        // addresses of namespaces are names, and nothing is fetched from them
        let text = PAGE.replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http:", "https:", "//cdn", "src=", "@import", "url(", " on", "innerHTML"] {
            let found =
                text.match_indices(foreign).find(|(at, _)| foreign != " on" || is_handler(&text[at + 3..]));
            assert_eq!(found, None, "the page has {foreign:?}");
        }
    }

    /// `onclick=`, but not the word "on".
    fn is_handler(rest: &str) -> bool {
        let name = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        name > 0 && rest.as_bytes().get(name) == Some(&b'=')
    }
}
