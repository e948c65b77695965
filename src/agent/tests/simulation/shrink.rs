//! From a script that breaks an invariant to a short one that breaks the same.

use super::{
    rules::Invariant,
    script::{Script, Step},
    wishes::Wishes,
};

/// How often a script may be run to find a shorter one.
const TRIES: usize = 1000;

/// A script without steps that `breaks` doesn't need: first in large pieces, then one by one, then the parts of
/// what is wanted.
pub(super) fn shrunk(
    script: &Script,
    at: usize,
    invariant: Invariant,
    breaks: impl Fn(&Script) -> Option<Invariant>,
) -> Script {
    let mut best = script.clone();
    best.steps.truncate(at + 1);
    let mut tries = 0;
    let mut still = |steps: &[Step]| {
        tries += 1;
        let tried = Script { steps: steps.to_vec(), ..script.clone() };
        tries <= TRIES && breaks(&tried) == Some(invariant)
    };
    let mut piece = best.steps.len().div_ceil(2);
    loop {
        let mut from = 0;
        let before = best.steps.len();
        while from < best.steps.len() {
            let mut fewer = best.steps.clone();
            fewer.drain(from..(from + piece).min(best.steps.len()));
            if still(&fewer) {
                best.steps = fewer;
            } else {
                from += piece;
            }
        }
        match piece {
            1 if best.steps.len() == before => break,
            1 => {}
            _ => piece /= 2,
        }
    }
    for at in 0..best.steps.len() {
        for simpler in simpler(&best.steps[at]) {
            let mut steps = best.steps.clone();
            steps[at] = simpler;
            if still(&steps) {
                best.steps = steps;
            }
        }
    }
    best
}

/// The same step with one thing less to be read; more than once, as each builds on the one before.
fn simpler(step: &Step) -> Vec<Step> {
    let (wishes, again): (&Wishes, fn(Wishes) -> Step) = match step {
        Step::Manifests(wishes) => (wishes, Step::Manifests),
        Step::Server(wishes) => (wishes, Step::Server),
        Step::Calm { empty: true } => return vec![Step::Calm { empty: false }],
        _ => return Vec::new(),
    };
    let mut simpler = Vec::new();
    // every subset that could be left, the smallest first
    for kept in 0..1_u32 << wishes.workloads.len() {
        let mut fewer = wishes.clone();
        let mut at = 0;
        fewer.workloads.retain(|_| {
            at += 1;
            kept >> (at - 1) & 1 == 1
        });
        fewer.unreadable.clear();
        fewer.partial = false;
        simpler.push(again(fewer));
    }
    simpler.reverse();
    simpler
}
