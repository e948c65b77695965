//! What there is to read, and with which headers it comes.

use ring::digest::{SHA256, digest};

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

/// Nothing but this very style and script runs, and it talks only to us.
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
