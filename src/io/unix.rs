//! HTTP over unix sockets, which is how `ureq` reaches podman; and requests that another thread can end.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType,
        sockopt::{self, Timeout},
    },
};
use ureq::{
    Agent, Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport},
    },
};

use super::{http, lock};

/// A client whose every request goes to this socket, on a connection of its own: whatever the address in
/// the request says.
///
/// A request has to bring its time limit (`timeout_global`). Answers of any status are answers, not errors.
pub fn unix_http_client(socket: &Path) -> Agent {
    client_with_connector(UnixConnector { socket: socket.into(), hangup: None })
}

/// The same for one request, which fails as soon as it is hung up.
pub fn cancellable_unix_client(socket: &Path, hangup: CancelHandle) -> Agent {
    client_with_connector(UnixConnector { socket: socket.into(), hangup: Some(hangup) })
}

fn client_with_connector(connector: UnixConnector) -> Agent {
    Agent::with_parts(http::config().build(), connector, DummyResolver)
}

/// The same for one request over the network, whose address says where to.
pub fn cancellable_network_client(hangup: CancelHandle) -> Agent {
    Agent::with_parts(http::config().build(), NetworkConnector(hangup), DefaultResolver::default())
}

/// Ends a request from another thread: at once, or as soon as it begins.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle(Arc<Mutex<CancelState>>);

#[derive(Debug, Default)]
enum CancelState {
    #[default]
    Idle,
    Open(UnixStream),
    HungUp,
}

impl CancelHandle {
    /// From now on the request's connection is closed.
    pub fn cancel(&self) {
        if let CancelState::Open(stream) = std::mem::replace(&mut *lock(&self.0), CancelState::HungUp) {
            let _ = stream.shutdown(Shutdown::Both); // the server was first
        }
    }

    /// Whether that was done.
    pub fn is_cancelled(&self) -> bool {
        matches!(*lock(&self.0), CancelState::HungUp)
    }

    /// Waits for so long, or until it is hung up.
    pub fn wait(&self, limit: Duration) -> io::Result<()> {
        let (mut near, far) = UnixStream::pair()?;
        self.attach_stream(&far)?;
        if !limit.is_zero() {
            near.set_read_timeout(Some(limit))?;
            let _ = near.read(&mut [0]); // nothing comes but its end
        }
        Ok(())
    }

    /// Connects to an address, unless it is hung up meanwhile. What is done with a stream afterwards is the same for all
    /// kinds of sockets.
    fn connect(&self, address: &SocketAddr, limit: Option<Duration>) -> io::Result<UnixStream> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let stream: UnixStream = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?.into();
        match rustix::net::connect(&stream, address) {
            Err(error) if error != Errno::INPROGRESS => return Err(error.into()),
            _ => {}
        }
        self.attach_stream(&stream)?; // what has not begun to connect can't be hung up
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        if poll(&mut [PollFd::new(&stream, PollFlags::OUT)], limit.as_ref())? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        sockopt::socket_error(&stream)??;
        if self.is_cancelled() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    fn attach_stream(&self, stream: &UnixStream) -> io::Result<()> {
        let mut line = lock(&self.0);
        if matches!(*line, CancelState::HungUp) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *line = CancelState::Open(stream.try_clone()?);
        Ok(())
    }
}

/// Opens connections to one socket.
#[derive(Debug)]
struct UnixConnector {
    socket: PathBuf,
    hangup: Option<CancelHandle>,
}

impl Connector for UnixConnector {
    type Out = SocketTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<SocketTransport>, Error> {
        let limit = details.timeout.not_zero();
        let stream =
            connect(&self.socket, limit.map(|limit| *limit)).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Error::Timeout(details.timeout.reason),
                _ => Error::Io(error),
            })?;
        if let Some(hangup) = &self.hangup {
            hangup.attach_stream(&stream)?;
        }
        Ok(Some(SocketTransport::new(stream, details)))
    }
}

/// Opens connections to where the address leads.
#[derive(Debug)]
struct NetworkConnector(CancelHandle);

impl Connector for NetworkConnector {
    type Out = SocketTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<SocketTransport>, Error> {
        let Some(address) = details.addrs.iter().next() else { return Err(Error::HostNotFound) };
        let limit = details.timeout.not_zero().map(|limit| *limit);
        let stream = self.0.connect(address, limit).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Timeout(details.timeout.reason),
            _ => Error::Io(error),
        })?;
        Ok(Some(SocketTransport::new(stream, details)))
    }
}

/// Waits at most `limit` for a place in the listener's queue; `WouldBlock` when there was none.
fn connect(path: &Path, limit: Option<Duration>) -> io::Result<UnixStream> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // unix(7) knows no connect that goes on in the background: the send timeout is what bounds it
    sockopt::set_socket_timeout(&socket, Timeout::Send, limit)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

struct SocketTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl SocketTransport {
    fn new(stream: UnixStream, details: &ConnectionDetails) -> Self {
        let config = details.config;
        Self { stream, buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()) }
    }
}

/// What a read or write made of the socket's own time limit.
fn map_timeout_error(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_timeout(timeout.not_zero().map(|limit| *limit))?;
        self.stream
            .write_all(&self.buffers.output()[..amount])
            .map_err(|error| map_timeout_error(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_timeout(timeout.not_zero().map(|limit| *limit))?;
        let buffer = self.buffers.input_append_buf();
        let amount = loop {
            // the kernel doesn't restart a read with a time limit that a signal interrupted
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| map_timeout_error(error, timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Never, so that no connection is kept for later: one that podman closes meanwhile would fail a
    /// request, and a new one costs microseconds.
    fn is_open(&mut self) -> bool {
        false
    }
}

impl fmt::Debug for SocketTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SocketTransport")
    }
}

/// `ureq` wants an address before it connects, and this one is never looked at.
#[derive(Debug)]
struct DummyResolver;

impl Resolver for DummyResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    fn answer_once(listener: &UnixListener, answer: &[u8]) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        stream.write_all(answer).unwrap();
        String::from_utf8(head).unwrap()
    }

    fn socket() -> (tempfile::TempDir, PathBuf, UnixListener) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        (dir, path, listener)
    }

    #[test]
    fn every_request_has_a_connection_of_its_own_and_a_404_is_an_answer() {
        let (_dir, path, listener) = socket();
        let server = thread::spawn(move || {
            answer_once(&listener, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            answer_once(&listener, b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")
        });
        let agent = unix_http_client(&path);
        let get = |path: &str| agent.get(format!("http://podman{path}")).call().unwrap();
        assert_eq!(get("/a").into_body().read_to_string().unwrap(), "ok");
        let second = get("/b");
        assert_eq!(second.status(), 404);
        assert_eq!(second.into_body().read_to_string().unwrap(), "gone");
        assert!(server.join().unwrap().starts_with("GET /b HTTP/1.1\r\n"));
    }

    #[test]
    fn a_silent_server_ends_in_a_timeout() {
        let (_dir, path, listener) = socket();
        let limit = Some(Duration::from_millis(50));
        let error = unix_http_client(&path)
            .get("http://d/")
            .config()
            .timeout_global(limit)
            .build()
            .call()
            .unwrap_err();
        assert!(matches!(error, Error::Timeout(_)), "{error}");
        drop(listener);
    }

    #[test]
    fn a_request_ends_as_soon_as_it_is_hung_up_and_one_that_comes_later_never_begins() {
        let (_dir, path, listener) = socket();
        let hangup = CancelHandle::default();
        let request = thread::spawn({
            let agent = cancellable_unix_client(&path, hangup.clone());
            move || agent.get("http://d/").call().map(drop)
        });
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        hangup.cancel();
        assert!(request.join().unwrap().is_err());
        assert!(hangup.is_cancelled());
        assert_eq!(stream.read_to_end(&mut Vec::new()).ok().map(|_| ()), Some(()), "the server hears of it");
        let error = cancellable_unix_client(&path, hangup).get("http://d/").call().unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
    }

    #[test]
    fn a_request_over_the_network_ends_as_soon_as_it_is_hung_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let hangup = CancelHandle::default();
        let request = thread::spawn({
            let (agent, address) = (cancellable_network_client(hangup.clone()), address.clone());
            move || agent.get(address).call().map(drop)
        });
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        hangup.cancel();
        assert!(request.join().unwrap().is_err());
        assert!(cancellable_network_client(hangup).get(address).call().is_err());
        // and one that no answer comes to while it connects
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let limit = Some(Duration::from_millis(20));
        while let Ok(stream) = CancelHandle::default().connect(&address, limit) {
            waiting.push(stream);
        }
        let hangup = CancelHandle::default();
        let connecting = thread::spawn({
            let hangup = hangup.clone();
            move || hangup.connect(&address, None).map(drop)
        });
        while !matches!(*lock(&hangup.0), CancelState::Open(_)) {
            thread::yield_now();
        }
        hangup.cancel();
        assert!(connecting.join().unwrap().is_err());
    }

    #[test]
    fn a_full_queue_ends_in_a_timeout() {
        let (_dir, path, listener) = socket();
        rustix::net::listen(&listener, 0).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path, Some(Duration::from_millis(20))) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(listener);
    }

    #[test]
    fn a_socket_without_a_listener_is_an_io_error() {
        let error = unix_http_client(Path::new("/nonexistent/s")).get("http://d/").call().unwrap_err();
        assert!(matches!(&error, Error::Io(io) if io.kind() == io::ErrorKind::NotFound), "{error}");
    }
}
