//! What a client that posts is promised.

use std::{
    io::{BufReader, Write},
    net::TcpListener,
    os::fd::AsRawFd,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    process::Command,
    thread,
    time::Instant,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Signal, kill_process},
};

use super::{remembered, taking};
use crate::support::{
    Device, free_port,
    http::{answer, connect, exchange, post, read_answer, request},
    is_alive, poll, repository, skip,
};

const PRINTED: &str = r#"curl -X -H "Content-Type: application/json" -v -d '{"value":20,"name":"cpu"}' http://localhost:8080/metrics"#;

fn works(command: &str, device: &mut Device) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(talk.contains("> -H /metrics HTTP/1.1") && talk.contains("< HTTP/1.1 200 OK"), "{talk}");
    assert!(output.stdout.is_empty());
    assert_eq!(remembered(device), [("cpu".to_owned(), 20.0)].into());
}

#[test]
fn the_documented_command_works_as_printed() {
    let printed = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    assert!(printed.lines().any(|line| line == PRINTED), "docs/metrics.md prints another command");
    let mut device = taking("readme");
    works(&PRINTED.replace(":8080", &format!(":{}", device.port)), &mut device);
    if ["127.0.0.1:8080", "[::1]:8080"].iter().any(|address| TcpListener::bind(address).is_err()) {
        return skip("only its second half: port 8080 is in use");
    }
    let mut device = Device::without_podman("readme-8080");
    device.config(&["METRICS_LISTEN"], "");
    device.start();
    device.wait_for_log("metrics are taken at 127.0.0.1:8080");
    device.wait_for_log("metrics are taken at [::1]:8080");
    works(PRINTED, &mut device);
}

#[test]
fn every_request_gets_the_status_that_it_deserves() {
    let mut device = taking("statuses");
    let address = device.address();
    let with = |method: &str, target: &str, headers: &str, body: &str| {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n");
        exchange(address, &(head + body)).unwrap()
    };
    let good = r#"{"name":"a","value":1}"#;
    assert_eq!(with("POST", "/metrics", "", good), (200, String::new()));
    assert_eq!(with("GET", "/metrics", "", good).0, 200);
    assert_eq!(
        with("PUT", "/metrics?x=y", "", r#"[{"name":"b","value":2},{"name":"a","value":null}]"#).0,
        200
    );
    assert_eq!(with("POST", "/metrics", "", "[]").0, 200);
    assert_eq!(with("POST", "/metrics", "Origin: http://evil.example\r\n", good).0, 403);
    assert_eq!(with("POST", "/metrics", "origin: null\r\n", good).0, 403);
    assert_eq!(with("POST", "/metrics", "Host: evil.example\r\n", good).0, 403);
    assert_eq!(with("POST", "/metrics", "Host: localhost:8080\r\n", "[]").0, 200);
    assert_eq!(with("POST", "/metrics", "Host: [::1]:8080\r\n", "[]").0, 200);
    assert_eq!(with("POST", "/", "", good).0, 404);
    assert_eq!(with("POST", "/metrics/x", "", good).0, 404);
    assert_eq!(with("PUT", "/metrics", "", "").0, 405);
    assert_eq!(exchange(address, "GET /metrics HTTP/1.0\r\n\r\n").unwrap().0, 200);
    assert_eq!(with("POST", "/metrics", "", "").0, 400);
    assert_eq!(
        with("POST", "/metrics", "", "{"),
        (400, "EOF while parsing an object at line 1 column 1\n".into())
    );
    assert_eq!(with("POST", "/metrics", "", r#"[{"name":"c","value":1},{"name":"nil","value":1}]"#).0, 400);
    assert_eq!(
        with("POST", "/metrics", "", &format!(r#"{{"name":"d","value":"{}"}}"#, "x".repeat(60_000))).0,
        400
    );
    assert_eq!(with("POST", "/metrics", "", &" ".repeat(65_536)).0, 400);
    assert_eq!(with("POST", "/metrics", "", &" ".repeat(65_537)).0, 413);
    assert_eq!(with("POST", "/metrics", "Transfer-Encoding: chunked\r\n", "").0, 411);

    let names = |prefix: &str, count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!(r#"{{"name":"{prefix}{n}","value":1}}"#)).collect();
        format!("[{}]", all.join(","))
    };
    // `b` is there already.
    assert_eq!(with("POST", "/metrics", "", &names("m", 2000)).0, 200);
    assert_eq!(with("POST", "/metrics", "", &names("n", 2000)).0, 200);
    assert_eq!(with("POST", "/metrics", "", &names("o", 96)), (400, "there are 4096 names already\n".into()));
    assert_eq!(with("POST", "/metrics", "", &names("o", 95)).0, 200);
    assert_eq!(with("POST", "/metrics", "", r#"{"name":"one_more","value":1}"#).0, 400);

    // What was refused was not applied, not even in part.
    let remembered = remembered(&mut device);
    assert_eq!((remembered.len(), remembered.contains_key("o94")), (4096, true));
    assert!(!["a", "c", "d", "o95", "one_more"].iter().any(|refused| remembered.contains_key(*refused)));
}

#[test]
fn a_connection_serves_many_posts_also_in_one_go_and_with_expectations() {
    let mut device = taking("kept");
    let mut stream = connect(device.address()).unwrap();
    let request = |value: u32| request(&format!(r#"{{"name":"a","value":{value}}}"#));
    for value in 10..20 {
        stream.write_all(request(value).as_bytes()).unwrap();
        assert_eq!(answer(&mut stream).unwrap().0, 200);
    }
    stream.write_all((20..30).map(request).collect::<String>().as_bytes()).unwrap();
    let head =
        "POST /metrics HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 22\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    for _ in 20..30 {
        assert_eq!(read_answer(&mut stream).unwrap().0, 200);
    }
    assert_eq!(read_answer(&mut stream).unwrap().0, 100);
    stream.get_mut().write_all(br#"{"name":"a","value":5}"#).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().0, 200);
    assert!(read_answer(&mut stream).is_err(), "closed as asked");
    assert_eq!(remembered(&mut device)["a"], 5.0);
}

#[test]
fn ipv6_and_unix_sockets_take_posts_and_a_stale_file_is_replaced() {
    let mut device = Device::without_podman("addresses");
    let (path, six) = (device.path("metrics.sock"), format!("[::1]:{}", device.port));
    drop(UnixListener::bind(&path).unwrap());
    device.set("METRICS_LISTEN", format!("{six}, unix:{}", path.display()));
    device.start();
    device.wait_for_log("metrics are taken at unix:");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    assert_eq!(post(six.parse().unwrap(), r#"{"name":"six","value":6}"#).unwrap().0, 200);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(request(r#"{"name":"u","value":1}"#).as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).unwrap().0, 200);
    assert_eq!(remembered(&mut device), [("six".to_owned(), 6.0), ("u".to_owned(), 1.0)].into());
}

#[test]
fn a_reload_goes_on_with_the_same_socket() {
    let mut device = Device::without_podman("same-socket");
    let path = device.listen_on_a_file();
    device.start();
    let listening = "metrics are taken at unix:";
    device.wait_for_log(listening);
    // as a mount of the file has it
    let first = rustix::fs::open(&path, OFlags::PATH, Mode::empty()).unwrap();
    let mounted = format!("/proc/self/fd/{}", first.as_raw_fd());
    for value in 1..4 {
        let end = device.log().len();
        device.signal(Signal::HUP);
        device.wait_for("it to listen again", || device.log()[end..].contains(listening).then_some(()));
        let mut stream = UnixStream::connect(&mounted).unwrap();
        stream.write_all(request(&format!(r#"{{"name":"u","value":{value}}}"#)).as_bytes()).unwrap();
        assert_eq!(answer(&mut stream).unwrap().0, 200);
    }
    assert_eq!(remembered(&mut device)["u"], 3.0);
}

#[test]
fn a_port_in_use_is_reported_once_and_taken_when_it_is_free() {
    let mut device = Device::without_podman("in-use");
    let (taken, free) = (device.address(), ([127, 0, 0, 1], free_port()).into());
    let other = TcpListener::bind(taken).unwrap();
    device.set("METRICS_LISTEN", format!("{taken}, {free}"));
    device.start();
    device.wait_for_log(&format!("metrics are taken at {free}"));
    let complaint = format!("posts to '{taken}' don't reach the agent: Address already in use");
    device.wait_for_log(&complaint);
    assert_eq!(post(free, r#"{"name":"a","value":1}"#).unwrap().0, 200);
    drop(other);
    device.wait_for_log(&format!("metrics are taken at {taken}"));
    assert_eq!(device.log().matches(&complaint).count(), 1);
    assert_eq!(post(taken, r#"{"name":"b","value":1}"#).unwrap().0, 200);
}

#[test]
fn an_agent_that_does_not_answer_costs_a_503_and_comes_back() {
    let device = taking("deaf");
    assert_eq!(device.post("a", 1), 200);
    device.freeze();
    let start = Instant::now();
    assert_eq!(post(device.address(), r#"{"name":"a","value":2}"#).unwrap().0, 503);
    assert!((4..20).contains(&start.elapsed().as_secs()));
    device.signal(Signal::CONT);
    assert_eq!(post(device.address(), r#"{"name":"a","value":3}"#).unwrap().0, 200);
}

#[test]
fn a_post_while_the_receiver_is_replaced_waits_instead_of_failing() {
    let mut device = taking("waits");
    let (address, receiver) = (device.address(), device.wait_for("a receiver", || device.receiver()));
    // Stopped, the agent can't start another one before the post is there.
    device.freeze();
    kill_process(receiver, Signal::KILL).unwrap();
    poll(|| (!is_alive(receiver.as_raw_nonzero().get() as u32)).then_some(())).unwrap();
    let mut stream = connect(address).unwrap();
    stream.write_all(request(r#"{"name":"a","value":7}"#).as_bytes()).unwrap();
    device.signal(Signal::CONT);
    assert_eq!(answer(&mut stream).unwrap().0, 200);
    assert_ne!(device.receiver(), Some(receiver));
    assert_eq!(remembered(&mut device)["a"], 7.0);
}

#[test]
fn eight_clients_at_once_are_served() {
    let mut device = taking("eight");
    let address = device.address();
    let client = move |name: u32| {
        let mut stream = connect(address).unwrap();
        for value in 0..100 {
            stream
                .write_all(request(&format!(r#"{{"name":"c{name}","value":{value}}}"#)).as_bytes())
                .unwrap();
            assert_eq!(answer(&mut stream).unwrap().0, 200);
        }
    };
    let clients: Vec<_> = (0..8).map(|name| thread::spawn(move || client(name))).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(remembered(&mut device), (0..8).map(|name| (format!("c{name}"), 99.0)).collect());
}
