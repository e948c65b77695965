//! How long a pod takes to start and to go, beside podman's own `kube play` of the same pod in the same run.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Report, device, median, round,
    support::{Device, SLEEP, pause, podman, poll, workload},
};

const ROUNDS: usize = 8;
const AT_ONCE: usize = 10;
/// For the web server, on the host.
const PORT: u16 = 31_190;

pub(super) fn measure(report: &mut Report) {
    one(report);
    many(report);
    web(report);
    probed(report);
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn compare(report: &mut Report, what: &str, agent: Vec<f64>, others: [(&str, Vec<f64>); 2]) {
    let agent = median(agent);
    report.add(&format!("{what}, median"), round(agent, 1), "ms");
    for (name, times) in others.into_iter().filter(|(_, times)| !times.is_empty()) {
        let time = median(times);
        report.add(&format!("{what}, {name}, median"), round(time, 1), "ms");
        report.add(&format!("{what}, ratio to {name}"), round(agent / time, 2), "");
    }
}

/// What podman's `kube play` takes of it.
fn play(name: &str, workload: &Value) -> String {
    let mut spec = workload["spec"]["pod"]["spec"].clone();
    spec["restartPolicy"] = "Never".into();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}).to_string()
}

/// By podman's API.
fn play_request(pod: &str) {
    let (status, answer) = podman::call(&podman::socket(), "POST", "play/kube", pod);
    assert_eq!(status, 200, "{answer}");
}

/// By podman's command.
fn play_command(pod: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), pod).unwrap();
    let mut podman = Command::new("podman");
    let podman = podman.args(["kube", "play"]).arg(file.path()).stdout(Stdio::null());
    assert!(podman.status().unwrap().success());
}

/// Waits until the agent says so: podman's own word, without polling it.
fn started(device: &Device, name: &str) {
    device.wait_for_log(&format!("workload '{name}' is started"));
}

/// One pod after the other.
fn one(report: &mut Report) {
    let (mut device, _proxy) = device("starts");
    device.start();
    device.post("x", 1);
    let (mut agent, mut request, mut command) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..ROUNDS {
        let (name, plain) = (format!("s{index}"), workload("x", SLEEP));
        let start = Instant::now();
        device.workload(&name, SLEEP);
        started(&device, &name);
        agent.push(ms(start));
        for (times, by) in [(&mut request, play_request as fn(&str)), (&mut command, play_command)] {
            let bare = format!("bare{index}");
            let start = Instant::now();
            by(&play(&bare, &plain));
            times.push(ms(start));
            podman::remove(&podman::socket(), &bare);
        }
    }
    let others = [("a play/kube request", request), ("podman kube play", command)];
    compare(report, "manifest saved to pod running", agent, others);
}

/// Ten that come at once.
fn many(report: &mut Report) {
    let (mut device, _proxy) = device("many");
    device.start();
    device.post("x", 1);
    let (mut agent, mut request) = (Vec::new(), Vec::new());
    for index in 0..3 {
        let names: Vec<String> = (0..AT_ONCE).map(|number| format!("m{index}-{number}")).collect();
        let all: String = names.iter().map(|name| format!("---\n{}\n", workload(name, SLEEP))).collect();
        let start = Instant::now();
        device.manifest("all.yaml", &all);
        names.iter().for_each(|name| started(&device, name));
        agent.push(ms(start));
        device.remove_manifest("all.yaml");
        device.wait_for("all to go", || device.pods().is_empty().then_some(()));
        let bare: Vec<String> = names.iter().map(|name| format!("bare-{name}")).collect();
        let start = Instant::now();
        thread::scope(|scope| {
            for name in &bare {
                scope.spawn(|| play_request(&play(name, &workload("x", SLEEP))));
            }
        });
        request.push(ms(start));
        bare.iter().for_each(|name| podman::remove(&podman::socket(), name));
    }
    compare(
        report,
        "ten manifests saved to ten pods running",
        agent,
        [("play/kube requests at once", request), ("", Vec::new())],
    );
}

/// Until a web server in the pod answers.
fn web(report: &mut Report) {
    let (mut device, _proxy) = device("web");
    device.start();
    device.post("x", 1);
    let (mut agent, mut request) = (Vec::new(), Vec::new());
    let serving = |name: &str| {
        let mut serving = workload(name, "echo yes >/tmp/index.html; exec httpd -f -p 8080 -h /tmp");
        let ports = json!([{"containerPort": 8080, "hostPort": PORT, "hostIP": "127.0.0.1"}]);
        serving["spec"]["pod"]["spec"]["containers"][0]["ports"] = ports;
        serving
    };
    for index in 0..ROUNDS {
        let name = format!("w{index}");
        let start = Instant::now();
        device.manifest("web.json", &serving(&name).to_string());
        answered();
        agent.push(ms(start));
        device.remove_manifest("web.json");
        device.wait_for("it to go", || device.pods().is_empty().then_some(()));
        let start = Instant::now();
        play_request(&play("bare-web", &serving(&name)));
        answered();
        request.push(ms(start));
        podman::remove(&podman::socket(), "bare-web");
    }
    let others = [("a play/kube request", request), ("", Vec::new())];
    compare(report, "manifest saved to HTTP 200 from the pod", agent, others);
}

fn answered() {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", PORT)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains(" 200 ").then_some(())
    };
    poll(ask).expect("an answer");
}

/// From the removal of the manifest of a pod that is probed until podman knows it no more.
fn probed(report: &mut Report) {
    let (mut device, _proxy) = device("probed");
    device.start();
    device.post("x", 1);
    let mut times = Vec::new();
    for index in 0..ROUNDS {
        let name = format!("p{index}");
        let mut probed = workload(&name, "trap 'exit 0' TERM; while :; do sleep 0.05; done");
        probed["spec"]["pod"]["spec"]["containers"][0]["livenessProbe"] =
            json!({"exec": {"command": ["true"]}, "periodSeconds": 1});
        device.manifest("probed.json", &probed.to_string());
        started(&device, &name);
        pause(1_500); // a probe was made
        let start = Instant::now();
        device.remove_manifest("probed.json");
        device.wait_for_log(&format!("workload '{name}': its pod is gone"));
        times.push(ms(start));
    }
    report.add("manifest of a probed pod removed to pod gone, median", round(median(times), 1), "ms");
}
