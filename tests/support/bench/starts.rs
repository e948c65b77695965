//! How long a pod takes to start and to go, beside podman's own `kube play` of the same pod in the same run. All that is
//! asked of podman goes through one proxy, which notes when it came and when it was answered: so no wait of the bench's
//! own counts. What runs podman's command can't be sent there: it is asked for at its usual place.

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
    support::{
        Device, SLEEP, pause, podman,
        proxy::{Exchange, Proxy},
        workload,
    },
};

const ROUNDS: usize = 15;
const AT_ONCE: usize = 10;
/// For the web server, on the host.
const PORT: u16 = 31_190;

pub(super) fn measure(report: &mut Report) {
    one(report);
    many(report);
    web(report);
    probed(report);
}

fn between(start: Instant, end: Instant) -> f64 {
    end.saturating_duration_since(start).as_secs_f64() * 1e3
}

fn compare(report: &mut Report, what: &str, agent: Vec<f64>, others: &[(&str, Vec<f64>)]) {
    let agent = median(agent);
    report.add(&format!("{what}, median"), round(agent, 1), "ms");
    for (name, times) in others {
        let time = median(times.clone());
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

/// By podman's API, as the agent asks it.
fn play_request(device: &Device, pod: &str) {
    let (status, answer) = podman::call(&device.socket, "POST", "play/kube", pod);
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

/// What the proxy has seen since a moment.
struct Since<'a>(&'a Proxy, usize);

impl<'a> Since<'a> {
    fn now(proxy: &'a Proxy) -> Self {
        Self(proxy, proxy.requests("").len())
    }

    fn seen(&self) -> Vec<Exchange> {
        self.0.exchanges(self.1)
    }

    /// The first request of what the agent asks for the sake of a start.
    fn ordered(&self) -> Instant {
        let is_for_it = |it: &&Exchange| it.line.contains("/images/") || it.line.contains("pods/create");
        self.seen().iter().find(is_for_it).expect("an order").came
    }

    /// When the last of these was answered.
    fn answered(&self, part: &str) -> Instant {
        let seen = self.seen();
        let those = seen.iter().filter(|it| it.line.contains(part));
        those.filter_map(|it| it.answered).max().expect("an answer")
    }
}

/// Waits until the agent says so: podman's own word, without polling it.
fn started(device: &Device, name: &str) {
    device.wait_for_log(&format!("workload '{name}' is started"));
}

/// One pod after the other.
fn one(report: &mut Report) {
    let (mut device, proxy) = device("starts");
    device.start();
    device.post("x", 1);
    let [mut saved, mut ordered, mut known, mut request, mut command]: [Vec<f64>; 5] = Default::default();
    for index in 0..ROUNDS {
        let (name, bare) = (format!("s{index}"), format!("bare{index}"));
        let plain = play(&bare, &workload("x", SLEEP));
        let (since, start) = (Since::now(&proxy), Instant::now());
        device.workload(&name, SLEEP);
        started(&device, &name);
        let runs = since.answered("-main/start");
        saved.push(between(start, runs));
        ordered.push(between(since.ordered(), runs));
        known.push(between(since.ordered(), since.answered("/containers/")));
        let since = Since::now(&proxy);
        play_request(&device, &plain);
        request.push(between(since.seen()[0].came, since.answered("play/kube")));
        podman::remove(&podman::socket(), &bare);
        let start = Instant::now();
        play_command(&plain);
        command.push(between(start, Instant::now()));
        podman::remove(&podman::socket(), &bare);
    }
    let others = [("a play/kube request", request), ("podman kube play", command)];
    compare(report, "order to pod running", ordered, &others);
    report.add("order to the agent knowing its processes, median", round(median(known), 1), "ms");
    report.add("manifest saved to pod running, median", round(median(saved), 1), "ms");
}

/// Ten that come at once.
fn many(report: &mut Report) {
    let (mut device, proxy) = device("many");
    device.start();
    device.post("x", 1);
    let [mut saved, mut ordered, mut request]: [Vec<f64>; 3] = Default::default();
    for index in 0..5 {
        let names: Vec<String> = (0..AT_ONCE).map(|number| format!("m{index}-{number}")).collect();
        let all: String = names.iter().map(|name| format!("---\n{}\n", workload(name, SLEEP))).collect();
        let (since, start) = (Since::now(&proxy), Instant::now());
        device.manifest("all.yaml", &all);
        names.iter().for_each(|name| started(&device, name));
        let run = since.answered("-main/start");
        saved.push(between(start, run));
        ordered.push(between(since.ordered(), run));
        device.remove_manifest("all.yaml");
        device.wait_for("all to go", || device.pods().is_empty().then_some(()));
        let bare: Vec<String> = names.iter().map(|name| format!("bare-{name}")).collect();
        let since = Since::now(&proxy);
        thread::scope(|scope| {
            for name in &bare {
                scope.spawn(|| play_request(&device, &play(name, &workload("x", SLEEP))));
            }
        });
        let plays = since.seen().into_iter().find(|it| it.line.contains("play/kube")).expect("a play");
        request.push(between(plays.came, since.answered("play/kube")));
        bare.iter().for_each(|name| podman::remove(&podman::socket(), name));
    }
    let others = [("play/kube requests at once", request)];
    compare(report, "ten orders to ten pods running", ordered, &others);
    report.add("ten manifests saved to ten pods running, median", round(median(saved), 1), "ms");
}

/// Until a web server in the pod answers.
fn web(report: &mut Report) {
    let (mut device, proxy) = device("web");
    device.start();
    device.post("x", 1);
    let [mut saved, mut ordered, mut request]: [Vec<f64>; 3] = Default::default();
    let serving = |name: &str| {
        let mut serving = workload(name, "echo yes >/tmp/index.html; exec httpd -f -p 8080 -h /tmp");
        let ports = json!([{"containerPort": 8080, "hostPort": PORT, "hostIP": "127.0.0.1"}]);
        serving["spec"]["pod"]["spec"]["containers"][0]["ports"] = ports;
        serving
    };
    for index in 0..ROUNDS {
        let name = format!("w{index}");
        let (since, start) = (Since::now(&proxy), Instant::now());
        device.manifest("web.json", &serving(&name).to_string());
        let answered = answered();
        saved.push(between(start, answered));
        ordered.push(between(since.ordered(), answered));
        started(&device, &name);
        device.remove_manifest("web.json");
        device.wait_for("it to go", || device.pods().is_empty().then_some(()));
        let start = Instant::now();
        let (device, pod) = (&device, play("bare-web", &serving(&name)));
        thread::scope(|scope| {
            scope.spawn(move || play_request(device, &pod));
            request.push(between(start, self::answered()));
        });
        podman::remove(&podman::socket(), "bare-web");
    }
    compare(report, "order to HTTP 200 from the pod", ordered, &[("a play/kube request", request)]);
    report.add("manifest saved to HTTP 200 from the pod, median", round(median(saved), 1), "ms");
}

/// Asked each millisecond.
fn answered() -> Instant {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", PORT)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains(" 200 ").then(Instant::now)
    };
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(at) = ask() {
            return at;
        }
        assert!(Instant::now() < end, "no answer");
        pause(1);
    }
}

/// From the removal of the manifest of a pod that is probed until podman knows it no more.
fn probed(report: &mut Report) {
    let (mut device, proxy) = device("probed");
    device.start();
    device.post("x", 1);
    let [mut saved, mut ordered]: [Vec<f64>; 2] = Default::default();
    for index in 0..ROUNDS {
        let name = format!("p{index}");
        let mut probed = workload(&name, "trap 'exit 0' TERM; while :; do sleep 0.05; done");
        probed["spec"]["pod"]["spec"]["containers"][0]["livenessProbe"] =
            json!({"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 30});
        device.manifest("probed.json", &probed.to_string());
        started(&device, &name);
        pause(1_500); // a probe was made
        let (since, start) = (Since::now(&proxy), Instant::now());
        device.remove_manifest("probed.json");
        let is_told = |line: &str| line.contains(&format!("] pod '{name}-")) && line.ends_with("is gone");
        device.wait_for("it to go", || device.log().lines().any(is_told).then_some(()));
        let seen = since.seen();
        let stop = seen.iter().find(|it| it.line.contains("/stop?")).expect("a stop");
        let gone = since.answered("/volumes/json");
        saved.push(between(start, gone));
        ordered.push(between(stop.came, gone));
    }
    report.add("stop of a probed pod to all of it gone, median", round(median(ordered), 1), "ms");
    report.add("manifest of a probed pod removed to all of it gone, median", round(median(saved), 1), "ms");
}
