//! What updates wait for: expressions, windows and a deadline, a workload's own and the device's. All have to allow it.

use std::time::Duration;

use super::{
    conditions::{ConditionId, Conditions},
    context::Context,
    model::{
        schedule::NextSlotFn,
        time::{Now, Wake},
        update::{UpdateRules, Window},
        workload::{Condition, Profile},
    },
    wrong_clock::CLOCK_RECHECK_INTERVAL,
};

/// A profile of the agent's own: no device can define one without a name.
pub(super) const GATE_PROFILE_NAME: &str = "";
/// Why an update goes ahead,
pub(super) const WHY_ALLOWED: &str = "it is allowed now";
/// and why although it isn't allowed.
pub(super) const WHY_LATE: &str = "its deadline is over";

/// What an update of one workload may have to wait for.
#[derive(Debug, Default)]
pub(super) struct UpdateGate {
    /// One that could not be read has no condition, and never holds.
    pub(super) whens: Vec<(Option<ConditionId>, String)>,
    pub(super) windows: Vec<Window>,
    /// The workload's own, else the device's.
    deadline: Option<Duration>,
}

/// How an update gate is at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permit {
    /// An update may go ahead.
    pub(super) is_open: bool,
    /// When to ask again, although nothing happens.
    pub(super) wake: Wake,
    /// After so long it goes ahead anyway.
    pub(super) deadline: Option<Duration>,
}

impl Permit {
    /// Whether an update that has waited for so long doesn't wait any more.
    pub(super) fn is_late(self, waited: Duration) -> bool {
        self.deadline.is_some_and(|limit| waited >= limit)
    }

    /// When to ask again for one that has waited for so long.
    pub(super) fn next_wake(self, waited: Duration, now: Now) -> Wake {
        let left = self.deadline.filter(|_| !self.is_late(waited)).map(|limit| limit - waited);
        left.map_or(Wake::Never, |left| Wake::At(now.up + left)).earlier(self.wake)
    }
}

/// The expressions of all rules, as a profile.
pub(super) fn as_profile<'a>(rules: impl Iterator<Item = &'a UpdateRules>) -> Option<Profile> {
    let mut texts: Vec<&String> =
        rules.filter_map(|rules| rules.when.as_ref()).filter(|it| !it.is_empty()).collect();
    texts.sort_unstable();
    texts.dedup();
    let condition = |text: &&String| Condition {
        name: (*text).clone(),
        expression: (*text).clone(),
        ..Condition::default()
    };
    let conditions: Vec<_> = texts.iter().map(condition).collect();
    (!conditions.is_empty()).then(|| Profile { name: GATE_PROFILE_NAME.to_owned(), conditions })
}

impl UpdateGate {
    /// Of a workload's own rules and the device's, if there is anything to wait for.
    pub(super) fn new(
        own: Option<&UpdateRules>,
        device: Option<&UpdateRules>,
        conditions: &Conditions,
    ) -> Option<Self> {
        let mut gate = Self::default();
        for rules in [own, device].into_iter().flatten() {
            let when = rules.when.iter().map(|text| (conditions.find(GATE_PROFILE_NAME, text), text.clone()));
            gate.whens.extend(when);
            gate.windows.extend(rules.window.clone());
            gate.deadline = gate.deadline.or(rules.deadline);
        }
        (own.is_some() || device.is_some()).then_some(gate)
    }

    pub(super) fn conditions(&self) -> impl Iterator<Item = ConditionId> + '_ {
        self.whens.iter().filter_map(|(id, _)| *id)
    }

    /// After so long an update goes ahead anyway.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether an update may go ahead, and when to ask again.
    pub(super) fn permit(&self, conditions: &Conditions, context: &Context, now: Now) -> Permit {
        let is_open = self.whens.iter().all(|(id, _)| id.is_some_and(|id| conditions.holds(id)));
        let mut permit = Permit { is_open, wake: Wake::Never, deadline: self.deadline };
        for window in &self.windows {
            if context.clock_lag(now).is_some() {
                (permit.is_open, permit.wake) = (false, Wake::At(now.up + CLOCK_RECHECK_INTERVAL));
            } else if let Some(left) = time_until_open(window, context.next_slot, now) {
                permit.is_open = false;
                permit.wake = permit.wake.earlier(Wake::At(
                    now.up + left.unwrap_or(CLOCK_RECHECK_INTERVAL).min(CLOCK_RECHECK_INTERVAL),
                ));
            }
        }
        permit
    }
}

/// How long the window is closed yet, as far as is known; none: it is open.
pub(super) fn time_until_open(window: &Window, next_slot: NextSlotFn, now: Now) -> Option<Option<Duration>> {
    let from = now.utc.checked_sub(window.duration)?;
    match next_slot(&window.cron, from) {
        Some(slot) if slot <= now.utc => None,
        Some(slot) => Some(slot.duration_since(now.utc).ok()),
        None => Some(None),
    }
}
