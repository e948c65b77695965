//! An update that waits, as people see it: what for, since when, until when, and what can be done about it.

use super::{report::WorkloadContext, text::format_duration};
use crate::agent::{
    conditions::{ConditionId, Conditions},
    context::Context,
    model::{
        report::{self, WaitingUpdateReport},
        time::Now,
        workload::{ListedCondition, ListedProfile},
    },
    update_gate::{GATE_PROFILE_NAME, UpdateGate, time_until_open},
    update_lock::UpdateLock,
    wrong_clock,
};

impl UpdateGate {
    /// What an update waits for, for people.
    pub(in crate::agent) fn pending_reasons(
        &self,
        conditions: &Conditions,
        context: &Context,
        now: Now,
    ) -> Vec<String> {
        let listed =
            |(_, text): &(Option<ConditionId>, String)| ListedCondition { name: text.clone(), cpu: None };
        let listed = ListedProfile {
            name: GATE_PROFILE_NAME.to_owned(),
            conditions: self.whens.iter().map(listed).collect(),
        };
        let listed = conditions.listed_profile_reports(&[listed], now.up);
        let closed_ones = listed.into_iter().flat_map(|profile| profile.conditions).filter(|it| !it.holds);
        let why = |it: report::ListedConditionReport| match it.is_defined {
            true => it.why,
            false => "what the device says of updates can't be read".to_owned(),
        };
        let mut whys: Vec<String> = closed_ones.map(why).collect();
        for window in &self.windows {
            if let Some(behind) = context.clock_lag(now) {
                whys.push(wrong_clock::clock_lag_message(behind));
            } else if let Some(left) = time_until_open(window, context.next_slot, now) {
                let opens = left.map(|left| format!(", and opens in {}", format_duration(left.as_secs())));
                whys.push(format!("its window ({}) is closed{}", window.cron, opens.unwrap_or_default()));
            }
        }
        if context.update_lock == UpdateLock::Held {
            whys.push("a program holds update.lock in RUNTIME_DIR".to_owned());
        }
        whys
    }
}

impl WorkloadContext<'_> {
    /// Tells of the update of a workload that waits, if one does. `lacks`: why its images aren't here.
    pub(in crate::agent) fn add_waiting_update(
        &self,
        name: &str,
        lacks: Option<String>,
        shown: &mut report::Workload,
    ) {
        let Some(update) = self.context.waiting.get(name).filter(|update| !update.passed) else { return };
        let waited = self.context.waiting.wait_time(name, self.now);
        let left = self.update_gate.and_then(UpdateGate::deadline).map(|limit| limit.saturating_sub(waited));
        let why = |gate: &UpdateGate| gate.pending_reasons(self.conditions, self.context, self.now);
        let mut whys = self.update_gate.map(why).unwrap_or_default();
        whys.extend(lacks);
        let waits = WaitingUpdateReport {
            pod: update.to.to_string(),
            causes: whys,
            since: waited.as_secs(),
            until: left.map(|left| left.as_secs()),
        };
        shown.notes.insert(0, waits.waiting_sentence(name));
        shown.update = Some(waits);
    }
}

impl WaitingUpdateReport {
    fn waiting_sentence(&self, name: &str) -> String {
        let until = self.until.map(|left| format!("; at the latest in {}", format_duration(left)));
        format!(
            "an update waits since {}: {}{}; 'device-worker-ng update {name} --now' lets it go ahead",
            format_duration(self.since),
            self.causes.join("; "),
            until.unwrap_or_default(),
        )
    }
}
