//! How everything is at a moment, for people, scripts and scrapers: made when it is asked for, kept nowhere.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::agent::{
    conditions::{Conditions, built_in_metrics},
    context::Context,
    control_plane::conversation::Conversation,
    dependencies::AllWorkloads,
    deployments::Deployments,
    engines::Engines,
    eviction::Evictions,
    failed_subsystems::FailedSubsystems,
    model::{
        call::ServerWorkloadStatus,
        gather::gather,
        notice::Problem,
        report::{self, Device, ListedProfileReport, Report, WorkloadState},
        time::{Now, format_timestamp},
        workload::{Engine, Workload},
    },
    profiles::{self, WorkloadProfiles},
    reconcile::Workloads,
    sources::Sources,
    update_gate::UpdateGate,
    view::text::format_duration,
    wrong_clock,
};

/// All that can be seen.
pub(in crate::agent) struct ReportInputs<'a> {
    pub(in crate::agent) now: Now,
    pub(in crate::agent) context: &'a Context,
    pub(in crate::agent) engines: &'a Engines,
    pub(in crate::agent) evictions: &'a Evictions,
    pub(in crate::agent) failed_subsystems: &'a FailedSubsystems,
    pub(in crate::agent) sources: &'a Sources,
    pub(in crate::agent) conditions: &'a Conditions,
    pub(in crate::agent) profiles: &'a WorkloadProfiles,
    pub(in crate::agent) workloads: &'a Workloads,
    pub(in crate::agent) deployments: &'a Deployments,
    pub(in crate::agent) server: Option<&'a Conversation>,
    pub(in crate::agent) clock_behind: bool,
    /// What is wrong with the configuration.
    pub(in crate::agent) problems: &'a BTreeSet<String>,
    /// What is wrong with the manifests.
    pub(in crate::agent) manifest_problems: &'a [Problem],
}

impl ReportInputs<'_> {
    /// How everything is.
    pub(in crate::agent) fn report(&self) -> Report {
        let now = self.now;
        let said = self.manifest_problems.iter().map(|problem| problem.message.clone());
        let mut problems: Vec<String> = said.chain(self.problems.iter().cloned()).collect();
        problems.extend(self.context.clock_lag(now).map(wrong_clock::clock_lag_message));
        problems.extend(self.failed_subsystems.failure_messages());
        problems.sort_unstable();
        problems.dedup();
        let device = Device {
            id: self.context.device_id.to_string(),
            healthy: !self.is_degraded(),
            server: self.server.map(|server| server.link_report(now)),
            engines: self.engines.engine_states(),
            shortages: self.evictions.shortages(),
            problems,
            elsewhere: self.sources.foreign_workloads(),
        };
        let metrics = self.conditions.metric_reports(now.up);
        let profiles = self.conditions.profile_reports(now.up);
        Report {
            version: env!("CARGO_PKG_VERSION"),
            device,
            workloads: self.workload_reports(),
            profiles,
            metrics,
        }
    }

    fn workload_reports(&self) -> Vec<report::Workload> {
        let names: BTreeSet<&Arc<str>> = gather(self.workloads.keys().chain(self.deployments.all_names()));
        let shown = |name: &&Arc<str>| {
            let name: &str = name;
            let wanted = self.workloads.get(name).and_then(|it| it.wanted_workload());
            let wanted = wanted.or_else(|| self.deployments.wanted_workload(name));
            let view = WorkloadContext {
                now: self.now,
                context: self.context,
                engines: self.engines,
                evictions: self.evictions,
                manifest_problems: self.problems_about(name),
                profiles: wanted
                    .map(|it| self.conditions.listed_profile_reports(&it.profiles, self.now.up))
                    .unwrap_or_default(),
                update_gate: self.profiles.update_gate(name),
                conditions: self.conditions,
                unready_dependency: wanted.and_then(|it| self.unready_dependency(it)),
            };
            let mut workload = match self.workloads.get(name).filter(|it| !it.is_forgettable()) {
                Some(tracked) => tracked.workload_report(&view),
                None => self.deployments.workload_report(name, &view)?,
            };
            name.clone_into(&mut workload.name);
            workload.source = self.sources.who_asks_for(name);
            workload.pod = wanted.map(|it| it.id.to_string());
            workload.engine = wanted.map(|it| it.content.engine.to_string());
            workload.profiles = view.profiles;
            let is_listed = self.engines.is_ready(Engine::Kubernetes);
            workload.metrics = self.all_workloads().workload_metrics(name, self.context.partial, is_listed);
            let (utc, seconds) = (self.now.utc, Duration::from_secs);
            let since = workload.since.and_then(|since| utc.checked_sub(seconds(since)));
            workload.since_time = since.map(format_timestamp);
            workload.next_time =
                workload.next.and_then(|next| utc.checked_add(seconds(next))).map(format_timestamp);
            Some(workload)
        };
        names.iter().filter_map(shown).collect()
    }

    fn all_workloads(&self) -> AllWorkloads<'_> {
        AllWorkloads { workloads: self.workloads, deployments: self.deployments }
    }

    /// The first that the workload depends on and that isn't ready.
    fn unready_dependency(&self, wanted: &Workload) -> Option<(String, String)> {
        let others = self.all_workloads();
        let name = wanted.depends_on.iter().find(|name| !others.is_ready(name))?;
        let (state, since) = match (self.workloads.get(&**name), self.deployments.all.get(&**name)) {
            (Some(it), _) => match it.state() {
                WorkloadState::Running => ("running and not ready", Some(it.state.1)),
                state => (state.state_name(), Some(it.state.1)),
            },
            (None, Some(it)) => ("not available", it.status_since),
            (None, None) => {
                let why = format!("it waits for '{name}', which nothing on this device asks for");
                return Some((why, format!("deploy '{name}', or take it out of dependsOn")));
            }
        };
        let since =
            since.map(|at| format_duration(self.now.up.saturating_sub(at).as_secs())).unwrap_or_default();
        let why = format!("it waits for '{name}', which is {state} since {since}");
        Some((why, format!("it starts by itself when that is ready; see 'device-worker-ng explain {name}'")))
    }

    /// What is wrong with what a source says of this workload.
    fn problems_about(&self, name: &str) -> Vec<&str> {
        let about = |problem: &&Problem| problem.workload.as_deref() == Some(name);
        let served = self.server.into_iter().flat_map(|server| server.problems());
        let told = self.manifest_problems.iter().chain(served).filter(about).map(|problem| &*problem.message);
        let own = ["workload '", name, "' "].concat();
        let circles = self.problems.iter().filter_map(|it| it.strip_prefix(&own));
        told.chain(circles.filter(|it| it.starts_with("depends on itself"))).collect()
    }

    /// In the server's sense.
    pub(in crate::agent) fn is_degraded(&self) -> bool {
        let pods = self.workloads.values().map(|it| it.server_status());
        pods.chain(self.deployments.server_statuses()).any(|status| status == ServerWorkloadStatus::Crashed)
            || self.context.fallbacks.values().any(|it| it.failed.as_ref().is_some_and(|it| !it.by_hand))
            || self.sources.is_any_unreadable()
            || self.engines.missing().next().is_some()
            || self.server.is_some_and(Conversation::needs_a_person)
            || self.context.short
            || self.clock_behind
            || !self.failed_subsystems.is_empty()
    }
}

impl Report {
    /// What conditions would know by this name, which none of them has: `workload.mqtt.ready`.
    pub fn built_in_metric(&self, name: &str) -> Option<f64> {
        let (name, fact) = built_in_metrics::parse_workload_metric(name)?;
        self.workloads.iter().find(|it| it.name == name)?.metrics[fact].filter(|value| !value.is_nan())
    }
}

/// What a workload sees of the rest while it is looked at.
pub(in crate::agent) struct WorkloadContext<'a> {
    pub(in crate::agent) now: Now,
    pub(in crate::agent) context: &'a Context,
    pub(in crate::agent) engines: &'a Engines,
    pub(in crate::agent) evictions: &'a Evictions,
    /// What is wrong with what is asked for.
    pub(in crate::agent) manifest_problems: Vec<&'a str>,
    pub(in crate::agent) profiles: Vec<ListedProfileReport>,
    /// What its update may wait for.
    pub(in crate::agent) update_gate: Option<&'a UpdateGate>,
    pub(in crate::agent) conditions: &'a Conditions,
    /// What it depends on and isn't ready, and what a person can do about it.
    pub(in crate::agent) unready_dependency: Option<(String, String)>,
}

impl WorkloadContext<'_> {
    /// Of a workload that is wanted, and perhaps not as it is written.
    pub(in crate::agent) fn complaint_notes(&self) -> Vec<String> {
        let note = |complaint: &&str| format!("not all that is asked for counts: {complaint}");
        self.manifest_problems.iter().map(note).collect()
    }

    /// Whole seconds until then, counted up; none when it is over.
    pub(in crate::agent) fn seconds_until(&self, at: Duration) -> Option<u64> {
        at.checked_sub(self.now.up).map(|left| left.as_secs_f64().ceil() as u64)
    }

    /// Why the profiles don't hold, and what a person can do about it; none: they do.
    pub(in crate::agent) fn unmet_profile(&self) -> Option<(String, String)> {
        profiles::unmet_profile(&self.profiles)
    }
}
