//! Answers, made wrong: for tests of devices.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, channel::Channel};
use hyper::{Response, header::CONTENT_LENGTH};
use tokio::time::sleep;

use crate::{
    faults::Trouble,
    server::{Body, full, respond},
    socket::Ending,
};

/// The answer, made wrong.
pub(crate) fn spoil(
    ending: &Ending,
    trouble: Option<Trouble>,
    status: u16,
    bytes: Option<Bytes>,
) -> io::Result<Response<Body>> {
    const JSON: Option<&str> = Some("application/json");
    const TYPES: &str = r#"{"type":7,"message_id":{},"directive":["device"],"version":"one","content":{"configuration":[1],"device_id":5,"version":{},"workloads":{"name":true},"secrets":"x","certificate":[0]}}"#;
    const HTML: &str =
        "<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please sign in.</body></html>";
    let kind = bytes.as_ref().and(JSON);
    let bytes = bytes.unwrap_or_default();
    Ok(match trouble {
        Some(Trouble::Lost) => {
            ending.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Trouble::Truncated) => respond(status, kind, full(bytes.slice(..bytes.len() / 2))),
        Some(Trouble::Types) => respond(200, JSON, full(Bytes::from_static(TYPES.as_bytes()))),
        Some(Trouble::Html) => respond(200, Some("text/html"), full(Bytes::from_static(HTML.as_bytes()))),
        Some(Trouble::Empty) => respond(200, JSON, full(Bytes::new())),
        Some(Trouble::Drip(pause)) => {
            let length = bytes.len();
            let drops = (0..length).map(move |at| bytes.slice(at..=at));
            sized(respond(status, kind, stream(drops, pause, false)), length)
        }
        Some(Trouble::Cut) => {
            // Something to cut is needed.
            let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
            let length = bytes.len();
            let half = std::iter::once(bytes.slice(..length / 2));
            sized(respond(status, kind, stream(half, Duration::ZERO, true)), length)
        }
        Some(Trouble::Huge) => {
            let chunk = Bytes::from(vec![b' '; 1 << 16]);
            respond(200, JSON, stream(std::iter::repeat_n(chunk, 1 << 10), Duration::ZERO, false))
        }
        _ => respond(status, kind, full(bytes)),
    })
}

/// Says beforehand how long a stream should be.
fn sized(mut response: Response<Body>, length: usize) -> Response<Body> {
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// Chunk by chunk, and then an end or a break.
fn stream(chunks: impl Iterator<Item = Bytes> + Send + 'static, pause: Duration, broken: bool) -> Body {
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        for chunk in chunks {
            if sender.send_data(chunk).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
        if broken {
            sender.abort(io::ErrorKind::ConnectionAborted.into());
        }
    });
    body.boxed()
}
