//! How everything is at a moment, for people, scripts and scrapers: made when it is asked for, kept nowhere.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::agent::{
    clock,
    conditions::Conditions,
    context::Context,
    control_plane::conversation::Conversation,
    deployments::Deployments,
    engines::Engines,
    eviction::Evictions,
    hindered::Hindered,
    model::{
        call::WorkloadStatus,
        gather::gather,
        notice::Problem,
        report::{Device, Listed, Report, Workload},
        time::Now,
    },
    reconcile::Workloads,
    sources::Sources,
};

/// All that can be seen.
pub(in crate::agent) struct Everything<'a> {
    pub(in crate::agent) now: Now,
    pub(in crate::agent) context: &'a Context,
    pub(in crate::agent) engines: &'a Engines,
    pub(in crate::agent) evictions: &'a Evictions,
    pub(in crate::agent) hindered: &'a Hindered,
    pub(in crate::agent) sources: &'a Sources,
    pub(in crate::agent) conditions: &'a Conditions,
    pub(in crate::agent) workloads: &'a Workloads,
    pub(in crate::agent) deployments: &'a Deployments,
    pub(in crate::agent) server: Option<&'a Conversation>,
    pub(in crate::agent) clock_behind: bool,
    /// What is wrong with the configuration.
    pub(in crate::agent) problems: &'a BTreeSet<String>,
    /// What is wrong with the manifests.
    pub(in crate::agent) complaints: &'a [Problem],
}

impl Everything<'_> {
    /// How everything is.
    pub(in crate::agent) fn report(&self) -> Report {
        let now = self.now;
        let said = self.complaints.iter().map(|problem| problem.message.clone());
        let mut problems: Vec<String> = said.chain(self.problems.iter().cloned()).collect();
        problems.extend(self.context.clock_behind(now).map(clock::says));
        problems.extend(self.hindered.shown());
        problems.sort_unstable();
        problems.dedup();
        let device = Device {
            id: self.context.device_id.to_string(),
            healthy: !self.is_degraded(),
            server: self.server.map(|server| server.shown(now)),
            engines: self.engines.shown(),
            shortages: self.evictions.shortages(),
            problems,
            elsewhere: self.sources.elsewhere(),
        };
        let metrics = self.conditions.shown_metrics(now.up);
        let profiles = self.conditions.shown();
        Report { version: env!("CARGO_PKG_VERSION"), device, workloads: self.shown(), profiles, metrics }
    }

    fn shown(&self) -> Vec<Workload> {
        let names: BTreeSet<&Arc<str>> = gather(self.workloads.keys().chain(self.deployments.all_names()));
        let shown = |name: &&Arc<str>| {
            let name: &str = name;
            let wanted = self.workloads.get(name).and_then(|it| it.wanted());
            let wanted = wanted.or_else(|| self.deployments.wanted(name));
            let view = View {
                now: self.now,
                context: self.context,
                engines: self.engines,
                evictions: self.evictions,
                complaints: self.complaints_about(name),
                profiles: wanted.map(|it| self.conditions.listed(&it.profiles)).unwrap_or_default(),
            };
            let mut workload = match self.workloads.get(name).filter(|it| !it.is_over()) {
                Some(tracked) => tracked.shown(&view),
                None => self.deployments.shown(name, &view)?,
            };
            name.clone_into(&mut workload.name);
            workload.source = self.sources.of(name);
            workload.pod = wanted.map(|it| it.id.to_string());
            workload.engine = wanted.map(|it| it.content.engine.to_string());
            workload.profiles = view.profiles;
            Some(workload)
        };
        names.iter().filter_map(shown).collect()
    }

    /// What is wrong with what a source says of this workload.
    fn complaints_about(&self, name: &str) -> Vec<&str> {
        let about = |problem: &&Problem| problem.workload.as_deref() == Some(name);
        let served = self.server.into_iter().flat_map(|server| server.problems());
        self.complaints.iter().chain(served).filter(about).map(|problem| &*problem.message).collect()
    }

    /// In the server's sense.
    pub(in crate::agent) fn is_degraded(&self) -> bool {
        let pods = self.workloads.values().map(|it| it.status());
        pods.chain(self.deployments.statuses()).any(|status| status == WorkloadStatus::Crashed)
            || self.context.fallbacks.values().any(|it| it.failed.is_some())
            || self.sources.is_any_unreadable()
            || self.engines.missing().next().is_some()
            || self.server.is_some_and(Conversation::is_stuck)
            || self.context.short
            || self.clock_behind
            || !self.hindered.is_empty()
    }
}

/// What a workload sees of the rest while it is looked at.
pub(in crate::agent) struct View<'a> {
    pub(in crate::agent) now: Now,
    pub(in crate::agent) context: &'a Context,
    pub(in crate::agent) engines: &'a Engines,
    pub(in crate::agent) evictions: &'a Evictions,
    /// What is wrong with what is asked for.
    pub(in crate::agent) complaints: Vec<&'a str>,
    pub(in crate::agent) profiles: Vec<Listed>,
}

impl View<'_> {
    /// Of a workload that is wanted, and perhaps not as it is written.
    pub(in crate::agent) fn notes(&self) -> Vec<String> {
        let note = |complaint: &&str| format!("not all that is asked for counts: {complaint}");
        self.complaints.iter().map(note).collect()
    }

    /// Whole seconds until then, counted up; none when it is over.
    pub(in crate::agent) fn until(&self, at: Duration) -> Option<u64> {
        at.checked_sub(self.now.up).map(|left| left.as_secs_f64().ceil() as u64)
    }

    /// Why the profiles don't hold, and what a person can do about it; none: they do.
    pub(in crate::agent) fn closed(&self) -> Option<(String, String)> {
        let Listed { name, conditions, .. } = self.profiles.iter().find(|profile| !profile.holds)?;
        let (undefined, false_ones): (Vec<_>, Vec<_>) = conditions.iter().partition(|it| !it.is_defined);
        let whys: Vec<String> =
            false_ones.iter().map(|it| format!("{} is false: {}", it.name, it.why)).collect();
        if whys.is_empty() {
            let missing: Vec<&str> = undefined.iter().map(|it| &*it.name).collect();
            let missing = missing.join("' or '");
            return Some((
                format!("the device defines no condition '{missing}' in a profile '{name}'"),
                format!("define it for this device, or take the profile '{name}' out of the workload"),
            ));
        }
        Some((
            format!("profile '{name}' doesn't hold: {}", whys.join("; ")),
            "it starts by itself when one of these is true; post the metrics that they need".to_owned(),
        ))
    }
}
