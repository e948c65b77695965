//! Between the agent and podman: notes every request with its time, and holds back those it is told to.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

/// A request, and when it was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub came: Instant,
    /// With its first bytes.
    pub answered: Option<Instant>,
    /// `METHOD /path`
    pub line: String,
}

#[derive(Default)]
struct State {
    exchanges: Vec<Exchange>,
    held: Vec<String>,
}

/// A proxy in front of a unix socket.
#[derive(Clone)]
pub struct Proxy {
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Proxy {
    /// Listens on `path` and passes everything on to `target`.
    pub fn start(path: &Path, target: PathBuf) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let proxy = Self { state: Arc::default() };
        let this = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (this, target) = (this.clone(), target.clone());
                thread::spawn(move || this.pass(client.unwrap(), &target));
            }
        });
        proxy
    }

    /// From now on requests that contain `part` in `METHOD /path` wait for [`release`](Self::release).
    pub fn hold(&self, part: &str) {
        self.state.0.lock().unwrap().held.push(part.into());
    }

    /// Lets go of all that was held.
    pub fn release(&self) {
        self.state.0.lock().unwrap().held.clear();
        self.state.1.notify_all();
    }

    /// All requests so far that contain `part`: when they came, and `METHOD /path`.
    pub fn requests(&self, part: &str) -> Vec<(Instant, String)> {
        let those = self.exchanges(0).into_iter().filter(|it| it.line.contains(part));
        those.map(|it| (it.came, it.line)).collect()
    }

    /// All but the first so many.
    pub fn exchanges(&self, before: usize) -> Vec<Exchange> {
        self.state.0.lock().unwrap().exchanges[before..].to_vec()
    }

    #[allow(clippy::disallowed_methods)]
    fn pass(&self, mut client: UnixStream, target: &Path) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_string();
        let number = {
            let mut state = self.state.0.lock().unwrap();
            let number = state.exchanges.len();
            state.exchanges.push(Exchange { came: Instant::now(), answered: None, line: line.clone() });
            while state.held.iter().any(|part| line.contains(part)) {
                state = self.state.1.wait(state).unwrap();
            }
            number
        };
        let mut server = UnixStream::connect(target).ok()?;
        server.write_all(&head).ok()?;
        let (mut up_from, mut up_to) = (client.try_clone().ok()?, server.try_clone().ok()?);
        let up = thread::spawn(move || {
            let _ = std::io::copy(&mut up_from, &mut up_to);
            let _ = up_to.shutdown(Shutdown::Write);
        });
        let mut first = [0; 1024];
        let amount = server.read(&mut first).unwrap_or(0);
        self.state.0.lock().unwrap().exchanges[number].answered = Some(Instant::now());
        let _ = client.write_all(&first[..amount]);
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
        up.join().ok()
    }
}
