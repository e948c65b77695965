//! What a client that reads is promised: scrapers and browsers, but none that was lured here.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use super::taking;
use crate::support::{
    Device, Part,
    http::{GET_METRICS, connect, exchange, post},
    skip_without, workload,
};

/// A device with a page.
fn paged(name: &str) -> Device {
    let mut device = Device::without_podman(name);
    device.set("STATUS_PAGE", "true");
    device.start_taking_metrics();
    device
}

/// The head and the body of the answer; no body is read where none may come.
fn get(stream: impl Read + Write, request: &str) -> (String, String) {
    let (head, body) = get_bytes(stream, request);
    (head, String::from_utf8(body).unwrap())
}

fn get_bytes(mut stream: impl Read + Write, request: &str) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "only {head:?}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; if request.starts_with("HEAD") { 0 } else { length.parse().unwrap() }];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn status(device: &Device, request: &str) -> u16 {
    exchange(device.address(), request).unwrap().0
}

#[test]
fn a_posted_metric_is_read_back_as_openmetrics() {
    let device = taking("scrape");
    assert_eq!(device.post("cpu", 20.5), 200);
    let condition = "device_worker_ng_condition{profile=\"p\",condition=\"low\"} 1.0\n";
    device.wait_for("the manifests to be read", || {
        let (_, text) = exchange(device.address(), GET_METRICS).ok()?;
        text.contains(condition).then_some(())
    });
    let stream = connect(device.address()).unwrap();
    let (head, body) = get(&stream, "GET /metrics?x=y HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(body.contains("device_worker_ng_metric_value{name=\"cpu\"} 20.5\n"), "{body}");
    // on the same connection, and as a HEAD
    let (head, _) = get(&stream, "HEAD /metrics HTTP/1.1\r\n\r\n");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && length.parse::<usize>().unwrap() > 1000, "{head}");
    let (head, again) = get(&stream, "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(head.contains("Connection: close\r\n") && again.ends_with("# EOF\n"), "{head}");
}

#[test]
fn another_program_s_parser_reads_the_metrics() {
    const PARSE: &str = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        print(sorted(family.name + ' ' + family.type for family in parse(sys.stdin.read())))";
    let run = |python: &str, script: &str| {
        let mut python = Command::new(python);
        python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        python.spawn()
    };
    let has = |python: &&str| {
        let tried = run(python, "import prometheus_client").and_then(|child| child.wait_with_output());
        tried.is_ok_and(|output| output.status.success())
    };
    // a package of the distribution's is for its own python
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has) else {
        return skip_without(
            Part::Found,
            "no python3 has prometheus_client: package python3-prometheus-client",
        );
    };
    let device = taking("parser");
    device.profiles(&[("a\\\"b", "x > 1"), ("plain", "x < 2")]);
    device.workload("camera", "true");
    assert_eq!(device.post("x", 1e-9), 200);
    let text = device.wait_for("the workload to be there", || {
        let (_, text) = exchange(device.address(), GET_METRICS).ok()?;
        text.contains("workload=\"camera\"").then_some(text)
    });
    let mut child = run(python, PARSE).unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let families = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    for family in ["build info", "workload_state stateset", "workload_restarts counter", "metric_value gauge"]
    {
        assert!(families.contains(&format!("'device_worker_ng_{family}'")), "{families}");
    }
}

#[test]
fn the_page_is_there_when_the_settings_say_so() {
    let device = taking("no-page");
    for path in ["/", "/status.json", "/history.json"] {
        let (status, why) = exchange(device.address(), &format!("GET {path} HTTP/1.1\r\n\r\n")).unwrap();
        assert_eq!(status, 404);
        assert!(why.contains("STATUS_PAGE: true"), "{why}");
    }
    let device = paged("page");
    let get = |path: &str| get(connect(device.address()).unwrap(), &format!("GET {path} HTTP/1.1\r\n\r\n"));
    let (head, page) = get_bytes(connect(device.address()).unwrap(), "GET / HTTP/1.1\r\n\r\n");
    assert!(page.starts_with(&[0x1f, 0x8b]) && page.len() <= 9_000, "{}", page.len());
    for header in [
        "Content-Encoding: gzip",
        "Content-Type: text/html; charset=utf-8",
        "Content-Security-Policy: default-src 'none'; script-src 'sha256-",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Cross-Origin-Resource-Policy: same-origin",
    ] {
        assert!(head.contains(&format!("\r\n{header}")), "no {header} in\n{head}");
    }
    let (head, status) = get("/status.json");
    assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["device"]["id"], *device.id);
}

#[test]
fn who_was_lured_here_reads_nothing() {
    let device = paged("lured");
    for path in ["/", "/status.json", "/history.json", "/metrics"] {
        let with = |headers: &str| status(&device, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n"));
        for good in ["", "Host: localhost:8080\r\n", "Host: 127.0.0.1\r\n", "host: [::1]:80\r\n"] {
            assert_eq!(with(good), 200, "{path} {good}");
        }
        for bad in [
            "Host: evil.example\r\n",
            "Host: localhost\r\nHost: evil.example\r\n",
            "Origin: null\r\n",
            "Host: localhost\r\norigin: http://localhost\r\n",
        ] {
            assert_eq!(with(bad), 403, "{path} {bad}");
        }
    }
}

#[test]
fn no_reader_gets_a_secret() {
    let device = paged("secret");
    let data = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
        "stringData": {"password": "hunter2hunter2"}});
    device.manifest("secret.json", &data.to_string());
    let mut workload = workload("camera", "true");
    let variable = |name: &str, key: &str| serde_json::json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "keys", "key": key}}});
    workload["spec"]["pod"]["spec"]["containers"][0]["env"] =
        [variable("A", "password"), variable("B", "missing")].into();
    device.manifest("camera.json", &workload.to_string());
    let read = |path: &str| exchange(device.address(), &format!("GET {path} HTTP/1.1\r\n\r\n")).unwrap().1;
    let status = device.wait_for("the missing key to be named", || {
        Some(read("/status.json")).filter(|text| text.contains("missing"))
    });
    let past = read("/history.json");
    assert!(past.contains("\"events\":[{") && past.contains("missing"), "{past}");
    for text in [status, past, read("/metrics")] {
        // in plain and in base64
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMmh1bnRlcjI"), "{text}");
    }
}

#[test]
fn over_a_unix_socket_any_name_will_do() {
    let mut device = Device::without_podman("unix-read");
    let path = device.listen_on_a_file();
    device.start_taking_metrics();
    let (head, body) =
        get(UnixStream::connect(&path).unwrap(), "GET /metrics HTTP/1.1\r\nHost: device\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && body.ends_with("# EOF\n"), "{head}{body}");
}

#[test]
fn other_methods_are_told_which_there_are() {
    let device = paged("methods");
    for (request, status, allow) in [
        ("PUT /metrics", 405, Some("Allow: GET, HEAD, POST\r\n")),
        ("DELETE /", 405, Some("Allow: GET, HEAD\r\n")),
        ("POST /status.json", 405, Some("Allow: GET, HEAD\r\n")),
        ("GET /favicon.ico", 404, None),
    ] {
        let (head, _) = get(
            connect(device.address()).unwrap(),
            &format!("{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"),
        );
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert!(allow.is_none_or(|allow| head.contains(allow)), "{request}: {head}");
    }
}

#[test]
fn readers_and_posts_take_turns_on_one_connection() {
    let device = paged("turns");
    let mut stream = connect(device.address()).unwrap();
    let post = "POST /metrics HTTP/1.1\r\nContent-Length: 22\r\n\r\n{\"name\":\"a\",\"value\":5}";
    // all at once: the answers come in order
    let all = ["GET / HTTP/1.1\r\n\r\n", post, GET_METRICS, post, "GET / HTTP/1.1\r\n\r\n"];
    stream.write_all(all.concat().as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    for begin in ["\x1f", "", "# TYPE", "", "\x1f"] {
        let (status, body) = crate::support::http::read_answer(&mut stream).unwrap();
        assert_eq!(status, 200, "{body}");
        assert!(if begin.is_empty() { body.is_empty() } else { body.starts_with(begin) }, "{body:.40}");
    }
    let (_, text) = exchange(device.address(), GET_METRICS).unwrap();
    assert!(text.contains("{name=\"a\"} 5.0\n"), "{text}");
}

#[test]
fn an_agent_that_does_not_answer_costs_readers_a_503() {
    let device = taking("deaf-read");
    assert_eq!(status(&device, GET_METRICS), 200);
    device.freeze();
    assert_eq!(status(&device, GET_METRICS), 503);
    device.signal(Signal::CONT);
    device.wait_for("an answer again", || (status(&device, GET_METRICS) == 200).then_some(()));
    assert_eq!(post(device.address(), r#"{"name":"a","value":3}"#).unwrap().0, 200);
}

/// Asks so often that the kernel can't take all the answers on its behalf, and leaves them where they are.
pub(super) fn ask_and_leave(mut stream: &TcpStream) {
    _ = stream.write_all(GET_METRICS.repeat(12).as_bytes());
}
