//! A host of the endpoint, and clients.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::{Receiver, after, unbounded};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().unwrap()
}

pub(crate) fn pause(milliseconds: u64) {
    after(Duration::from_millis(milliseconds)).recv().unwrap();
}

/// Tries until it works, and says how long that took.
pub(crate) fn eventually<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Option<T>,
) -> (T, Duration) {
    let start = now();
    loop {
        if let Some(success) = attempt() {
            return (success, now() - start);
        }
        assert!(now() - start < limit, "not within {limit:?}: {what}");
        pause(5);
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A process with the endpoint in it; killed at the end.
pub(crate) struct Host {
    process: Child,
    lines: Receiver<String>,
}

impl Host {
    pub(crate) fn start(directory: &Path, listen: &[String]) -> Self {
        let mut process = Command::new(program())
            .arg(directory)
            .args(listen)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = unbounded();
        let out = process.stdout.take().unwrap();
        let err = process.stderr.take().unwrap();
        for stream in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Self { process, lines }
    }

    /// With one TCP address, once that works.
    pub(crate) fn ready(directory: &Path, address: SocketAddr) -> Self {
        let host = Self::start(directory, &[address.to_string()]);
        host.says("metrics are taken at");
        host
    }

    /// Waits for a line that contains this, and returns all up to it.
    pub(crate) fn says(&self, text: &str) -> Vec<String> {
        let limit = after(Duration::from_secs(10));
        let mut seen = Vec::new();
        loop {
            crossbeam_channel::select! {
                recv(self.lines) -> line => seen.push(line.unwrap_or_else(|_| panic!("ended without {text:?}: {seen:?}"))),
                recv(limit) -> _ => panic!("never said {text:?}, but {seen:?}"),
            }
            if seen.last().is_some_and(|line| line.contains(text)) {
                return seen;
            }
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// The receiver, if there is one now.
    pub(crate) fn receiver(&self) -> Option<Pid> {
        let host = self.pid().as_raw_nonzero().to_string();
        let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid = entry.ok()?.file_name().into_string().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            (fields.next()? != "Z" && fields.next()? == host).then(|| pid.parse().ok())?
        });
        children.filter_map(Pid::from_raw).next()
    }

    pub(crate) fn kill_receiver(&self) {
        let (pid, _) = eventually("a receiver to kill", Duration::from_secs(2), || self.receiver());
        _ = kill_process(pid, Signal::KILL);
    }

    /// The name of each value that it remembered from before, with the value.
    pub(crate) fn remembered(&self) -> Vec<(String, f64)> {
        let parse = |line: &String| {
            let (name, value) = line.strip_prefix("remembered ")?.split_once(' ')?;
            let number = value.strip_prefix("Some(")?.strip_suffix(')')?;
            Some((name.to_owned(), number.parse().unwrap()))
        };
        let mut lines = self.says("metrics are taken at");
        // Both streams are read by threads of their own: a post of ours comes after what was remembered.
        let mark = format!("mark{}", self.pid().as_raw_nonzero());
        eventually("a post", Duration::from_secs(2), || (self.mark(&mark) == Some(200)).then_some(()));
        lines.extend(self.says(&format!("posted {mark}")));
        lines.iter().filter_map(parse).collect()
    }

    fn mark(&self, name: &str) -> Option<u16> {
        let stat = std::fs::read(format!("/proc/{}/cmdline", self.pid().as_raw_nonzero())).ok()?;
        let address = str::from_utf8(&stat).ok()?.split('\0').nth(2)?.parse().ok()?;
        Some(post(address, &format!(r#"{{"name":"{name}","value":1}}"#)).ok()?.0)
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Resident bytes of a process.
    pub(crate) fn memory(pid: Pid) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The host program. Cargo builds examples only when all targets are tested.
fn program() -> &'static Path {
    static BUILT: OnceLock<std::path::PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = [env!("CARGO"), "build", "--quiet", "--example", "metrics_host", "--manifest-path"];
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let mut build = Command::new(cargo[0]);
        build.args(&cargo[1..]).arg(manifest);
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().unwrap().parent().unwrap();
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        profile.join("examples/metrics_host")
    })
}

/// Posts on a connection of its own.
pub(crate) fn post(address: SocketAddr, body: &str) -> io::Result<(u16, String)> {
    let length = body.len();
    exchange(address, &format!("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"))
}

/// Sends these bytes on a connection of its own; the status and body of the answer.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    answer(&mut stream)
}

/// Reads the only answer that can be there.
pub(crate) fn answer(stream: &mut impl Read) -> io::Result<(u16, String)> {
    read_answer(&mut BufReader::new(stream))
}

/// Reads one answer of several.
pub(crate) fn read_answer(stream: &mut impl BufRead) -> io::Result<(u16, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8(body).unwrap()))
}
