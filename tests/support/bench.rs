//! `make bench` (or `make bench PARTS=posts`): what the agent costs, and how quick it is, with real podman. Prints a table and writes JSON to
//! the file that `DWNG_BENCH_JSON` names. Figures are for comparing two builds on one machine.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, unreachable_pub, dead_code)]

#[path = "../kubernetes/cluster.rs"]
mod cluster;
#[path = "bench/decisions.rs"]
mod decisions;
#[path = "bench/engines.rs"]
mod engines;
#[path = "bench/page.rs"]
mod page;
#[path = "bench/starts.rs"]
mod starts;
#[path = "mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::MetadataExt,
    thread,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde_json::{Map, Value, json};
use support::{
    Device, IMAGE, SLEEP, children,
    edge::{Edge, Record},
    link::Link,
    podman,
    proxy::Proxy,
    workload,
};

type Part = (&'static str, fn(&mut Report));

struct Report(Map<String, Value>);

impl Report {
    fn add(&mut self, name: &str, value: impl Into<Value>, unit: &str) {
        let value = value.into();
        println!("{name:<64} {value:>12} {unit}");
        self.0.insert(format!("{name} [{unit}]"), value);
    }
}

fn main() {
    if std::env::var_os("PODMAN_SOCKET").is_none() {
        eprintln!("skipped: bench (no private podman; `make bench` brings one)");
        return;
    }
    let mut report = Report(Map::new());
    let binary = std::env::var("DWNG_BINARY").expect("DWNG_BINARY: the binary to measure");
    report.add("binary", fs::metadata(&binary).expect("the binary").size(), "bytes");
    let parts: [Part; 12] = [
        ("footprint", footprint),
        ("linked", linked),
        ("engines", engines::measure),
        ("page", page::measure),
        ("first_action", first_action),
        ("unplugged", unplugged),
        ("posts", posts),
        ("starts", starts::measure),
        ("post_to_stop", post_to_stop),
        ("retries", retries),
        ("decisions", decisions::measure),
        ("inactive", inactive),
    ];
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, measure) in parts {
        if only.is_empty() || only.iter().any(|part| part == name) {
            measure(&mut report);
        }
    }
    if let Some(file) = std::env::var_os("DWNG_BENCH_JSON") {
        fs::write(&file, serde_json::to_string_pretty(&report.0).unwrap() + "\n").unwrap();
    }
}

fn device(name: &str) -> (Device, Proxy) {
    let mut device = Device::new(name).expect("podman");
    if std::env::var_os("CGROUP2").is_some_and(|it| !it.is_empty()) {
        device.set("DEFAULT_PIDS_LIMIT", "none"); // the sandbox's groups of version 2 may lack that controller
    }
    let proxy = device.behind_proxy();
    (device, proxy)
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Proportional set size of a process and its children, in KiB.
fn pss_kib(pid: u32) -> u64 {
    let of = |pid: u32| -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Pss:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    };
    of(pid) + children(pid).into_iter().map(of).sum::<u64>()
}

/// CPU time in nanoseconds, by the scheduler's account: user and kernel, all threads.
fn cpu_ns(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
        })
        .sum()
}

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// The podman service: what else was started by this sandbox with these words.
fn podman_service() -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let command = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let is_it = command.starts_with("podman\0system\0service") && command.contains("unix:///run/podman/");
        is_it.then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

/// Memory and threads with 0, 10 and 50 workloads; the idle minute with 50.
fn footprint(report: &mut Report) {
    let (mut device, proxy) = device("footprint");
    device.start();
    device.post("x", 1);
    let mut names = Vec::new();
    for count in [0, 10, 50] {
        while names.len() < count {
            let name = format!("w{:02}", names.len());
            device.workload(&name, SLEEP);
            names.push(name);
        }
        device.wait_for_running(&names.iter().map(String::as_str).collect::<Vec<_>>());
        thread::sleep(Duration::from_secs(3));
        let pid = device.pid();
        report.add(&format!("PSS of agent and receiver, {count} workloads"), pss_kib(pid), "KiB");
        let receivers = children(pid);
        let all = threads(pid) + receivers.iter().map(|pid| threads(*pid)).sum::<usize>();
        report.add(&format!("threads of agent and receiver, {count} workloads"), all, "");
    }
    let pids: Vec<u32> = std::iter::once(device.pid()).chain(children(device.pid())).collect();
    let service = podman_service();
    let cpu = || (pids.iter().map(|pid| cpu_ns(*pid)).sum::<u64>(), service.map_or(0, cpu_ns));
    let (before, requests) = (cpu(), proxy.requests("").len());
    thread::sleep(Duration::from_secs(60));
    let after = cpu();
    let percent = |ns: u64| round(ns as f64 / 60e9 * 100.0, 4);
    report.add("CPU over an idle minute, 50 workloads", percent(after.0 - before.0), "% of a core");
    report.add("CPU of podman's service over the same minute", percent(after.1 - before.1), "% of a core");
    report.add("podman requests over the same minute", proxy.requests("").len() - requests, "");
}

/// A device of the development edge API, with a workload of each of these names.
fn managed(name: &str, workloads: &[String]) -> Option<(Device, Proxy, Edge)> {
    let (mut device, proxy) = device(name);
    let edge = Edge::start(&["--period", "1"])?;
    for name in workloads {
        edge.workload(&device, name, SLEEP);
    }
    device.talk_only_to(&edge);
    device.start();
    device.wait_for_running(&workloads.iter().map(String::as_str).collect::<Vec<_>>());
    Some((device, proxy, edge))
}

/// Memory with a server, a session with it, and 10 workloads.
fn linked(report: &mut Report) {
    let names: Vec<String> = (0..10).map(|n| format!("w{n:02}")).collect();
    let Some((device, _proxy, edge)) = managed("linked", &names) else { return };
    assert_eq!(device.post("x", 1), 200);
    let mark = edge.mark();
    let beats = || {
        let mut records = edge.since(mark);
        records.retain(|it| it.is_good("heartbeat"));
        records
    };
    device.wait_for("heartbeats", || (beats().len() > 5).then_some(()));
    let beats = beats();
    let all_run = |beat: &&Record| beat.content["workloads"].as_array().is_some_and(|it| it.len() == 10);
    let last = beats.iter().rev().find(all_run).expect("a heartbeat of ten workloads");
    let connections: BTreeSet<u64> = beats.iter().map(|it| it.connection).collect();
    report.add("PSS of agent and receiver, 10 workloads, linked", pss_kib(device.pid()), "KiB");
    report.add("TLS connections of the last heartbeats", connections.len(), "");
    let size = last.head + last.body;
    report.add("a heartbeat of 10 workloads, head and body", size, "bytes");
}

/// From the start of the process to its request to play the one pod that is wanted: without a server, with one
/// that the network doesn't lead to, and with one behind a network that swallows every packet.
fn unplugged(report: &mut Report) {
    const STARTS: usize = 20;
    let (mut standalone, proxy) = device("standalone");
    standalone.workload("s", SLEEP);
    standalone.start();
    standalone.wait_for_running(&["s"]);
    let Some((mut linked, linked_proxy, edge)) = managed("unplugged", &["u".to_owned()]) else { return };
    let state = linked.state_dir();
    linked.wait_for("the configuration to be kept", || state.join("configuration").exists().then_some(()));
    drop(edge); // from now on its port refuses
    let Some(mut link) = Link::start() else { return };
    link.set("down");
    let away = ["https://192.0.2.1:8043".to_owned(), format!("https://{}:8043", link.address)]; // no one's, by RFC 5737
    let play = |device: &mut Device, proxy: &Proxy, workload: &str| {
        device.kill();
        for pod in device.pods() {
            podman::remove(&podman::socket(), &pod.name);
        }
        let before = proxy.requests("pods/create").len();
        let start = Instant::now();
        device.start();
        let at =
            support::poll(|| proxy.requests("pods/create").get(before).map(|(at, _)| *at)).expect("a play");
        device.wait_for_running(&[workload]);
        (at - start).as_secs_f64() * 1e3
    };
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..STARTS {
        times[0].push(play(&mut standalone, &proxy, "s"));
        times[1].push(play(&mut linked, &linked_proxy, "u"));
        for (times, away) in times[2..].iter_mut().zip(&away) {
            let refuses = linked.set("SERVER", away);
            times.push(play(&mut linked, &linked_proxy, "u"));
            linked.set("SERVER", refuses.expect("the edge API's"));
        }
    }
    assert!(link.set("") > 0, "the server that never answers was not asked");
    let how = ["standalone", "the server refuses", "no network", "the server never answers"];
    for (how, times) in how.into_iter().zip(times) {
        report.add(&format!("start to the first play, {how}, median"), round(median(times), 2), "ms");
    }
}

/// From the start of the process to its first request to podman, and to the adoption of a running pod.
fn first_action(report: &mut Report) {
    let (mut device, proxy) = device("first");
    device.workload("a", SLEEP);
    device.start();
    device.wait_for_running(&["a"]);
    let mut first = Vec::new();
    for _ in 0..10 {
        device.kill();
        let before = proxy.requests("").len();
        let start = Instant::now();
        device.start();
        let at = support::poll(|| proxy.requests("").get(before).map(|(at, _)| *at)).expect("a request");
        first.push((at - start).as_secs_f64() * 1e3);
    }
    report.add("start to the first request to podman, median", round(median(first), 2), "ms");
}

/// Posts per second with 8 clients that keep their connections.
fn posts(report: &mut Report) {
    let (mut device, _proxy) = device("posts");
    device.start();
    device.post("x", 1);
    let port = device.port;
    const SECONDS: u64 = 5;
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let clients: Vec<_> = (0..8)
        .map(|client| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.set_nodelay(true).unwrap();
                let mut answers = BufReader::new(stream.try_clone().unwrap());
                let mut count = 0u64;
                while Instant::now() < end {
                    let body = format!(r#"{{"name":"m{client}","value":{count}}}"#);
                    let length = body.len();
                    write!(
                        stream,
                        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
                    )
                    .unwrap();
                    let (mut line, mut length) = (String::new(), 0);
                    answers.read_line(&mut line).unwrap();
                    assert!(line.contains(" 200 "), "{line}");
                    while line != "\r\n" {
                        line.clear();
                        answers.read_line(&mut line).unwrap();
                        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                    }
                    answers.read_exact(&mut vec![0; length]).unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let total: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    report.add("posts answered with 200, 8 clients", total / SECONDS, "per second");
    report.add("PSS of agent and receiver after the posts", pss_kib(device.pid()), "KiB");
}

/// From a post to the stop request on podman's socket, while a pull, a play with a slow init container and
/// another workload's stop that waits for its grace are under way.
fn post_to_stop(report: &mut Report) {
    const WORKLOADS: usize = 50;
    let (mut device, proxy) = device("latency");
    let names: Vec<String> = (0..WORKLOADS).map(|i| format!("m{i:02}")).collect();
    let expressions: Vec<String> = names.iter().map(|name| format!("{name} < 5 || {name} == nil")).collect();
    let conditions: Vec<_> =
        names.iter().zip(&expressions).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    device.profiles(&conditions);
    for name in &names {
        device.gated(name, name);
    }
    device.start();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    device.wait_for_running(&names);

    proxy.hold("images/pull");
    let mut puller = workload("zz-puller", SLEEP);
    puller["spec"]["pod"]["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
    device.manifest("zz-puller.json", &puller.to_string());
    let mut slow = workload("zz-slow", SLEEP);
    slow["spec"]["pod"]["spec"]["initContainers"] =
        json!([{"name": "wait", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "100"]}]);
    device.manifest("zz-slow.json", &slow.to_string());
    let mut waits = Vec::new();
    for round in 0..2 {
        let name = format!("zz-stubborn-{round}");
        let mut stubborn = workload(&name, "trap '' TERM; while :; do sleep 1; done");
        stubborn["spec"]["pod"]["spec"]["terminationGracePeriodSeconds"] = 60.into();
        let file = format!("{name}.json");
        device.manifest(&file, &stubborn.to_string());
        let stubborn = device.wait_for("the stubborn one", || {
            let mut pods = device.pods().into_iter();
            pods.find(|pod| pod.workload == name && pod.status == "Running")
        });
        device.remove_manifest(&file);
        let stop = format!("pods/{}/stop?", stubborn.id);
        support::poll(|| (!proxy.requests(&stop).is_empty()).then_some(())).expect("a stop request");
        let pods = device.pods();
        for name in &names {
            let pod = pods.iter().find(|pod| pod.workload == *name).expect("a pod");
            let path = format!("pods/{}/", pod.id);
            let stops = || proxy.requests("/stop?").into_iter().filter(|(_, line)| line.contains(&path));
            let before = stops().count();
            let start = Instant::now();
            assert_eq!(device.post(name, 9), 200);
            let at = support::poll(|| stops().nth(before).map(|(at, _)| at)).expect("a stop request");
            waits.push((at - start).as_secs_f64() * 1e3);
            // What podman does for this one must not be measured with the next.
            let gone = format!("workload '{name}': its pod is gone");
            device.wait_for(&gone, || (device.log().matches(&gone).count() > round).then_some(()));
        }
        for name in &names {
            device.post(name, 1);
        }
        device.wait_for("all to run again", || {
            let pods = device.pods();
            let running =
                |name: &&str| pods.iter().any(|pod| pod.workload == *name && pod.status == "Running");
            names.iter().all(running).then_some(())
        });
    }
    proxy.release();
    waits.sort_by(f64::total_cmp);
    report.add("post to podman's stop request, p50", round(waits[waits.len() / 2], 2), "ms");
    report.add(
        "post to podman's stop request, p99",
        round(waits[(waits.len() * 99).div_ceil(100) - 1], 2),
        "ms",
    );
}

/// From the end of a failing container's conmon until the agent knows the exit code, and how late the first request
/// of the restart leaves.
fn retries(report: &mut Report) {
    const ROUNDS: usize = 100;
    const PERIOD: Duration = Duration::from_secs(1);
    let (mut device, proxy) = device("retries");
    let mut failing = workload("failing", "sleep 0.3; exit 3");
    failing["spec"]["retry"] = json!({ "constantBackoff": { "periodSeconds": PERIOD.as_secs() } });
    device.manifest("failing.json", &failing.to_string());
    device.start();
    let (mut known, mut late) = (Vec::new(), Vec::new());
    let (instant, wall) = (Instant::now(), SystemTime::now());
    let mut last = String::new();
    for round in 1..=ROUNDS {
        let (container, conmon) = support::poll(|| {
            let pods = device.pods();
            let pod = pods.iter().find(|pod| pod.id != last && pod.status == "Running")?;
            let state = &podman::call(
                &podman::socket(),
                "GET",
                &format!("containers/{}/json", pod.containers[0].1),
                "",
            )
            .1;
            let conmon = state["State"]["ConmonPid"].as_i64().filter(|pid| *pid > 0)?;
            last = pod.id.clone();
            Some((pod.containers[0].1.clone(), Pid::from_raw(i32::try_from(conmon).unwrap())?))
        })
        .expect("a running pod");
        let pidfd = pidfd_open(conmon, PidfdFlags::empty()).expect("its conmon");
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
        let ended = SystemTime::now();
        let line = support::poll(|| {
            let log = device.log();
            log.lines()
                .filter(|line| line.contains("ended with exit code 3"))
                .nth(round - 1)
                .map(str::to_owned)
        })
        .expect("the agent to know");
        let told: SystemTime =
            chrono::DateTime::parse_from_rfc3339(line.split(' ').next().unwrap()).unwrap().into();
        known.push(told.duration_since(ended).unwrap_or_default().as_secs_f64() * 1e3);

        let state = podman::call(&podman::socket(), "GET", &format!("containers/{container}/json"), "").1;
        let finished = state["State"]["FinishedAt"].as_str().expect("its end");
        let due: SystemTime =
            SystemTime::from(chrono::DateTime::parse_from_rfc3339(finished).unwrap()) + PERIOD;
        let stop = format!("pods/{last}/stop");
        let at =
            support::poll(|| proxy.requests(&stop).first().map(|(at, _)| *at)).expect("the old pod to go");
        let at = wall + (at - instant);
        late.push(at.duration_since(due).unwrap_or_default().as_secs_f64() * 1e3);
    }
    for (what, times) in
        [("conmon's end to the exit code", known), ("due to the restart's first request", late)]
    {
        let mut sorted = times;
        sorted.sort_by(f64::total_cmp);
        report.add(&format!("{what}, p50"), round(sorted[ROUNDS / 2], 2), "ms");
        report.add(&format!("{what}, p99"), round(sorted[ROUNDS * 99 / 100 - 1], 2), "ms");
        report.add(&format!("{what}, largest of {ROUNDS}"), round(sorted[ROUNDS - 1], 2), "ms");
    }
}

/// Memory with a thousand workloads that are known and don't run, and who wakes up in an idle minute with 50.
fn inactive(report: &mut Report) {
    for count in [50, 1000] {
        let (mut device, _proxy) = device("inactive");
        device.profiles(&[("never", "never > 1")]);
        let all: Vec<_> = (0..count)
            .map(|index| {
                let mut workload = workload(&format!("i{index:04}"), SLEEP);
                workload["spec"]["profiles"] = json!([{"name": "p", "conditions": ["never"]}]);
                format!("---\n{workload}\n")
            })
            .collect();
        device.manifest("all.yaml", &all.concat());
        device.start();
        device.post("x", 1);
        thread::sleep(Duration::from_secs(5));
        let pid = device.pid();
        report.add(&format!("PSS of agent and receiver, {count} inactive workloads"), pss_kib(pid), "KiB");
        if count == 50 {
            let before = wake_ups(pid);
            thread::sleep(Duration::from_secs(60));
            let after = wake_ups(pid);
            report.add("wake-ups of the main thread in an idle minute", after.0 - before.0, "");
            report.add("wake-ups of all threads in an idle minute", after.1 - before.1, "");
        }
    }
}

/// How often the main thread, and all threads, gave up the processor to wait.
fn wake_ups(pid: u32) -> (u64, u64) {
    let of = |path: std::path::PathBuf| -> u64 {
        let text = fs::read_to_string(path.join("status")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    (of(format!("/proc/{pid}/task/{pid}").into()), tasks.map(|task| of(task.path())).sum())
}
