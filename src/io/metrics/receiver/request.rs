//! As much of HTTP/1 as stands between a stranger and tiny_http: where a request ends, and what of it goes on.
//!
//! A request is written anew for tiny_http from what was understood here, so both can't see different things.
//! Of the headers only `Content-Length` goes on: tiny_http needs no others.

use httparse::Status;

use super::answer::RefusalResponse;
use super::origin::{self, is_foreign_host};
use super::pages::GetResource;

/// In bytes, request line included.
pub(super) const MAX_HEAD: usize = 8 * 1024;
/// In bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// A few more than browsers send.
const MAX_HEADERS: usize = 64;

/// A request whose head is complete.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    /// The head for tiny_http.
    pub(super) head: Vec<u8>,
    /// In bytes, as the client counts them.
    pub(super) head_length: usize,
    /// In bytes.
    pub(super) body_length: usize,
    /// Whether another request may follow on this connection.
    pub(super) keep_alive: bool,
    /// Whether the client holds the body back until it is asked for it.
    pub(super) expects_continue: bool,
    /// Whether the answer has no body, whatever length it names.
    pub(super) bodiless_answer: bool,
    /// What the client wants to read, if it doesn't post.
    pub(super) get: Option<GetResource>,
    /// Whether a web page asks.
    has_origin: bool,
    /// Whether it asks by a name that isn't `localhost`.
    has_name: bool,
}

impl Request {
    /// Whether this client may post or read; one that came over a unix socket under any name.
    pub(super) fn check(&self, is_local: bool) -> Result<(), RefusalResponse> {
        origin::check(self.has_origin, self.has_name && !is_local)
    }
}

const TOO_LARGE: RefusalResponse =
    RefusalResponse("431 Request Header Fields Too Large", "the head may have 8 KiB");
const BAD_LENGTH: RefusalResponse = RefusalResponse("400 Bad Request", "Content-Length is not one number");

/// Reads the head of a request; `None`: it isn't whole yet.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Request>, RefusalResponse> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head_length = match request.parse(bytes) {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
        Err(_) => return Err(RefusalResponse("400 Bad Request", "not an HTTP/1 request")),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(RefusalResponse("400 Bad Request", "not an HTTP/1 request"));
    };
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RefusalResponse("400 Bad Request", "the target is not ASCII"));
    }
    let mut length = None;
    let (mut has_origin, mut has_name) = (false, false);
    let (mut keep_alive, mut expects_continue) = (version == 1, false);
    for header in request.headers.iter() {
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_some() => return Err(BAD_LENGTH),
            "content-length" => length = Some(content_length(header.value)?),
            "transfer-encoding" => {
                return Err(RefusalResponse("411 Length Required", "send a Content-Length"));
            }
            "expect" if header.value.eq_ignore_ascii_case(b"100-continue") => expects_continue = true,
            "expect" => return Err(RefusalResponse("417 Expectation Failed", "only 100-continue is known")),
            "connection" => {
                keep_alive &= !header.value.to_ascii_lowercase().windows(5).any(|w| w == b"close")
            }
            "origin" => has_origin = true,
            "host" => has_name |= is_foreign_host(header.value),
            _ => {}
        }
    }
    let body_length = length.unwrap_or(0);
    let get = GetResource::from_request(method, target).filter(|_| body_length == 0);
    let head = format!("{method} {target} HTTP/1.1\r\nContent-Length: {body_length}\r\n\r\n").into_bytes();
    let bodiless_answer = method == "HEAD";
    Ok(Some(Request {
        head,
        head_length,
        body_length,
        keep_alive,
        expects_continue,
        bodiless_answer,
        get,
        has_origin,
        has_name,
    }))
}

fn content_length(value: &[u8]) -> Result<usize, RefusalResponse> {
    let digits =
        str::from_utf8(value).ok().filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
    // What doesn't fit into a number is too large as well.
    let length = digits.ok_or(BAD_LENGTH)?.parse().unwrap_or(usize::MAX);
    if length > MAX_BODY {
        const { assert!(MAX_BODY == 64 << 10, "the next line says so") };
        Err(RefusalResponse("413 Content Too Large", "a body may have 64 KiB"))
    } else {
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(head: &str) -> &'static str {
        parse(head.as_bytes()).unwrap_err().0
    }

    fn lengths(values: &[&str]) -> Result<Option<Request>, RefusalResponse> {
        let headers: String = values.iter().map(|value| format!("Content-Length: {value}\r\n")).collect();
        parse(format!("POST /metrics HTTP/1.1\r\n{headers}\r\n").as_bytes())
    }

    #[test]
    fn a_request_goes_on_with_what_was_understood_only() {
        let head = "-H /metrics HTTP/1.1\r\nHost: x\r\nTE: chunked\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\
                    Content-Length: 007\r\n\r\n";
        let request = parse(head.as_bytes()).unwrap().unwrap();
        assert_eq!(request.head, b"-H /metrics HTTP/1.1\r\nContent-Length: 7\r\n\r\n");
        assert_eq!((request.head_length, request.body_length, request.keep_alive), (head.len(), 7, true));
        for end in 0..head.len() {
            assert_eq!(parse(&head.as_bytes()[..end]), Ok(None));
        }
    }

    #[test]
    fn a_web_page_is_refused_everywhere_and_a_foreign_name_but_over_a_unix_socket() {
        let check = |header: &[u8], is_local| {
            let head = [b"POST / HTTP/1.1\r\n", header, b"\r\n\r\n"].concat();
            parse(&head).unwrap().unwrap().check(is_local).is_ok()
        };
        assert_eq!([false, true].map(|is_local| check(b"ORIGIN: \xff", is_local)), [false, false]);
        assert_eq!([false, true].map(|is_local| check(b"Host: evil.example", is_local)), [false, true]);
        assert_eq!([false, true].map(|is_local| check(b"Host: [::1]:8080", is_local)), [true, true]);
    }

    #[test]
    fn a_length_is_one_number_of_at_most_64_kib() {
        assert_eq!(lengths(&["65536"]).unwrap().unwrap().body_length, 65536);
        for large in ["65537", "100000000000", "18446744073709551615", "99999999999999999999999999"] {
            assert!(lengths(&[large]).unwrap_err().0.starts_with("413"), "{large}");
        }
        for bad in ["-1", "+1", "", "1,1", "0x10", "1 1", "1_0"] {
            assert!(lengths(&[bad]).unwrap_err().0.starts_with("400"), "{bad}");
        }
        assert!(lengths(&["1", "1"]).unwrap_err().0.starts_with("400"));
    }

    #[test]
    fn what_is_dangerous_is_refused_by_its_proper_status() {
        assert!(refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").starts_with("411"));
        assert!(refused("POST / HTTP/1.1\r\nExpect: tea\r\n\r\n").starts_with("417"));
        assert!(refused(&format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD))).starts_with("431"));
        assert!(refused(&format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65))).starts_with("431"));
        assert!(refused(&"\r\n".repeat(MAX_HEAD)).starts_with("431"));
        for odd in
            ["GET / HTTP/2.0\r\n\r\n", "GET /\r\n\r\n", "\x16\x03\x01", "GET / HTTP/1.1\r\n a: b\r\n\r\n"]
        {
            assert!(refused(odd).starts_with("400"), "{odd:?}");
        }
        assert!(refused("GET /\u{e9} HTTP/1.1\r\n\r\n").starts_with("400"));
    }

    #[test]
    fn the_connection_stays_only_when_both_want_it() {
        let keeps = |head: &str| parse(head.as_bytes()).unwrap().unwrap().keep_alive;
        assert!(keeps("GET / HTTP/1.1\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nConnection: TE, Close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    }
}
