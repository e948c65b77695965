//! How workloads are on the devices, and whether devices can run them: the status of each EdgeWorkload. And who says
//! nothing any more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Condition,
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    beat::{is_failing, is_running, seen_every},
    caches::Caches,
    condition, devices, given, is_conflict, is_missing,
    judge::{Verdict, judge},
    known::Known,
    lease::Election,
    place::Place,
    plans::{Plan, Plans},
    resources::{EdgeWorkload, EdgeWorkloadStatus, WorkloadState},
    rollout::{self, Progress},
};
use crate::{configuration, journal::Journal};

/// Changes of this time are counted together.
const PAUSE: Duration = Duration::from_secs(1);
/// … and of so many times what counting takes: it must not eat a share of a core that grows with the fleet.
const THRIFT: u32 = 40;
/// While a change goes through a fleet all counts change all the time: that they did is written so often, at most.
const BETWEEN_WRITES: Duration = Duration::from_millis(500);
/// Until what failed is tried again, and who falls silent is noticed.
const ROUND: Duration = Duration::from_secs(15);
/// The condition of a device that says whether what is meant for it can be sent.
const CONFIGURED: &str = "Configured";
/// So many heartbeats may be missing.
const MISSED: i32 = 3;

/// Counts.
pub(crate) struct Counts {
    client: Client,
    election: Arc<Election>,
    caches: Arc<Caches>,
    plans: Arc<Plans>,
    journal: Arc<Journal>,
    /// What was judged, of which revision of all.
    judged: HashMap<(String, String), (u64, Verdict)>,
    /// When each status was written, and how long it stays if only the counts are others.
    written: HashMap<(String, String), Instant>,
    pace: Duration,
}

/// What of a workload is on how many devices.
#[derive(Default)]
struct Count {
    desired: i64,
    running: i64,
    failing: i64,
    updated: i64,
    /// Of those with a rollout.
    progress: BTreeMap<Place, Progress>,
}

impl Count {
    /// One more device that should have it.
    fn add(&mut self, state: Option<&WorkloadState>, is_updated: bool) {
        self.desired += 1;
        self.running += i64::from(state.is_some_and(is_running));
        self.failing += i64::from(state.is_some_and(is_failing));
        self.updated += i64::from(is_updated);
    }
}

/// The counts that were written.
fn count_of(status: &EdgeWorkloadStatus) -> Count {
    let EdgeWorkloadStatus { desired, running, failing, updated, .. } = *status;
    Count { desired, running, failing, updated, ..Count::default() }
}

/// What the device says of a workload.
fn state<'a>(known: &'a Known, name: &str) -> Option<&'a WorkloadState> {
    // sorted by `beat`
    let said = known.status.workloads.as_deref().unwrap_or_default();
    said.binary_search_by(|state| state.name.as_str().cmp(name)).ok().map(|at| &said[at])
}

fn has_applied(known: &Known, plan: &Plan) -> bool {
    known.status.last_synced_resource_version.as_ref() == Some(&plan.version)
}

impl Counts {
    pub(crate) fn new(
        (client, election): (Client, Arc<Election>),
        caches: Arc<Caches>,
        plans: Arc<Plans>,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            client,
            election,
            caches,
            plans,
            journal,
            judged: HashMap::new(),
            written: HashMap::new(),
            pace: PAUSE,
        }
    }

    /// After changes, for ever; while this replica is the one.
    pub(crate) async fn run(mut self) {
        loop {
            self.election.win().await;
            let (cost, is_behind) = self.round().await;
            sleep(PAUSE.max(cost * THRIFT)).await;
            // Whether an update is ready is a matter of time.
            let is_underway = |workload: &Value| workload["status"]["rollout"]["phase"] == "Progressing";
            let is_soon = is_behind || self.caches.workloads.all().iter().any(|(_, it)| is_underway(it));
            tokio::select! {
                () = self.caches.anything.notified() => {}
                () = sleep(if is_soon { PAUSE } else { ROUND }) => {}
            }
        }
    }

    /// Counts and writes; says what counting cost, and whether something is still to be written.
    async fn round(&mut self) -> (Duration, bool) {
        let began = Instant::now();
        let counted = self.count();
        let cost = began.elapsed();
        let workloads = self.caches.workloads.all();
        self.pace = BETWEEN_WRITES * u32::try_from(workloads.len()).unwrap_or(u32::MAX);
        let mut is_behind = false;
        for ((namespace, name), workload) in &workloads {
            let count = counted.get(&(namespace.clone(), name.clone()));
            match self.report((namespace, name), workload, count).await {
                Ok(is_done) => is_behind |= !is_done,
                Err(error) => self.journal.say(&format!("EdgeWorkload '{name}': {error:#}")),
            }
        }
        let devices = self.caches.devices.objects();
        let noted = SignedDuration::try_from(seen_every(devices.len())).unwrap_or_default();
        for known in devices {
            if let Err(error) = self.look_at(&known, noted).await {
                self.journal.say(&format!("{}: {error:#}", known.name));
            }
        }
        (cost, is_behind)
    }

    fn count(&self) -> HashMap<(String, String), Count> {
        // Devices with the same plan are counted together.
        let mut groups: HashMap<*const Plan, (String, Arc<Plan>, Vec<Count>)> = HashMap::new();
        let mut counts: HashMap<(String, String), Count> = HashMap::new();
        for known in self.caches.devices.objects() {
            if known.deleted.is_some() {
                continue;
            }
            match self.plans.of(&self.caches, &known) {
                Ok(plan) => {
                    let fresh = || {
                        let none = plan.names.iter().map(|_| Count::default()).collect();
                        (known.namespace.clone(), Arc::clone(&plan), none)
                    };
                    let (_, _, group) = groups.entry(Arc::as_ptr(&plan)).or_insert_with(fresh);
                    let is_updated = has_applied(&known, &plan);
                    for (name, count) in plan.names.iter().zip(group) {
                        count.add(state(&known, name), is_updated);
                    }
                }
                // Something is missing for it: it has what it had.
                Err(_) => {
                    let view = self.caches.view(&known.namespace);
                    for workload in configuration::choose(&view, &known.name, &known.labels) {
                        let name = workload["metadata"]["name"].as_str().unwrap_or_default();
                        let key = (known.namespace.clone(), name.to_owned());
                        counts.entry(key).or_default().add(state(&known, name), false);
                    }
                }
            }
        }
        for (namespace, plan, group) in groups.into_values() {
            for (name, one) in plan.names.iter().zip(group) {
                let all = counts.entry((namespace.clone(), name.clone())).or_default();
                all.desired += one.desired;
                all.running += one.running;
                all.failing += one.failing;
                all.updated += one.updated;
            }
        }
        self.add_progress(&mut counts);
        counts
    }

    /// How far each device is, for workloads with a rollout.
    fn add_progress(&self, counts: &mut HashMap<(String, String), Count>) {
        let now = Timestamp::now();
        for ((namespace, name), workload) in self.caches.workloads.all() {
            if workload["spec"]["rollout"].is_null() {
                continue;
            }
            let count = counts.entry((namespace.clone(), name.clone())).or_default();
            for known in self.caches.devices.of(&namespace) {
                let is_for = configuration::is_for(&workload["spec"], &known.name, &known.labels);
                if known.deleted.is_some() || !is_for {
                    continue;
                }
                let plan = self.plans.of(&self.caches, &known).ok();
                let is_updated = plan.is_some_and(|plan| has_applied(&known, &plan));
                let given = given::assigned(&workload, &known).map(|(_, revision)| revision);
                let how = (state(&known, &name), given, is_updated);
                let (place, progress) = rollout::progress(&workload, &known, how, now);
                count.progress.insert(place, progress);
            }
        }
    }

    /// Writes what is new; says whether there is nothing left to write.
    async fn report(
        &mut self,
        (namespace, name): (&str, &str),
        workload: &Arc<Value>,
        count: Option<&Count>,
    ) -> Result<bool> {
        let key = (namespace.to_owned(), name.to_owned());
        let verdict = self.verdict(&key, workload);
        let before: EdgeWorkloadStatus =
            serde_json::from_value(workload["status"].clone()).unwrap_or_default();
        let generation = workload["metadata"]["generation"].as_i64();
        let Verdict { is_accepted, reason, message } = &verdict;
        let accepted = condition(&before.conditions, "Accepted", *is_accepted, (reason, message), generation);
        let none = Count::default();
        let Count { desired, running, failing, updated, progress } = count.unwrap_or(&none);
        let rollout = rollout::advance(workload, progress);
        let status = EdgeWorkloadStatus {
            observed_generation: generation,
            conditions: vec![accepted],
            desired: *desired,
            running: *running,
            failing: *failing,
            updated: *updated,
            rollout,
        };
        if status == before && !workload["status"].is_null() {
            return Ok(true);
        }
        let Count { desired, running, failing, updated, .. } = count_of(&before);
        let but_for_counts = EdgeWorkloadStatus { desired, running, failing, updated, ..status.clone() };
        if but_for_counts == before && self.written.get(&key).is_some_and(|at| at.elapsed() < self.pace) {
            return Ok(false);
        }
        self.written.insert(key, Instant::now());
        if status.rollout != before.rollout {
            self.say_rollout(name, &status);
        }
        // As a whole, and of two replicas that see different things only one.
        let object = json!({
            "apiVersion": "management.project-flotta.io/v1alpha1",
            "kind": "EdgeWorkload",
            "metadata": {
                "name": name, "namespace": namespace, "resourceVersion": workload["metadata"]["resourceVersion"],
            },
            "status": status,
        });
        let resource = ApiResource::erase::<EdgeWorkload>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let object: DynamicObject = serde_json::from_value(object)?;
        self.caches.wrote();
        match api.replace_status(name, &PostParams::default(), &object).await {
            Err(error) if is_missing(&error) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            patched => patched.map(|_| true).context("failed to write its status"),
        }
    }

    /// Whether devices can run it: judged again when anything changed.
    fn verdict(&mut self, key: &(String, String), workload: &Arc<Value>) -> Verdict {
        let revision = self.caches.revision.load(Relaxed);
        match self.judged.get(key) {
            Some((of, verdict)) if *of == revision => verdict.clone(),
            _ => {
                let verdict = judge(workload, &self.caches.view(&key.0));
                self.judged.insert(key.clone(), (revision, verdict.clone()));
                verdict
            }
        }
    }

    fn say_rollout(&self, name: &str, status: &EdgeWorkloadStatus) {
        if let Some(rollout) = &status.rollout {
            let message = rollout.message.as_deref().unwrap_or_default();
            self.journal.say(&format!("EdgeWorkload '{name}': rollout {} {message}", rollout.phase));
        }
    }

    /// What is known of a device only from here: that it is `Silent`, as nothing was heard of it for long enough, and
    /// whether what is meant for it can be sent.
    async fn look_at(&self, known: &Arc<Known>, noted: SignedDuration) -> Result<()> {
        let plan = self.plans.of(&self.caches, known);
        let before = &known.status.conditions;
        let mut conditions = before.clone();
        let mut put = |new: Condition| {
            conditions.retain(|it| it.type_ != new.type_);
            conditions.push(new);
        };
        let was_short = before.iter().any(|it| it.type_ == CONFIGURED && it.status == "False");
        match &plan {
            Err(error) => put(condition(before, CONFIGURED, false, ("Missing", error), None)),
            Ok(_) if was_short => {
                put(condition(
                    before,
                    CONFIGURED,
                    true,
                    ("Complete", "all that is meant for it can be sent"),
                    None,
                ));
            }
            Ok(_) => {}
        }
        let period = || self.plans.period(&self.caches, known);
        let silence = silence(known, period, noted, Timestamp::now());
        if let Some(message) = &silence {
            put(condition(before, "Connected", false, ("Silent", message), None));
        }
        if conditions == *before {
            return Ok(());
        }
        let mut status = json!({"conditions": conditions});
        if silence.is_some() {
            status["phase"] = "Silent".into();
        }
        let patch = Patch::Merge(json!({"status": status}));
        let api = devices(&self.client, &known.namespace);
        self.caches.wrote();
        match api.patch_status(&known.name, &PatchParams::default(), &patch).await {
            Err(error) if is_missing(&error) => Ok(()),
            patched => patched.map(drop).context("failed to write its status"),
        }
    }
}

/// Since when nothing was heard of a device, if that is too long: three periods, its own or its set's.
fn silence(
    known: &Known,
    period: impl FnOnce() -> i64,
    noted: SignedDuration,
    now: Timestamp,
) -> Option<String> {
    let seen = known.status.last_seen_time.as_ref()?.0;
    let is_heard = matches!(known.status.phase.as_deref(), Some("Up" | "Degraded"));
    // (its period is looked up only when it counts: there may be many)
    let age = now.duration_since(seen);
    let is_silent = is_heard && age >= noted && age >= noted + SignedDuration::from_secs(period()) * MISSED;
    is_silent.then(|| format!("nothing was heard of it since {seen}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_silent_after_three_periods_of_its_own_or_of_its_set() {
        let device = |set: &str, period: Value| {
            let object = json!({
                "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
                "metadata": {"name": "one", "namespace": "n", "labels": {"flotta/member-of": set}},
                "spec": {"heartbeat": {"periodSeconds": period}},
                "status": {"phase": "Up", "lastSeenTime": "2026-01-01T00:00:00Z"},
            });
            Known::of(serde_json::from_value(object).unwrap())
        };
        let (caches, plans) = (Caches::default(), Plans::new(60));
        for (name, spec) in [("slow", json!({"heartbeat": {"periodSeconds": 600}})), ("plain", json!({}))] {
            caches.sets.put(("n".into(), name.into()), json!({"spec": spec}));
        }
        let noted = SignedDuration::from_secs(30);
        for (set, own, period) in [
            ("none", Value::Null, 60),
            ("none", json!(10), 10),
            ("plain", json!(10), 10),
            ("slow", json!(10), 600),
            ("none", json!(0), 60),
        ] {
            let known = device(set, own);
            let silent_after = |seconds| {
                let now = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
                let now = now + SignedDuration::from_secs(seconds);
                silence(&known, || plans.period(&caches, &known), noted, now).is_some()
            };
            assert_eq!(
                [silent_after(29 + 3 * period), silent_after(30 + 3 * period)],
                [false, true],
                "{set} {period}"
            );
        }
    }
}
