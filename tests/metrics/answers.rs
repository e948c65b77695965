//! What whoever posts is promised.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::support::{Host, answer, exchange, free_port, now, post, read_answer};

#[test]
fn the_readme_s_command_works_as_printed() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let host = Host::ready(directory.path(), address);
    let printed = r#"curl -X -H "Content-Type: application/json" -v -d '{"value":20,"name":"cpu"}' http://localhost:8080/metrics"#;
    let command = printed.replace(":8080", &format!(":{}", address.port()));
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(talk.contains("> -H /metrics HTTP/1.1") && talk.contains("< HTTP/1.1 200 OK"), "{talk}");
    assert!(output.stdout.is_empty());
    host.says("posted cpu Some(20.0)");
}

#[test]
fn every_request_gets_the_status_that_it_deserves() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let host = Host::ready(directory.path(), address);
    let with = |method: &str, target: &str, headers: &str, body: &str| {
        let length = body.len();
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n");
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
    assert_eq!(with("POST", "/", "", good).0, 404);
    assert_eq!(with("POST", "/metrics/x", "", good).0, 404);
    assert_eq!(with("GET", "/metrics", "", "").0, 405);
    assert_eq!(exchange(address, "GET /metrics HTTP/1.0\r\n\r\n").unwrap().0, 405);
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
    let said = host.says("posted o94 ").join("\n");
    assert!(!["posted c ", "posted d ", "posted o95 "].iter().any(|refused| said.contains(refused)));
}

#[test]
fn a_connection_serves_many_posts_also_in_one_go_and_with_expectations() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let host = Host::ready(directory.path(), address);
    let mut stream = TcpStream::connect(address).unwrap();
    let request = |value: u32| {
        let body = format!(r#"{{"name":"a","value":{value}}}"#);
        format!("POST /metrics HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    for value in 10..20 {
        stream.write_all(request(value).as_bytes()).unwrap();
        assert_eq!(answer(&mut stream).unwrap().0, 200);
    }
    stream.write_all((20..30).map(request).collect::<String>().as_bytes()).unwrap();
    let head =
        "POST /metrics HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 22\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut stream = std::io::BufReader::new(stream);
    for _ in 20..30 {
        assert_eq!(read_answer(&mut stream).unwrap().0, 200);
    }
    assert_eq!(read_answer(&mut stream).unwrap().0, 100);
    stream.get_mut().write_all(br#"{"name":"a","value":5}"#).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().0, 200);
    assert!(read_answer(&mut stream).is_err(), "closed as asked");
    host.says("posted a Some(5.0)");
}

#[test]
fn ipv6_and_unix_sockets_take_posts_and_a_stale_file_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.sock");
    drop(UnixListener::bind(&path).unwrap());
    let six = format!("[::1]:{}", free_port().port());
    let host = Host::start(&directory.path().join("run"), &[six.clone(), format!("unix:{}", path.display())]);
    host.says("metrics are taken at unix:");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    assert_eq!(post(six.parse().unwrap(), r#"{"name":"six","value":6}"#).unwrap().0, 200);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"POST /metrics HTTP/1.1\r\nContent-Length: 22\r\n\r\n{\"name\":\"u\",\"value\":1}")
        .unwrap();
    assert_eq!(answer(&mut stream).unwrap().0, 200);
    host.says("posted u Some(1.0)");
}

#[test]
fn a_port_in_use_is_reported_once_and_taken_when_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, free) = (other.local_addr().unwrap(), free_port());
    let host = Host::start(directory.path(), &[taken.to_string(), free.to_string()]);
    host.says(&format!("metrics are taken at {free}"));
    host.says(&format!("failed to listen on '{taken}': Address already in use"));
    assert_eq!(post(free, r#"{"name":"a","value":1}"#).unwrap().0, 200);
    drop(other);
    let said = host.says(&format!("metrics are taken at {taken}"));
    assert!(!said.iter().any(|line| line.contains("failed")));
    assert_eq!(post(taken, r#"{"name":"b","value":1}"#).unwrap().0, 200);
}

#[test]
fn an_agent_that_does_not_answer_costs_a_503_and_comes_back() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let host = Host::ready(directory.path(), address);
    assert_eq!(post(address, r#"{"name":"a","value":1}"#).unwrap().0, 200);
    kill_process(host.pid(), Signal::STOP).unwrap();
    let start = now();
    let late = std::thread::spawn(move || post(address, r#"{"name":"a","value":2}"#).unwrap().0);
    assert_eq!(late.join().unwrap(), 503);
    assert!((4..8).contains(&(now() - start).as_secs()));
    kill_process(host.pid(), Signal::CONT).unwrap();
    let start = now();
    assert_eq!(post(address, r#"{"name":"a","value":3}"#).unwrap().0, 200);
    assert!(now() - start < Duration::from_secs(1));
}

#[test]
fn eight_clients_at_once_are_served() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let _host = Host::ready(directory.path(), address);
    let start = now();
    let client = move |name: u32| {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut posts = 0;
        while now() - start < Duration::from_secs(1) {
            let body = format!(r#"{{"name":"c{name}","value":{posts}}}"#);
            let head = format!("POST /metrics HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
            assert_eq!(answer(&mut stream).unwrap().0, 200);
            posts += 1;
        }
        posts
    };
    let clients: Vec<_> = (0..8).map(|name| std::thread::spawn(move || client(name))).collect();
    let posts: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    println!("{posts} posts in a second with 8 clients that keep their connections");
    assert!(posts > 0);
}
