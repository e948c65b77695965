//! Everything fails in turn, and then nothing does: the device is where it was told to be last.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    time::{Duration, Instant},
};

use super::{Beats, Dice, device_of, knob, now};
use crate::support::{
    Device, SLEEP, children,
    edge::{Edge, Record, for_device},
    pause, podman, workload,
};

/// Seconds between the edge API's note of a request and the device's receipt of the answer, at most.
const ANSWERED: f64 = 0.5;
/// A workload that flips more often is held at rest.
const BETWEEN_FLIPS: Duration = Duration::from_secs(15);
/// What this has to come to an end in, with back-offs that grew to five minutes meanwhile.
const PATIENCE: Duration = Duration::from_secs(330);

/// Something that fails, and is mended.
pub(super) trait Trouble {
    /// One thing more goes wrong.
    fn strike(&mut self, edge: &mut Edge, dice: &mut Dice);
    /// Nothing is wrong any more.
    fn end(&mut self, edge: &mut Edge);
    /// From when to when connections may have been cut, and answers under way lost.
    fn cuts(&self) -> &[Range<f64>];
}

#[test]
fn after_an_outage_of_everything_the_device_is_as_it_was_told_last() {
    let Some(mut edge) = Edge::start(&["--period", "1", "--certificate-seconds", "60"]) else { return };
    let Some(mut device) = device_of(&edge, "chaos") else { return };
    survive(&mut edge, &mut device, &mut Server::default(), knob("CHAOS_SECONDS", 45));
}

/// Lets trouble happen for some seconds, each time followed by a pause, and checks what must be true in spite of it.
pub(super) fn survive(edge: &mut Edge, device: &mut Device, trouble: &mut dyn Trouble, seconds: u64) {
    let seed = knob("CHAOS_SEED", now().to_bits());
    println!("CHAOS_SEED={seed}");
    let mut dice = Dice(seed);
    edge.profiles(device, &[("low", "x<3% || x == nil")]);
    edge.workload(device, "bystander", SLEEP);
    edge.workload(device, "changing", SLEEP);
    let mut gated = workload("gated", SLEEP);
    gated["spec"]["profiles"] = serde_json::json!([{"name": "p", "conditions": ["low"]}]);
    edge.manifest("gated.json", &for_device(device, gated));
    device.start();
    let before = device.wait_for_running(&["bystander", "changing", "gated"]);
    edge.wait_for_running(device, 0, "gated");
    device.post("x", 0);
    let (threads, memory) = (settled_threads(device), anonymous_kib(device));

    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut version, mut flips, mut flipped) = (0, 0, None);
    while Instant::now() < end {
        if flipped.is_none_or(|at: Instant| at.elapsed() > BETWEEN_FLIPS) {
            flips += 1;
            // the next heartbeat has something to tell
            let told = || device.whole_log().matches("workload 'gated'").count();
            let before = told();
            device.post("x", flips % 2 * 5);
            device.wait_for("an event", || (told() > before).then_some(()));
            flipped = Some(Instant::now());
        }
        trouble.strike(edge, &mut dice);
        if dice.roll(3) == 0 {
            version += 1;
            edge.workload(device, "changing", &format!("echo version {version}; {SLEEP}"));
        }
        pause(dice.roll(2500));
        if dice.roll(2) == 0 {
            trouble.end(edge);
            pause(dice.roll(2000));
        }
    }
    trouble.end(edge);
    version += 1;
    edge.workload(device, "changing", &format!("echo version {version}; {SLEEP}"));
    device.post("x", 0);

    let last = format!("version {version}\n");
    device.wait_within(PATIENCE, "the last configuration", || {
        let [bystander, changing, gated] = &device.pods()[..] else { return None };
        let all_run = [bystander, changing, gated].iter().all(|pod| pod.status == "Running");
        let is_last = all_run && podman::logs(&changing.containers[0].1) == last;
        is_last.then_some(())
    });
    assert_eq!(device.pods()[0], before[0], "a bystander was touched");
    let mark = edge.mark();
    let is_well = |it: &Record| {
        let runs = |name| it.workload(name) == Some("Running");
        it.is_good("heartbeat")
            && it.content["status"] == "up"
            && ["bystander", "changing", "gated"].map(runs) == [true; 3]
    };
    device.wait_within(PATIENCE, "a good heartbeat", || edge.find(device, mark, is_well));
    device.wait_within(PATIENCE, "all events", || {
        let told: usize = told(device).values().sum();
        let kept: usize = kept(device).values().sum();
        let (sure, perhaps) = arrived(edge, device, trouble.cuts());
        (sure.values().chain(perhaps.values()).sum::<usize>() + kept >= told).then_some(())
    });
    let beats = edge.beats(device, 0).len();
    device.wait_for("two heartbeats more", || (edge.beats(device, 0).len() >= beats + 2).then_some(()));
    check_events(edge, device, trouble.cuts());
    let after = (settled_threads(device), anonymous_kib(device));
    println!("threads {threads} -> {}, anonymous memory {memory} -> {} KiB", after.0, after.1);
    assert_eq!(after.0, threads, "threads");
    assert!(after.1 <= memory + 1024, "{memory} KiB became {} KiB", after.1);
}

/// A server that misbehaves.
#[derive(Default)]
struct Server {
    cuts: Vec<Range<f64>>,
}

impl Trouble for Server {
    fn strike(&mut self, edge: &mut Edge, dice: &mut Dice) {
        // (not `huge`: a C library may keep the memory for the largest answer)
        let answers =
            ["stall", "slow=700", "drip=5", "reset", "lost", "cut", "truncated", "types", "html", "empty"];
        let statuses = ["401", "403", "404", "429 retry-after=1", "500", "503"];
        let calls = ["enrol", "register", "heartbeat", "heartbeat", "configuration", "control"];
        let began = now();
        match dice.roll(12) {
            0 => edge.kill(),
            1 => drop(edge.tell(&format!("door {}", dice.pick(&["refuse", "silent"])))),
            2 => drop(edge.tell("hangup")),
            3 => {
                let flaw = dice.pick(&["expired", "wrong-name", "foreign"]);
                edge.tell(&format!("server-certificate {flaw}"));
            }
            kind => {
                let fault = if kind < 7 { dice.pick(&statuses) } else { dice.pick(&answers) };
                edge.tell(&format!("fault {fault} call={} times={}", dice.pick(&calls), 1 + dice.roll(3)));
                return;
            }
        }
        self.cuts.push(began..now());
        if !edge.runs() {
            pause(dice.roll(2000));
            edge.start_again();
        }
    }

    fn end(&mut self, edge: &mut Edge) {
        edge.tell("clear"); // (it cuts no connection that anything was said on)
    }

    fn cuts(&self) -> &[Range<f64>] {
        &self.cuts
    }
}

/// What the agent says that it told, by message.
fn told(device: &Device) -> BTreeMap<String, usize> {
    let log = device.whole_log();
    let lines: Vec<&str> = log.lines().collect();
    let mut told = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        // the message comes first; other threads may say something in between
        let is_message = |line: &&&str| line.contains("[INFO] ") || line.contains("[WARN] ");
        if line.contains("[DEBUG] event ")
            && let Some(message) = lines[..at].iter().rev().find(is_message)
        {
            let message = message.split_once("] ").unwrap().1;
            *told.entry(message.to_owned()).or_default() += 1;
        }
    }
    told
}

/// How often each message arrived: in heartbeats that the device knows to have arrived, and in those that it may
/// not know of, because the connection was cut when the answer was under way. One that was used again wasn't.
fn arrived(
    edge: &Edge,
    device: &Device,
    cuts: &[Range<f64>],
) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut sure, mut perhaps) = (BTreeMap::new(), BTreeMap::new());
    let mut last = BTreeMap::new();
    for call in edge.since(0) {
        last.insert((call.start, call.connection), call.at);
    }
    for beat in edge.beats(device, 0) {
        let is_last = last[&(beat.start, beat.connection)] <= beat.at;
        let is_near = |cut: &Range<f64>| (cut.start - ANSWERED..cut.end).contains(&beat.at);
        let counts = match beat.trouble.as_deref() {
            Some("lost" | "cut") => continue,
            _ if is_last && cuts.iter().any(is_near) => &mut perhaps,
            _ => &mut sure,
        };
        for (_, message) in beat.events() {
            let (message, times) = counted(message);
            *counts.entry(message.to_owned()).or_default() += times;
        }
    }
    (sure, perhaps)
}

/// `it failed (3 times)`.
fn counted(message: &str) -> (&str, usize) {
    let counted = message.strip_suffix(" times)").and_then(|it| it.rsplit_once(" ("));
    counted.and_then(|(message, times)| Some((message, times.parse().ok()?))).unwrap_or((message, 1))
}

/// What the device still has to tell: an event that was told a short while ago waits until it is worth another one.
fn kept(device: &Device) -> BTreeMap<String, usize> {
    let file = fs::read_to_string(device.path("run/server/unheard")).unwrap_or_default();
    let unheard: serde_json::Value = file
        .split_once('\n')
        .map_or(serde_json::Value::Null, |(_, json)| serde_json::from_str(json).unwrap());
    let events = unheard["events"].as_array().into_iter().flatten();
    let mut kept = BTreeMap::new();
    for event in events {
        let message = event["message"].as_str().unwrap().to_owned();
        *kept.entry(message).or_default() += event["times"].as_u64().unwrap() as usize;
    }
    kept
}

/// Each event arrived, or waits, as often as it was told: what arrived once more did so because its answer was cut off.
fn check_events(edge: &Edge, device: &Device, cuts: &[Range<f64>]) {
    let told = told(device);
    let kept = kept(device);
    let (sure, perhaps) = arrived(edge, device, cuts);
    let sum = |counts: &BTreeMap<String, usize>| counts.values().sum::<usize>();
    let (all, sures, others, waits) = (sum(&told), sum(&sure), sum(&perhaps), sum(&kept));
    println!(
        "{all} events; {sures} arrived for sure, {others} perhaps, {} of them once more; {waits} wait",
        sures + others + waits - all
    );
    for message in told.keys().chain(sure.keys()).chain(perhaps.keys()) {
        let count = |counts: &BTreeMap<String, usize>| counts.get(message).copied().unwrap_or(0);
        let (told, sure, most) = (count(&told), count(&sure), count(&sure) + count(&perhaps));
        let waits = count(&kept);
        assert!(
            (sure + waits..=most + waits).contains(&told),
            "told {told} times, arrived {sure} to {most} times, {waits} wait: {message}\n{:#?}\n{}",
            edge.since(0)
                .into_iter()
                .filter(|it| it.events().any(|(_, its)| counted(its).0 == message))
                .collect::<Vec<_>>(),
            device.whole_log()
        );
    }
}

/// The agent's threads when no call is under way.
fn settled_threads(device: &Device) -> usize {
    let count = || fs::read_dir(format!("/proc/{}/task", device.pid())).unwrap().count();
    let mut least = usize::MAX;
    for _ in 0..200 {
        least = least.min(count());
        pause(10);
    }
    least
}

/// Memory that is the agent's and its receiver's own.
fn anonymous_kib(device: &Device) -> u64 {
    let of = |pid: u32| -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    of(device.pid()) + children(device.pid()).into_iter().map(of).sum::<u64>()
}
