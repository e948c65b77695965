//! The network between the device and its server fails in turn, and then it doesn't: nothing is lost by that.

use std::{ops::Range, time::SystemTime};

use chrono::DateTime;

use super::{
    Dice,
    chaos::{Trouble, survive},
    device_of, knob, now,
};
use crate::support::{Device, edge::Edge, free_port, link::Link, pause};

/// The name of each kind of fault, what it is to the link, and after how many seconds of it packets have vanished for
/// sure: there are few.
const KINDS: [(&str, &str, f64); 5] = [
    ("partition", "down", 0.0),
    ("answers lost", "in.loss=100", 0.0),
    ("questions lost", "out.loss=100", 0.0),
    ("loss", "loss=40", 20.0),
    ("delay", "delay=600 jitter=300", f64::INFINITY),
];
/// In ms, more than the agent waits for an answer.
const LONG: u64 = 32_000;

#[test]
fn over_a_network_that_fails_in_every_way_no_event_is_lost_and_nothing_is_restarted() {
    let Some(link) = Link::start() else { return };
    let wrapper = link.wrapper();
    let address = (link.address, free_port()).into();
    let options = ["--period", "1", "--certificate-seconds", "60"];
    let Some(mut edge) = Edge::start_at(address, &wrapper.each_ref().map(String::as_str), &options) else {
        return;
    };
    let Some(mut device) = device_of(&edge, "network") else { return };
    let mut network = Network { link, strikes: Vec::new(), since: None, cuts: Vec::new() };
    survive(&mut edge, &mut device, &mut network, knob("CHAOS_SECONDS", 30));
    network.check(&edge, &device);
}

struct Network {
    link: Link,
    strikes: Vec<Strike>,
    /// Since when there has been no good network, in seconds since 1970.
    since: Option<f64>,
    cuts: Vec<Range<f64>>,
}

struct Strike {
    kind: usize,
    time: Range<f64>,
    dropped: u64,
}

impl Network {
    /// Sets the link anew, and notes what the fault before did.
    fn set(&mut self, kind: Option<usize>) {
        let dropped = self.link.set(kind.map_or("", |kind| KINDS[kind].1));
        if let Some(strike) = self.strikes.last_mut()
            && strike.time.end.is_infinite()
        {
            (strike.time.end, strike.dropped) = (now(), dropped);
        }
        self.strikes.extend(kind.map(|kind| Strike { kind, time: now()..f64::INFINITY, dropped: 0 }));
    }

    /// Each kind of fault must have been one, and the agent must have noticed.
    fn check(&self, edge: &Edge, device: &Device) {
        let log = device.whole_log();
        let complaints: Vec<f64> =
            log.lines().filter(|line| line.contains("can't be reached")).map(time).collect();
        let calls = edge.since(0);
        for (number, (name, _, enough)) in KINDS.into_iter().enumerate() {
            let mine = || self.strikes.iter().filter(move |it| it.kind == number);
            let seconds: f64 = mine().map(|it| it.time.end - it.time.start).sum();
            let dropped: u64 = mine().map(|it| it.dropped).sum();
            let arrived = calls.iter().filter(|call| mine().any(|it| it.time.contains(&call.at))).count();
            let last = |at: f64| self.strikes.iter().rfind(|it| it.time.start <= at).map(|it| it.kind);
            let complaints = complaints.iter().filter(|at| last(**at) == Some(number)).count();
            println!(
                "{name}: {} times, {seconds:.1} s, {dropped} packets dropped, {arrived} calls arrived, {complaints} complaints",
                mine().count(),
            );
            assert!(seconds <= enough || dropped > 0, "{name}: nothing was lost");
        }
        assert!(!complaints.is_empty(), "the agent noticed nothing");
    }
}

impl Trouble for Network {
    /// The kinds take turns. Some last until calls are given up. Behind others, the first among them, the server is
    /// started again, and the kernel there resets what was said to the former one: calls fail at once.
    fn strike(&mut self, edge: &mut Edge, dice: &mut Dice) {
        self.since.get_or_insert_with(now);
        let number = self.strikes.len();
        self.set(Some(number % KINDS.len()));
        pause(if number > 0 && dice.roll(10) == 0 { LONG } else { 1500 + dice.roll(1500) });
        if number == 0 || dice.roll(2) == 0 {
            edge.kill();
            edge.start_again();
        }
    }

    fn end(&mut self, _: &mut Edge) {
        self.set(None);
        // A request that was under way may be repeated by the kernel after as long again, its sender long gone.
        self.cuts.extend(self.since.take().map(|since| since..2.0 * now() - since + 1.0));
    }

    fn cuts(&self) -> &[Range<f64>] {
        &self.cuts
    }
}

/// When a line of the log was written, in seconds since 1970.
fn time(line: &str) -> f64 {
    let stamp = line.split_whitespace().next().unwrap();
    let time = SystemTime::from(DateTime::parse_from_rfc3339(stamp).unwrap());
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}
