//! What a person at the device stopped by hand stays stopped, whatever else would let it run: changed metrics, another
//! content, restarts of the agent, reboots. `start` ends that, or that nothing asks for the workload any more, or, if it
//! was stopped until then, another content.
//!
//! To the rest of the rules it is what conditions that don't hold are: the pod is stopped and removed (a Deployment has no
//! pods), one that has ended stays for its output, a back-off is forgotten, an update gets its time anew with the next
//! start, and the slots of a cron schedule pass unused. It doesn't count as a change of conditions, for which a workload
//! would have to rest.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use super::model::{
    notice::{Notice, Reason},
    stop::{ManualStop, ManualStops},
    time,
    workload::{Workload, WorkloadId},
};

/// All that is stopped by hand.
#[derive(Debug, Default)]
pub(super) struct StoppedByHand {
    all: ManualStops,
    changed: bool,
}

impl StoppedByHand {
    pub(super) fn new(kept: ManualStops) -> Self {
        Self { all: kept, changed: false }
    }

    pub(super) fn is_stopped(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// That it is so and since when, and what a person can do about it.
    pub(super) fn stop_reason_and_remedy(&self, name: &str) -> Option<(String, String)> {
        let ManualStop { since, until_not } = self.all.get(name)?;
        let since = since.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
        let since = since.map(|at| format!(" at {}", time::format_timestamp(at))).unwrap_or_default();
        let until = if until_not.is_some() { ", until another content is asked for" } else { "" };
        let remedy = format!("start it with 'device-worker-ng start {name}'");
        Some((format!("an operator stopped it{since}{until}"), remedy))
    }

    /// What is to be kept, if that has changed.
    pub(super) fn take_changed(&mut self) -> Option<ManualStops> {
        std::mem::take(&mut self.changed).then(|| self.all.clone())
    }

    /// Stops the workload of this name, of which `id` is asked for now, and answers what there is to tell.
    ///
    /// # Errors
    /// It is stopped already: since when, and until when from now on.
    pub(super) fn stop(
        &mut self,
        name: &str,
        until_not: Option<WorkloadId>,
        since: Option<u64>,
    ) -> Result<Notice, String> {
        let is_new = !self.is_stopped(name);
        let since = self.all.get(name).map_or(since, |stop| stop.since);
        let stop = ManualStop { since, until_not };
        self.changed |= self.all.get(name) != Some(&stop);
        self.all.insert(name.into(), stop);
        match self.stop_reason_and_remedy(name) {
            Some((why, _)) if !is_new => Err(why),
            _ => Ok(stop_notice(name, "is stopped, as was asked for on the device")),
        }
    }

    /// Lets it run again, and answers what there is to tell, if it was stopped.
    pub(super) fn start(&mut self, name: &str) -> Option<Notice> {
        self.end_stop(name, "as was asked for on the device")
    }

    /// These are asked for now; `all`: and nothing else. Answers what there is to tell.
    pub(super) fn end_obsolete_stops(
        &mut self,
        asked: &BTreeMap<Arc<str>, Arc<Workload>>,
        all: bool,
    ) -> Vec<Notice> {
        let before = self.all.len();
        self.all.retain(|name, _| !all || asked.contains_key(name));
        self.changed |= self.all.len() != before;
        let is_other = |(name, stop): (&Arc<str>, &ManualStop)| {
            let (is, was) = (asked.get(name)?, stop.until_not.as_ref()?);
            (is.id != *was).then(|| name.clone())
        };
        let others: Vec<Arc<str>> = self.all.iter().filter_map(is_other).collect();
        others.iter().filter_map(|name| self.end_stop(name, "another content of it is asked for")).collect()
    }

    fn end_stop(&mut self, name: &str, why: &str) -> Option<Notice> {
        self.all.remove(name)?;
        self.changed = true;
        Some(stop_notice(name, &format!("may run again: {why}")))
    }
}

fn stop_notice(name: &str, what: &str) -> Notice {
    Notice::info(Reason::Commanded, format!("workload '{name}' {what}"))
}
