//! `kill -9` under load: whatever was answered with 200 is there afterwards.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{Host, answer, eventually, free_port, pause, post};

const CLIENTS: usize = 4;

/// What a client knows: its newest value that was answered with 200, and the newest that it sent.
#[derive(Default)]
struct Progress {
    stored: AtomicU64,
    sent: AtomicU64,
}

/// Clients that post growing values, each its own name, and repeat one until it is answered.
struct Load {
    progress: Arc<[Progress; CLIENTS]>,
    enough: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let progress = Arc::<[Progress; CLIENTS]>::default();
        let enough = Arc::<AtomicBool>::default();
        let client = |n: usize| {
            let (progress, enough) = (progress.clone(), enough.clone());
            std::thread::spawn(move || {
                let mut stream = None;
                while !enough.load(SeqCst) {
                    let value = progress[n].stored.load(SeqCst) + 1;
                    progress[n].sent.store(value, SeqCst);
                    if post_on(&mut stream, address, &format!(r#"{{"name":"c{n}","value":{value}}}"#))
                        .is_some()
                    {
                        progress[n].stored.store(value, SeqCst);
                    } else {
                        stream = None;
                        pause(2);
                    }
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { progress, enough, clients }
    }

    fn stored(&self) -> Vec<u64> {
        self.progress.iter().map(|client| client.stored.load(SeqCst)).collect()
    }

    /// No client's value may be older than what it knew to be stored, nor newer than what it sent.
    fn check(&self, stored: &[u64], remembered: Vec<(String, f64)>) {
        let remembered: BTreeMap<String, f64> = remembered.into_iter().collect();
        for (n, &stored) in stored.iter().enumerate() {
            let value = remembered.get(&format!("c{n}")).map_or(0, |&value| value as u64);
            let sent = self.progress[n].sent.load(SeqCst);
            assert!((stored..=sent).contains(&value), "c{n}: {value} is not of {stored}..={sent}");
        }
    }

    fn stop(&mut self) {
        self.enough.store(true, SeqCst);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
    }
}

/// Posts on a kept connection; `None`: no 200 came.
fn post_on(stream: &mut Option<TcpStream>, address: SocketAddr, body: &str) -> Option<()> {
    if stream.is_none() {
        *stream = Some(TcpStream::connect(address).ok()?);
    }
    let stream = stream.as_mut()?;
    let head = format!("POST /metrics HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).ok()?;
    (answer(stream).ok()?.0 == 200).then_some(())
}

fn kills() -> u64 {
    std::env::var("METRICS_KILLS").map_or(10, |kills| kills.parse().unwrap())
}

#[test]
fn no_value_answered_with_200_is_lost_when_the_agent_is_killed() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let mut host = Host::ready(directory.path(), address);
    let mut load = Load::start(address);
    for n in 0..kills() {
        pause(n * 7919 % 60);
        host.kill();
        let stored = load.stored();
        host = Host::start(directory.path(), &[address.to_string()]);
        load.check(&stored, host.remembered());
    }
    load.stop();
    let stored = load.stored();
    assert!(stored.iter().all(|&stored| stored > 0), "{stored:?}");
    host.kill();
    let host = Host::start(directory.path(), &[address.to_string()]);
    load.check(&stored, host.remembered());
}

#[test]
fn no_value_answered_with_200_is_lost_when_the_receiver_is_killed() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let host = Host::ready(directory.path(), address);
    let mut load = Load::start(address);
    for n in 0..kills() {
        pause(n * 7919 % 60);
        host.kill_receiver();
        // A post meanwhile waits in the backlog, or is cut off and posted again.
        let (_, took) = eventually("a post", Duration::from_secs(5), || {
            post(address, r#"{"name":"p","value":1}"#).ok().filter(|answer| answer.0 == 200)
        });
        assert!(took < Duration::from_secs(1), "back after {took:?}");
    }
    load.stop();
    let stored = load.stored();
    host.kill();
    let host = Host::start(directory.path(), &[address.to_string()]);
    load.check(&stored, host.remembered());
}
