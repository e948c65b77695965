//! What there is to read, and with which headers it comes.

use crate::wire::own::frames::ReportKind;

/// The status page, with its style and its script, as the build makes it of `page.html`: compressed. All browsers take
/// that, and who doesn't say what it takes has to.
pub(super) const STATUS_PAGE_GZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));
/// Nothing but this very style and script runs, and it talks only to us.
const PAGE_HEADERS: &str = concat!(
    "Content-Encoding: gzip\r\nContent-Security-Policy: default-src 'none'; script-src 'sha256-",
    env!("PAGE_SCRIPT"),
    "'; style-src 'sha256-",
    env!("PAGE_STYLE"),
    "'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
);
/// Where it gets its figures from.
const STATUS_PATH: &str = "/status.json";
/// And what has happened of late.
const HISTORY_PATH: &str = "/history.json";

/// What can be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum GetResource {
    Metrics,
    Status,
    History,
    Page,
}

impl GetResource {
    /// What a request without a body wants to read.
    pub(super) fn from_request(method: &str, target: &str) -> Option<Self> {
        let get = match path_without_query(target) {
            "/metrics" => Self::Metrics,
            STATUS_PATH => Self::Status,
            HISTORY_PATH => Self::History,
            "/" => Self::Page,
            _ => return None,
        };
        matches!(method, "GET" | "HEAD").then_some(get)
    }

    /// What the agent is asked for; none: nothing.
    pub(super) fn report_kind(self) -> Option<ReportKind> {
        match self {
            Self::Metrics => Some(ReportKind::Metrics),
            Self::Status => Some(ReportKind::Status),
            Self::History => Some(ReportKind::History),
            Self::Page => None,
        }
    }

    /// The head of an answer with this body.
    pub(super) fn response_head(self, body: &[u8], keep_alive: bool) -> Vec<u8> {
        let (kind, more) = match self {
            Self::Metrics => ("application/openmetrics-text; version=1.0.0; charset=utf-8", ""),
            Self::Status | Self::History => ("application/json", ""),
            Self::Page => ("text/html; charset=utf-8", PAGE_HEADERS),
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
pub(super) fn path_without_query(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// Whether that is one of the status page's.
pub(super) fn is_status_page_path(path: &str) -> bool {
    ["/", STATUS_PATH, HISTORY_PATH].contains(&path)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use ring::digest::{SHA256, digest};

    use super::*;
    use crate::wire::base64;

    /// The same, as it was before it was compressed.
    const TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/page.html"));

    #[test]
    fn what_is_sent_is_the_page_and_its_policy_allows_what_is_in_it() {
        let file = concat!(env!("OUT_DIR"), "/page.html.gz");
        let output = Command::new("gzip").args(["-dc", file]).output().unwrap();
        assert!(output.stdout == TEXT.as_bytes());
        assert_eq!(STATUS_PAGE_GZIP, std::fs::read(file).unwrap());
        for tag in ["style", "script"] {
            let inner =
                TEXT.split(&format!("<{tag}>")).nth(1).unwrap().split(&format!("</{tag}>")).next().unwrap();
            let hash = base64::encode(digest(&SHA256, inner.as_bytes()).as_ref());
            assert!(PAGE_HEADERS.contains(&format!("{tag}-src 'sha256-{hash}'")), "{PAGE_HEADERS}");
        }
    }

    #[test]
    fn the_page_is_small_and_loads_nothing() {
        assert!(TEXT.len() <= 24_000, "{}", TEXT.len());
        assert!(TEXT.lines().all(|line| line.matches('`').count() % 2 == 0), "text over several lines");
        // addresses of namespaces are names, and nothing is fetched from them
        let text = TEXT.replace("http://www.w3.org/2000/svg", "");
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
