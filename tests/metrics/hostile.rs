//! The attacks that end a bare tiny_http, or fill it up.

use std::{
    io::Write,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    net::sockopt::{set_socket_linger, set_socket_recv_buffer_size},
    process::{Pid, Signal, kill_process},
};

use super::{reading::ask_and_leave, taking};
use crate::support::{
    Device,
    http::{GET_METRICS, answer, connect, exchange, post},
    is_alive, pause, poll,
};

/// In bytes: how much agent and receiver together may grow.
const GROWTH: usize = 2 * 1024 * 1024;

struct Target {
    device: Device,
    receiver: Pid,
    before: usize,
    address: SocketAddr,
}

impl Target {
    fn new(name: &str) -> Self {
        let device = taking(name);
        for value in 0..200 {
            assert_eq!(device.post("a", value), 200);
        }
        let receiver = device.receiver().unwrap();
        let before = resident(&device, receiver);
        Self { receiver, before, address: device.address(), device }
    }

    /// The same two processes, no larger, and a post works.
    fn is_unharmed(&self) {
        let start = Instant::now();
        assert_eq!(post(self.address, r#"{"name":"after","value":1}"#).unwrap().0, 200);
        assert!(start.elapsed() < Duration::from_secs(2), "a post took {:?}", start.elapsed());
        assert_eq!(self.device.receiver(), Some(self.receiver), "the receiver was replaced");
        let (before, after) = (self.before, resident(&self.device, self.receiver));
        assert!(after < before + GROWTH, "{before} bytes grew to {after}");
    }
}

/// Resident bytes of agent and receiver that are their own: code that is read in for the first time isn't.
fn resident(device: &Device, receiver: Pid) -> usize {
    let of = |pid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    };
    of(device.pid() as i32) + of(receiver.as_raw_nonzero().get())
}

#[test]
fn a_thousand_half_open_connections_keep_no_client_out() {
    let target = Target::new("half-open");
    let half: Vec<_> = (0..1000)
        .map(|n| {
            let mut stream = connect(target.address).unwrap();
            // Some say nothing, some stop in the head, some in a large body. The frontend may have dropped it.
            _ = match n % 3 {
                0 => Ok(()),
                1 => stream.write_all(b"POST /metrics HTTP/1.1\r\nContent-"),
                _ => stream.write_all(
                    format!("POST / HTTP/1.1\r\nContent-Length: 65536\r\n\r\n{}", "x".repeat(60_000))
                        .as_bytes(),
                ),
            };
            stream
        })
        .collect();
    target.is_unharmed();
    drop(half);
    target.is_unharmed();
}

#[test]
fn an_endless_header_is_refused_early() {
    let target = Target::new("header");
    let mut stream = connect(target.address).unwrap();
    stream.write_all(b"POST /metrics HTTP/1.1\r\nX: ").unwrap();
    let chunk = [b'x'; 65_536];
    // 64 MiB; the frontend stops listening at some point.
    let sent = (0..1024).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    target.is_unharmed();
    if sent == 1024 {
        assert_eq!(answer(&mut stream).unwrap().0, 431);
    }
}

#[test]
fn absurd_lengths_are_refused() {
    let target = Target::new("lengths");
    for (length, status) in [("100000000000", 413), ("18446744073709551615", 413), ("-1", 400), ("1e9", 400)]
    {
        let request = format!("POST /metrics HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{{}}");
        assert_eq!(exchange(target.address, &request).unwrap().0, status, "{length}");
    }
    target.is_unharmed();
}

#[test]
fn resets_before_the_accept_are_survived() {
    let target = Target::new("resets");
    let reset = |_| {
        let mut stream = connect(target.address).unwrap();
        stream.write_all(b"POST /metrics HTTP/1.1\r\n\r\n").unwrap();
        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    };
    // Stopped, it can't be quicker than the reset.
    kill_process(target.receiver, Signal::STOP).unwrap();
    (0..500).for_each(reset);
    kill_process(target.receiver, Signal::CONT).unwrap();
    (0..500).for_each(reset);
    target.is_unharmed();
}

#[test]
fn garbage_and_clients_that_never_read_are_survived() {
    let target = Target::new("garbage");
    for garbage in
        ["\0\0\0\0\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\n\n\n \n\n"]
    {
        assert_eq!(exchange(target.address, garbage).unwrap().0, 400, "{garbage:?}");
    }
    for target_ in ["/\u{e9}", "/metrics\u{7f}", "*"] {
        let request = format!("POST {target_} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}");
        assert!([400, 404].contains(&exchange(target.address, &request).unwrap().0), "{target_:?}");
    }
    let mut deaf = connect(target.address).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let requests = GET_METRICS.repeat(1000);
    while deaf.write_all(requests.as_bytes()).is_ok() {}
    target.is_unharmed();
}

/// So many names that a report takes more than a megabyte.
fn fill(target: &Target) {
    for part in 0..8 {
        let name = |n: usize| format!(r#"{{"name":"n{:0>120}","value":1}}"#, part * 1000 + n);
        let body = format!("[{}]", (0..400).map(name).collect::<Vec<_>>().join(","));
        assert_eq!(post(target.address, &body).unwrap().0, 200);
    }
    let (status, text) = exchange(target.address, GET_METRICS).unwrap();
    assert!(status == 200 && text.len() > 1_000_000, "{status}, {} bytes", text.len());
}

#[test]
fn readers_that_never_take_large_answers_keep_no_client_out_and_nothing_in_memory() {
    let mut target = Target::new("slow-readers");
    fill(&target);
    let start = Instant::now();
    let mut readers = Vec::new();
    while start.elapsed() < Duration::from_secs(6) {
        let stream = connect(target.address).unwrap();
        set_socket_recv_buffer_size(&stream, 4096).unwrap();
        ask_and_leave(&stream);
        readers.push(stream);
        pause(100);
        let start = Instant::now();
        assert_eq!(post(target.address, r#"{"name":"a","value":1}"#).unwrap().0, 200);
        assert!(start.elapsed() < Duration::from_secs(2), "a post took {:?}", start.elapsed());
    }
    assert!(readers.len() > 20, "only {}", readers.len());
    // answers under way are 4 MiB at most; two more are being written and taken, and the allocators keep some room
    target.before += 10 * 1024 * 1024;
    target.is_unharmed();
    let (status, text) = exchange(target.address, GET_METRICS).unwrap();
    assert!(status == 200 && text.ends_with("# EOF\n"), "others still get answers");
}

#[test]
fn posts_are_quick_while_all_the_world_reads() {
    let target = Target::new("readers");
    fill(&target);
    let readers: Vec<_> = (0..64)
        .map(|_| {
            let address = target.address;
            thread::spawn(move || {
                let start = Instant::now();
                let mut answers = 0;
                while start.elapsed() < Duration::from_secs(4) {
                    // beyond a number they are refused
                    match exchange(address, GET_METRICS) {
                        Ok((200, _)) => answers += 1,
                        Ok((status, _)) => assert_eq!(status, 503),
                        Err(_) => pause(20),
                    }
                }
                answers
            })
        })
        .collect();
    let mut took = Vec::new();
    while !readers.iter().all(|reader| reader.is_finished()) {
        let start = Instant::now();
        assert_eq!(post(target.address, r#"{"name":"a","value":1}"#).unwrap().0, 200);
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let answers: u32 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
    println!(
        "{answers} answers; {} posts, median {:?}, slowest {:?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert!(answers > 0 && took.len() > 20, "{answers} answers, {} posts", took.len());
    assert!(took[took.len() / 2] < Duration::from_millis(500), "{took:?}");
}

#[test]
fn the_receiver_is_unprivileged_and_ends_with_its_agent() {
    let mut target = Target::new("unread");
    let pid = target.receiver.as_raw_nonzero().get() as u32;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    if rustix::process::geteuid().is_root() {
        assert!(
            status.contains("Uid:\t65534\t65534\t65534\t65534")
                && status.contains("CapEff:\t0000000000000000")
        );
    }
    assert!(status.contains("NoNewPrivs:\t1"));
    target.device.kill();
    assert_eq!(poll(|| (!is_alive(pid)).then_some(())), Some(()), "it lives on");
}
