//! Listening, TLS and HTTP; and every way of misbehaving that is not a mere answer.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited, channel::Channel, combinators::BoxBody};
use hyper::{
    Response,
    body::Incoming,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    api::{self, Answer, Target},
    edge::{Door, Edge},
    faults::{Fault, Trouble},
    journal::Entry,
    socket::{Ending, Socket},
    store::Store,
};

type Body = BoxBody<Bytes, io::Error>;

/// A body beyond this is no device's hardware.
const MAX_BODY: usize = 4 << 20;
/// For who connects and says nothing.
const HANDSHAKE: Duration = Duration::from_secs(30);

pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Accepts as the door says, for ever.
pub(crate) async fn serve<S: Store>(
    edge: Arc<Edge<S>>,
    listener: TcpListener,
    address: SocketAddr,
) -> Result<()> {
    let mut listener = Some(listener);
    let mut door = edge.door.subscribe();
    for number in 1.. {
        let (stream, peer) = loop {
            let state = *door.borrow_and_update();
            if state == Door::Refusing {
                listener = None;
                door.changed().await?;
                continue;
            }
            let open = match listener.take() {
                Some(open) => open,
                None => {
                    bind(address).await.with_context(|| format!("failed to listen on {address} again"))?
                }
            };
            let accepted = tokio::select! {
                accepted = open.accept() => Some(accepted),
                _ = door.changed() => None,
            };
            listener = Some(open);
            match accepted {
                Some(Ok(accepted)) => break accepted,
                Some(Err(error)) => {
                    edge.journal.say(&format!("failed to accept a connection: {error}"));
                    // Out of descriptors, mostly: don't spin.
                    sleep(Duration::from_millis(100)).await;
                }
                None => {}
            }
        };
        let (edge, door) = (Arc::clone(&edge), door.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(&edge, stream, number, door).await {
                edge.journal.say(&format!("connection {number} from {peer}: {error:#}"));
            }
        });
    }
    Ok(())
}

/// One connection, until either side ends it or the door changes.
async fn connection<S: Store>(
    edge: &Arc<Edge<S>>,
    stream: TcpStream,
    number: u64,
    mut door: watch::Receiver<Door>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    if *door.borrow_and_update() == Door::Silent {
        // (a client that gives up is noticed when the door changes: that will do)
        let _ = door.changed().await;
        return Ok(());
    }
    let ending = Ending::default();
    let config = Arc::clone(&edge.state().tls);
    let handshake = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(Socket::new(stream, ending.clone())));
    let tls = tokio::select! {
        done = handshake => done.context("no handshake in time")?.context("the handshake failed")?,
        _ = door.changed() => return Ok(()),
    };
    let certificate: Arc<[u8]> = tls
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map_or(Arc::default(), |der| der.as_ref().into());
    let service = service_fn(|request| {
        let (edge, ending, certificate) = (Arc::clone(edge), ending.clone(), Arc::clone(&certificate));
        async move { handle(&edge, &ending, number, &certificate, request).await }
    });
    let http = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        // A device that goes away in mid-sentence is nothing to talk about.
        _ = http.serve_connection(TokioIo::new(tls), service) => {}
        // (within: `select!` drops the other branch, and the socket, before it comes to an arm's body)
        () = async { drop(door.changed().await); ending.reset() } => {}
    }
    Ok(())
}

/// One request: read, misbehave or answer, note.
///
/// # Errors
/// Ends the connection without an answer.
async fn handle<S: Store>(
    edge: &Arc<Edge<S>>,
    ending: &Ending,
    connection: u64,
    certificate: &[u8],
    request: hyper::Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(io::Error::other)?.to_bytes();
    // As HTTP/1.1 has it: "POST /path HTTP/1.1", a line per header, an empty one.
    let line = parts.method.as_str().len() + parts.uri.path().len() + "  HTTP/1.1\r\n\r\n".len();
    let head = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum::<usize>()
        + line;
    let (target, id) = api::target(parts.method.as_str(), parts.uri.path());
    let request = api::Request {
        target,
        id,
        caller: edge.authority.judge(certificate),
        content_type: parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default(),
        message: serde_json::from_slice(&body).ok(),
    };
    let call = request.call();
    let fault = edge.state().faults.take(call, id);
    let note = |status: u16, answer: &Value| {
        let posted =
            request.message.as_ref().filter(|_| matches!(target, Target::DataOut | Target::ControlOut));
        edge.journal.note(&Entry {
            at: OffsetDateTime::now_utc().unix_timestamp_nanos() as f64 / 1e9,
            connection,
            device: id,
            call,
            status,
            head,
            body: body.len(),
            trouble: fault.as_ref().map(Fault::kind),
            content: posted.map_or(&Value::Null, |message| &message["content"]),
            version: answer["content"]["version"].as_str(),
            answer,
        });
    };
    match fault.as_ref().map(|fault| &fault.trouble) {
        Some(Trouble::Status { status, retry_after }) => {
            note(*status, &Value::Null);
            let mut response = respond(*status, None, full(Bytes::new()));
            if let Some(value) = retry_after.as_ref().and_then(|text| text.parse().ok()) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
            return Ok(response);
        }
        Some(Trouble::Reset) => {
            note(0, &Value::Null);
            ending.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Trouble::Stall) => {
            note(0, &Value::Null);
            edge.cleared.notified().await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Some(Trouble::Slow(delay)) => sleep(*delay).await,
        _ => {}
    }
    let answer = api::answer(edge, &request).await;
    let status = answer.status();
    let (json, bytes) = match answer {
        Answer::Json(_, value) => {
            let text = value.to_string();
            (value, Some(Bytes::from(text + "\n")))
        }
        Answer::Status(_) | Answer::Dropped => (Value::Null, None),
    };
    note(status, &json);
    if status == 0 {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    spoil(ending, fault.map(|fault| fault.trouble), status, bytes)
}

/// The answer, made wrong.
fn spoil(
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

fn respond(status: u16, kind: Option<&'static str>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().unwrap_or_default();
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    }
    response
}

/// Says beforehand how long a stream should be.
fn sized(mut response: Response<Body>, length: usize) -> Response<Body> {
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()
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
