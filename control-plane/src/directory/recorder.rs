//! What becomes of a device's events: as Kubernetes' recorder has it, 25 of a device come through, then one in five
//! minutes; of the others nothing is ever seen.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use crate::allowance::Allowance;

const BURST: f64 = 25.0;
/// Seconds for one more.
const REFILL: f64 = 300.0;
/// Of those that came through, so many are listed.
const LISTED: usize = 1000;

/// The events of all devices.
#[derive(Debug, Default)]
pub(crate) struct Recorder(BTreeMap<String, Events>);

#[derive(Debug)]
struct Events {
    allowance: Allowance,
    seen: VecDeque<String>,
}

impl Recorder {
    /// Says how many were lost.
    pub(crate) fn record(&mut self, device: &str, events: &Value) -> usize {
        let fresh = || Events { allowance: Allowance::new(BURST, REFILL), seen: VecDeque::new() };
        let known = self.0.entry(device.to_owned()).or_insert_with(fresh);
        let mut lost = 0;
        for event in events.as_array().into_iter().flatten() {
            if !known.allowance.take() {
                lost += 1;
                continue;
            }
            let text = |key: &str| event[key].as_str().unwrap_or("?");
            known.seen.push_back(format!("[{}] {}: {}", text("type"), text("reason"), text("message")));
            if known.seen.len() > LISTED {
                known.seen.pop_front();
            }
        }
        lost
    }

    /// Those of a device that came through, a line each.
    pub(crate) fn seen(&self, device: &str) -> String {
        let seen = self.0.get(device).map(|events| events.seen.iter().cloned().collect::<Vec<_>>());
        seen.unwrap_or_default().join("\n")
    }
}
