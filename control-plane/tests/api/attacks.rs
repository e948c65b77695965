//! Who means harm from the network, and that others are served meanwhile.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::bed::Bed;

/// What the server has in memory, in MiB.
fn memory(bed: &Bed) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", bed.server_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[test]
fn a_huge_body_is_refused_before_it_is_read() {
    let bed = Bed::start(&[]);
    let client = bed.client(&bed.device("one"));
    let before = memory(&bed);
    let body = " ".repeat(100 << 20);
    // It may hang up while it is told: that is a refusal too.
    if let Ok(answer) = client.post("/data/one/out", "application/json", &body) {
        assert_eq!(answer.status, 413);
    }
    assert!(memory(&bed) < before + 16, "{} MiB, before {before}", memory(&bed));
    assert_eq!(client.beat("one"), 200);
}

#[test]
fn half_open_connections_keep_others_from_nothing() {
    let bed = Bed::start(&[]);
    let client = bed.client(&bed.device("one"));
    let before = memory(&bed);
    let address = bed.url.strip_prefix("https://").unwrap();
    let mut silent: Vec<_> = (0..800).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Half of them begin to say something that looks like TLS.
    for stream in silent.iter_mut().take(400) {
        stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    }
    let began = Instant::now();
    let another = bed.client(&bed.device("two"));
    assert_eq!([client.beat("one"), another.beat("two")], [200, 200]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(memory(&bed) < before + 32, "{} MiB, before {before}", memory(&bed));
    // They end by themselves.
    let mut first = silent.remove(0);
    first.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "it hangs up");
    let _ = first.shutdown(Shutdown::Both);
}

#[test]
fn who_asks_without_end_is_told_to_stop_and_others_are_not() {
    let bed = Bed::start(&[]);
    let (one, two) = (bed.client(&bed.device("one")), bed.client(&bed.device("two")));
    let began = Instant::now();
    let is_stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_stopped.load(Relaxed) {
                    let answer = one.control("one");
                    if answer.status == 429 {
                        assert_eq!(answer.retry_after.as_deref(), Some("10"));
                        is_stopped.store(true, Relaxed);
                    }
                    assert!(began.elapsed() < Duration::from_secs(20), "there is no end of it");
                }
            });
        }
    });
    assert_eq!(two.control("two").status, 200);
}
