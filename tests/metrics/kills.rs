//! `kill -9` under load: whatever was answered with 200 is there afterwards.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use super::{remembered, taking};
use crate::support::{
    http::{answer, connect, request},
    pause,
};

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
            thread::spawn(move || {
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
    fn check(&self, stored: &[u64], remembered: &BTreeMap<String, f64>) {
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
        *stream = Some(connect(address).ok()?);
    }
    let stream = stream.as_mut()?;
    stream.write_all(request(body).as_bytes()).ok()?;
    (answer(stream).ok()?.0 == 200).then_some(())
}

fn kills() -> u64 {
    std::env::var("METRICS_KILLS").map_or(10, |kills| kills.parse().unwrap())
}

#[test]
fn no_value_answered_with_200_is_lost_when_the_agent_is_killed() {
    let mut device = taking("agent-kills");
    let mut load = Load::start(device.address());
    for n in 0..kills() {
        pause(n * 7919 % 60);
        let remembered = remembered(&mut device);
        load.check(&load.stored(), &remembered);
        device.start();
    }
    load.stop();
    let stored = load.stored();
    assert!(stored.iter().all(|&stored| stored > 0), "{stored:?}");
    load.check(&stored, &remembered(&mut device));
    println!("{stored:?} posts stored over {} kills", kills());
}

#[test]
fn no_value_answered_with_200_is_lost_when_the_receiver_is_killed() {
    let mut device = taking("receiver-kills");
    let mut load = Load::start(device.address());
    let mut took = Vec::new();
    for n in 0..kills() {
        pause(n * 7919 % 60);
        let receiver = device.wait_for("a receiver to kill", || device.receiver());
        kill_process(receiver, Signal::KILL).unwrap();
        let killed = Instant::now();
        // A post meanwhile waits in the backlog, or is cut off and posted again.
        assert_eq!(device.post("p", n), 200);
        took.push(killed.elapsed());
    }
    took.sort_unstable();
    let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    println!("a post was answered {median:?} after a kill, at the latest {slowest:?}");
    assert!(median < Duration::from_secs(1), "back after {took:?}");
    load.stop();
    let stored = load.stored();
    load.check(&stored, &remembered(&mut device));
}
