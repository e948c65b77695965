//! Listening, TLS and HTTP, within limits; and misbehaving where it is told to.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Response,
    body::{Body as _, Incoming},
    header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    http::request::Parts,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    api::{self, Answer, Target},
    authority::{BOOTSTRAP_NAME, Caller},
    edge::{Door, Edge},
    faults::{Call, Fault, Trouble},
    http::{self, Times},
    journal::Entry,
    limits, misbehave,
    socket::{Ending, Socket},
    store::Store,
};

pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// How long requests that have begun may take when the server ends.
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Accepts as the door says, until the server ends and what was begun is done.
pub(crate) async fn serve<S: Store>(
    edge: Arc<Edge<S>>,
    listener: TcpListener,
    address: SocketAddr,
) -> Result<()> {
    // Each connection has one: when all are gone, all are done.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let mut listener = Some(listener);
    let mut door = edge.door.subscribe();
    let mut drains = edge.drains.subscribe();
    edge.metrics.is_ready.store(true, Relaxed);
    for number in 1.. {
        let accepted = tokio::select! {
            accepted = accept(&edge, &mut listener, address, &mut door) => accepted?,
            _ = drains.wait_for(|drains| *drains) => break,
        };
        let (stream, peer) = accepted;
        let (edge, door, alive) = (Arc::clone(&edge), door.clone(), alive.clone());
        tokio::spawn(async move {
            edge.metrics.connections.fetch_add(1, Relaxed);
            if let Err(error) = connection(&edge, stream, number, door).await {
                edge.metrics.handshakes_failed.fetch_add(1, Relaxed);
                edge.journal.note_trouble(&format!("connection {number} from {peer}: {error:#}"));
            }
            edge.metrics.connections.fetch_sub(1, Relaxed);
            drop(alive);
        });
    }
    edge.metrics.is_ready.store(false, Relaxed);
    drop((listener, alive));
    let _ = timeout(DRAIN, gone.recv()).await;
    Ok(())
}

/// The next connection, when the door is open.
async fn accept<S>(
    edge: &Edge<S>,
    listener: &mut Option<TcpListener>,
    address: SocketAddr,
    door: &mut watch::Receiver<Door>,
) -> Result<(TcpStream, SocketAddr)> {
    loop {
        let state = *door.borrow_and_update();
        if state == Door::Refusing {
            *listener = None;
            door.changed().await?;
            continue;
        }
        if listener.is_none() {
            let open = bind(address).await.with_context(|| format!("failed to listen on {address} again"))?;
            *listener = Some(open);
        }
        let Some(open) = listener.as_ref() else { continue };
        tokio::select! {
            accepted = open.accept() => match accepted {
                Ok(accepted) => return Ok(accepted),
                Err(error) => {
                    edge.journal.say(&format!("failed to accept a connection: {error}"));
                    // Out of descriptors, mostly: don't spin.
                    sleep(Duration::from_millis(100)).await;
                }
            },
            _ = door.changed() => {}
        }
    }
}

/// One connection, until either side ends it or the door changes.
///
/// # Errors
/// It didn't come to TLS.
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
    let evicted = edge.limits.handshake();
    let accepting = TlsAcceptor::from(config).accept(Socket::new(stream, ending.clone()));
    let handshake = Box::pin(timeout(limits::HANDSHAKE, accepting));
    // (on the heap: what serves it would have room for it in each of its states)
    let tls = Box::new(tokio::select! {
        done = handshake => done.context("no handshake in time")?.context("the handshake failed")?,
        Ok(()) = evicted => bail!("there are too many handshakes at once"),
        _ = door.changed() => return Ok(()),
    });
    let certificates = tls.get_ref().1.peer_certificates();
    let caller = certificates.and_then(|chain| edge.authority.judge(chain.first()?)).map(Arc::new);
    let Some(_place) = edge.limits.connection(caller.is_none()) else {
        bail!("there are too many connections")
    };
    let idle = if caller.is_some() { limits::IDLE } else { limits::IDLE_STRANGER };
    let answer = |request| {
        let (edge, ending, caller) = (Arc::clone(edge), ending.clone(), caller.clone());
        async move { handle(&edge, &ending, number, caller.as_deref(), request).await }
    };
    let mut drains = edge.drains.subscribe();
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let done = async {
        if !is_http2 {
            // (a stall, or an answer byte by byte, takes as long as it is told to)
            let exchange = if edge.may_misbehave { Duration::MAX } else { limits::EXCHANGE };
            // A device that goes away in mid-sentence is nothing to talk about.
            let _ = http::serve(tls, answer, Times { idle, exchange }, drains).await;
            return;
        }
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(limits::STREAMS)
            .keep_alive_interval(idle)
            .max_header_list_size(64 << 10);
        let service = service_fn(|request| Box::pin(answer(request)));
        let mut served = Box::pin(http.serve_connection(TokioIo::new(tls), service));
        tokio::select! {
            _ = served.as_mut() => return,
            _ = drains.wait_for(|drains| *drains) => served.as_mut().graceful_shutdown(),
        }
        let _ = served.await;
    };
    tokio::select! {
        () = done => {}
        // (within: `select!` drops the other branch, and the socket, before it comes to an arm's body)
        () = async { drop(door.changed().await); ending.reset() } => {}
    }
    Ok(())
}

/// The whole body, or what to answer instead.
async fn read<S>(edge: &Edge<S>, name: &str, mut body: Incoming) -> Result<Bytes, u16> {
    let is_huge = |length: usize| length > limits::BODY;
    if body.size_hint().exact().is_some_and(|length| usize::try_from(length).map_or(true, is_huge)) {
        return Err(413);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let Some(mut room) = edge.limits.body(name) else { return Err(429) };
    let reading = async {
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| 400_u16)?.into_data() else { continue };
            if is_huge(all.len() + data.len()) {
                return Err(413);
            }
            room.grow(data.len()).await;
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    };
    timeout(limits::REQUEST, reading).await.unwrap_or(Err(408))
}

/// What to answer before anything is read: who is a stranger, or asks too often.
fn turned_away<S>(edge: &Edge<S>, caller: Option<&Caller>) -> Option<u16> {
    let Some(caller) = caller else { return Some(401) };
    if caller.name == BOOTSTRAP_NAME || edge.limits.request(&caller.name) {
        return None;
    }
    edge.metrics.requests_limited.fetch_add(1, Relaxed);
    Some(429)
}

/// The answer to a request that was not read.
fn refusal(status: u16) -> Response<Body> {
    let mut response = respond(status, None, full(Bytes::new()));
    // What is left of the body is not read.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    if status == 429 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(limits::RETRY_AFTER));
    }
    response
}

/// Of a request's head as HTTP/1.1 has it: "POST /path HTTP/1.1", a line per header, an empty one.
fn length(parts: &Parts) -> usize {
    let line = parts.method.as_str().len() + parts.uri.path().len() + "  HTTP/1.1\r\n\r\n".len();
    let headers = parts.headers.iter();
    headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum::<usize>() + line
}

/// One request: read, misbehave or answer, note.
///
/// # Errors
/// Ends the connection without an answer.
async fn handle<S: Store>(
    edge: &Arc<Edge<S>>,
    ending: &Ending,
    connection: u64,
    caller: Option<&Caller>,
    request: hyper::Request<Incoming>,
) -> io::Result<Response<Body>> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let body = match turned_away(edge, caller) {
        Some(status) => Err(status),
        None => read(edge, caller.map_or("", |caller| &caller.name), body).await,
    };
    let body = match body {
        Ok(body) => body,
        Err(status) => {
            edge.metrics.note(Call::Other, status, began.elapsed());
            return Ok(refusal(status));
        }
    };
    let (target, id) = api::target(parts.method.as_str(), parts.uri.path());
    let request = api::Request {
        target,
        id,
        caller,
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
        edge.metrics.note(call, status, began.elapsed());
        let posted =
            request.message.as_ref().filter(|_| matches!(target, Target::DataOut | Target::ControlOut));
        edge.journal.note(&Entry {
            at: OffsetDateTime::now_utc().unix_timestamp_nanos() as f64 / 1e9,
            connection,
            device: id,
            call,
            status,
            head: length(&parts),
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
    misbehave::spoil(ending, fault.map(|fault| fault.trouble), status, bytes)
}

pub(crate) fn respond(status: u16, kind: Option<&'static str>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().unwrap_or_default();
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()
}
