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

#[derive(Default)]
struct State {
    requests: Vec<(Instant, String)>,
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
        let state = self.state.0.lock().unwrap();
        state.requests.iter().filter(|(_, line)| line.contains(part)).cloned().collect()
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
        {
            let mut state = self.state.0.lock().unwrap();
            state.requests.push((Instant::now(), line.clone()));
            while state.held.iter().any(|part| line.contains(part)) {
                state = self.state.1.wait(state).unwrap();
            }
        }
        let mut server = UnixStream::connect(target).ok()?;
        server.write_all(&head).ok()?;
        let (mut up_from, mut up_to) = (client.try_clone().ok()?, server.try_clone().ok()?);
        let up = thread::spawn(move || {
            let _ = std::io::copy(&mut up_from, &mut up_to);
            let _ = up_to.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
        up.join().ok()
    }
}
