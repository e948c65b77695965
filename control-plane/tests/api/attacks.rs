//! Who means harm from the network, and that others are served meanwhile.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::bed::{Bed, Identity, Tls, read};

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
    // (this process has other tests to run, too)
    let half_open = match descriptors().saturating_sub(600) {
        left if left >= 10_000 => 10_000,
        left => left.min(2_000),
    };
    // (of more than 2048 the oldest end at once)
    let silent: Vec<_> = (0..half_open)
        .map(|number| {
            let mut stream = TcpStream::connect(bed.address()).unwrap();
            // Half of them begin to say something that looks like TLS.
            if number % 2 == 0 {
                let _ = stream.write_all(&[22, 3, 1, 2, 0, 1]);
            }
            stream
        })
        .collect();
    let began = Instant::now();
    let another = bed.client(&bed.device("two"));
    assert_eq!([client.beat("one"), another.beat("two")], [200, 200]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(memory(&bed) < before + 64, "{} MiB, before {before}", memory(&bed));
    // They end by themselves.
    for mut stream in silent.into_iter().rev().take(10) {
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "it hangs up");
    }
}

/// How many this process may have, after it took all that it is allowed.
fn descriptors() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[test]
fn slow_headers_come_to_an_end_and_keep_others_from_nothing() {
    let bed = Bed::start(&[]);
    let one = bed.device("one");
    let before = memory(&bed);
    let mut slow: Vec<_> = (0..300).map(|_| bed.connect(&one)).collect();
    for tls in &mut slow {
        tls.write_all(b"GET /api/flotta-management/v1/control/one/in HTTP/1.1\r\nhost: ").unwrap();
    }
    let began = Instant::now();
    let (client, another) = (bed.client(&one), bed.client(&bed.device("two")));
    assert_eq!([client.beat("one"), another.beat("two")], [200, 200]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(memory(&bed) < before + 32, "{} MiB, before {before}", memory(&bed));
    // One more letter now and then doesn't help.
    let last = slow.last_mut().unwrap();
    while last.write_all(b"x").and_then(|()| last.flush()).is_ok() && is_open(last) {
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on for ever");
    }
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}: they had no time at all", began.elapsed());
}

/// Waits a second for the other side's end.
fn is_open(tls: &mut Tls) -> bool {
    matches!(tls.read(&mut [0; 1024]), Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn slow_bodies_come_to_an_end_and_keep_others_from_nothing() {
    let bed = Bed::start(&[]);
    let (one, two) = (bed.device("one"), bed.device("two"));
    let before = memory(&bed);
    let begin = |identity: &Identity| {
        let mut tls = bed.connect(identity);
        let head = "POST /api/flotta-management/v1/data/one/out HTTP/1.1\r\nhost: x\r\n\
                    content-type: application/json\r\ncontent-length: 4000000\r\n\r\n";
        tls.write_all(head.as_bytes()).unwrap();
        // (what is refused may be refused by now)
        let _ = tls.write_all(&[b' '; 2000]).and_then(|()| tls.flush());
        tls
    };
    let mut slow: Vec<_> = (0..40).map(|_| begin(&one)).collect();
    let mut strangers: Vec<_> = (0..100).map(|_| begin(&bed.bootstrap())).collect();
    let began = Instant::now();
    let large = format!(
        r#"{{"directive":"heartbeat","content":{{"status":"up","version":"{}"}}}}"#,
        "1".repeat(100_000)
    );
    let client = bed.client(&two);
    assert_eq!(client.post("/data/two/out", "application/json", &large).unwrap().status, 200);
    assert_eq!(bed.client(&bed.device("three")).beat("three"), 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(memory(&bed) < before + 32, "{} MiB, before {before}", memory(&bed));
    assert!(
        read(slow.last_mut().unwrap()).starts_with("HTTP/1.1 429 "),
        "a device says a few things at once"
    );
    for tls in [&mut slow[0], &mut strangers[0]] {
        assert!(read(tls).starts_with("HTTP/1.1 408 "));
    }
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
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
