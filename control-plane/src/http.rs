//! HTTP/1.1 on a connection that is small while nothing is said on it, which is most of the time. hyper keeps two buffers
//! of 8 KiB for as long as it has a connection: so it has one only from the first byte of a request to the last one of
//! its answer.
//!
//! ```text
//!             bytes                          answered
//!  waiting ──────────► hyper reads, answers ──────────► waiting
//! ```

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Frame, Incoming, SizeHint},
    header::CONNECTION,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::watch,
    time::timeout,
};

use crate::{limits, server::Body};

/// More of a request's head is refused.
const HEAD: usize = 64 << 10;

/// How long a connection may take.
pub(crate) struct Times {
    /// Between two requests.
    pub(crate) idle: Duration,
    /// From a request's first byte to its answer's last one.
    pub(crate) exchange: Duration,
}

/// Serves requests until either side ends the connection, the server drains, or something takes too long.
///
/// # Errors
/// None that counts: a device that goes away in mid-sentence is nothing to talk about.
pub(crate) async fn serve<T, F, A>(
    mut io: T,
    answer: F,
    times: Times,
    mut drains: watch::Receiver<bool>,
) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = io::Result<Response<Body>>>,
{
    let mut before = Bytes::new();
    loop {
        if before.is_empty() {
            before = tokio::select! {
                biased; // a request that is here is answered
                read = timeout(times.idle, read(&mut io)) => match read {
                    Ok(read) => read?,
                    Err(_) => Bytes::new(),
                },
                _ = drains.wait_for(|drains| *drains) => Bytes::new(),
            };
        }
        if before.is_empty() {
            return end(io).await;
        }
        // (on the heap: a connection that waits is small)
        let exchange = Box::pin(exchange(Watched::new(io, before), &answer, &mut drains));
        match timeout(times.exchange, exchange).await {
            Ok(Ok((back, rest, true))) => (io, before) = (back, rest),
            Ok(Ok((back, ..))) => return end(back).await,
            Ok(Err(_)) | Err(_) => return Ok(()),
        }
    }
}

/// What comes next; nothing: the other side has ended it.
async fn read<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Bytes> {
    poll_fn(|cx| {
        let mut bytes = [0; 512];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
    })
    .await
}

async fn end<T: AsyncWrite + Unpin>(mut io: T) -> io::Result<()> {
    timeout(limits::HANDSHAKE, io.shutdown()).await.unwrap_or(Ok(()))
}

/// A request and its answer, or some. Returns the connection, what was read of the next request, and whether that may
/// come.
async fn exchange<T, F, A>(
    io: Watched<T>,
    answer: &F,
    drains: &mut watch::Receiver<bool>,
) -> Result<(T, Bytes, bool), hyper::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = io::Result<Response<Body>>>,
{
    let activity = Arc::clone(&io.activity);
    let service = service_fn(|request| {
        activity.begun.fetch_add(1, Relaxed);
        let (answering, activity) = (answer(request), Arc::clone(&activity));
        Box::pin(async move {
            let answer = answering.await?;
            if answer.headers().get(CONNECTION).is_some_and(|value| value == "close") {
                activity.is_last.store(true, Relaxed);
            }
            io::Result::Ok(answer.map(|body| Counted { body, activity }))
        })
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits::HEAD).max_buf_size(HEAD);
    let mut http = http.serve_connection(TokioIo::new(io), service);
    let mut draining = pin!(drains.wait_for(|drains| *drains));
    let mut is_draining = false;
    let goes_on = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = http.poll_without_shutdown(cx) {
                return Poll::Ready(ended.map(|()| false));
            }
            // (from now on hyper ends it, after the answer)
            if !is_draining && draining.as_mut().poll(cx).is_ready() {
                is_draining = true;
                Pin::new(&mut http).graceful_shutdown();
                continue;
            }
            let is_over = activity.is_over() && !is_draining;
            return if is_over { Poll::Ready(Ok(true)) } else { Poll::Pending };
        }
    })
    .await?;
    let parts = http.into_parts();
    let io = parts.io.into_inner();
    // What hyper has read was before what it hasn't. (In bytes of their own: else hyper's buffer would stay.)
    let rest = [&parts.read_buf[..], &io.before].concat();
    Ok((io.inner, rest.into(), goes_on))
}

/// What becomes of the requests on a connection.
#[derive(Default)]
struct Activity {
    begun: AtomicUsize,
    /// Those whose answer hyper has taken over to the last byte.
    answered: AtomicUsize,
    /// Not all of it was sent.
    is_sending: AtomicBool,
    /// None is to follow it: hyper ends the connection, perhaps with a request that was not read to its end.
    is_last: AtomicBool,
}

impl Activity {
    fn is_over(&self) -> bool {
        let answered = self.answered.load(Relaxed);
        let is_under_way = self.is_sending.load(Relaxed) || self.is_last.load(Relaxed);
        answered > 0 && answered == self.begun.load(Relaxed) && !is_under_way
    }
}

/// A body that says when it is through.
struct Counted {
    body: Body,
    activity: Arc<Activity>,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.activity.answered.fetch_add(1, Relaxed);
    }
}

/// A connection of which something was read already, and that notes whether all that was written is sent.
struct Watched<T> {
    inner: T,
    before: Bytes,
    activity: Arc<Activity>,
}

impl<T> Watched<T> {
    fn new(inner: T, before: Bytes) -> Self {
        Self { inner, before, activity: Arc::default() }
    }

    fn sent<R>(&self, polled: Poll<R>) -> Poll<R> {
        self.activity.is_sending.store(polled.is_pending(), Relaxed);
        polled
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let length = self.before.len().min(buffer.remaining());
        buffer.put_slice(&self.before.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        // (it is until it was flushed)
        self.activity.is_sending.store(true, Relaxed);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.sent(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::server::{full, respond};

    /// Answers with what was posted.
    async fn echo(request: Request<Incoming>) -> io::Result<Response<Body>> {
        let body = request.into_body().collect().await.map_err(io::Error::other)?;
        Ok(respond(200, None, full(body.to_bytes())))
    }

    type Served = tokio::task::JoinHandle<io::Result<()>>;

    fn serving_until(drains: &watch::Sender<bool>, room: usize, times: Times) -> (DuplexStream, Served) {
        let (client, server) = duplex(room);
        (client, tokio::spawn(serve(server, echo, times, drains.subscribe())))
    }

    fn serving(room: usize, times: Times) -> (DuplexStream, Served) {
        // (it outlives the test)
        serving_until(Box::leak(Box::new(watch::Sender::new(false))), room, times)
    }

    fn post(body: &str) -> String {
        format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    const LONG: Duration = Duration::from_secs(20);

    async fn answers(client: &mut DuplexStream, count: usize) -> Vec<String> {
        let mut all = String::new();
        while all.matches("HTTP/1.1 200 OK").count() < count || !all.ends_with('.') {
            let mut bytes = [0; 4096];
            let read = timeout(LONG, client.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "it ended after {all:?}");
            all += std::str::from_utf8(&bytes[..read]).unwrap();
        }
        let bodies = all.split("HTTP/1.1 200 OK").skip(1);
        bodies.map(|it| it.rsplit("\r\n").next().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn each_request_is_answered_whether_they_come_in_turn_in_pieces_or_at_once() {
        let (mut client, serving) = serving(1 << 16, Times { idle: LONG, exchange: LONG });
        for body in ["one.", "two."] {
            client.write_all(post(body).as_bytes()).await.unwrap();
            assert_eq!(answers(&mut client, 1).await, [body]);
        }
        let long = "x".repeat(20_000) + ".";
        let all = post("three.") + &post(&long) + &post("five.");
        let (first, rest) = all.split_at(all.len() - 10);
        client.write_all(first.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut client, 2).await, ["three.", &long]);
        client.write_all(rest.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut client, 1).await, ["five."]);
        for byte in post("six.").bytes() {
            client.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(answers(&mut client, 1).await, ["six."]);
        drop(client);
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_waits_is_sent_away_when_it_drains_and_what_was_begun_is_answered() {
        let drains = watch::Sender::new(false);
        let times = || Times { idle: LONG, exchange: LONG };
        let (mut waiting, waited) = serving_until(&drains, 1 << 16, times());
        let (mut begun, served) = serving_until(&drains, 1 << 16, times());
        let all = post("one.");
        let (half, rest) = all.split_at(all.len() - 2);
        begun.write_all(half.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drains.send_replace(true);
        assert_eq!(timeout(LONG, waiting.read(&mut [0])).await.unwrap().unwrap(), 0);
        waited.await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        begun.write_all(rest.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut begun, 1).await, ["one."]);
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_and_a_silence_end_the_connection() {
        let soon = Duration::from_millis(200);
        let (mut client, serving) = self::serving(1 << 10, Times { idle: LONG, exchange: soon });
        let large = "x".repeat(100_000);
        let _ = timeout(soon, client.write_all(post(&large).as_bytes())).await;
        timeout(LONG, serving).await.expect("its end").unwrap().unwrap();
        let (mut client, serving) = self::serving(1 << 16, Times { idle: soon, exchange: LONG });
        client.write_all(post("one.").as_bytes()).await.unwrap();
        assert_eq!(answers(&mut client, 1).await, ["one."]);
        timeout(LONG, serving).await.expect("its end").unwrap().unwrap();
    }
}
