//! How workloads are on the devices, and whether devices can run them: the status of each EdgeWorkload. And who says
//! nothing any more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    beat::{is_failing, is_running, seen_every},
    caches::Caches,
    condition, devices, is_conflict, is_missing,
    judge::{Verdict, judge},
    known::Known,
    plans::Plans,
    resources::{EdgeWorkload, EdgeWorkloadStatus},
    rollout::{self, Place, Progress},
};
use crate::{configuration, journal::Journal};

/// Changes of this time are counted together.
const PAUSE: Duration = Duration::from_secs(1);
/// Until what failed is tried again, and who falls silent is noticed.
const ROUND: Duration = Duration::from_secs(15);
/// So many heartbeats may be missing.
const MISSED: i32 = 3;

/// Counts.
pub(crate) struct Counts {
    client: Client,
    caches: Arc<Caches>,
    plans: Arc<Plans>,
    journal: Arc<Journal>,
    /// Seconds between heartbeats where nothing else is said.
    period: i64,
    /// What was judged, of which revision of all.
    judged: HashMap<(String, String), (u64, Verdict)>,
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

impl Counts {
    pub(crate) fn new(
        client: Client,
        caches: Arc<Caches>,
        plans: Arc<Plans>,
        journal: Arc<Journal>,
        period: i64,
    ) -> Self {
        Self { client, caches, plans, journal, period, judged: HashMap::new() }
    }

    /// After changes, for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let counted = self.count();
            for ((namespace, name), workload) in self.caches.workloads.all() {
                let count = counted.get(&(namespace.clone(), name.clone()));
                if let Err(error) = self.report((&namespace, &name), &workload, count).await {
                    self.journal.say(&format!("EdgeWorkload '{name}': {error:#}"));
                }
            }
            for (_, known) in self.caches.devices.all() {
                if let Err(error) = self.notice_silence(&known).await {
                    self.journal.say(&format!("{}: {error:#}", known.name));
                }
            }
            sleep(PAUSE).await;
            // Whether an update is ready is a matter of time.
            let is_underway = |workload: &Value| workload["status"]["rollout"]["phase"] == "Progressing";
            let round = match self.caches.workloads.all().iter().any(|(_, workload)| is_underway(workload)) {
                true => PAUSE,
                false => ROUND,
            };
            tokio::select! {
                () = self.caches.anything.notified() => {}
                () = sleep(round) => {}
            }
        }
    }

    fn count(&self) -> HashMap<(String, String), Count> {
        let mut counts: HashMap<(String, String), Count> = HashMap::new();
        let now = Timestamp::now();
        for (_, known) in self.caches.devices.all() {
            if known.deleted.is_some() {
                continue;
            }
            let plan = self.plans.of(&self.caches, &known).ok();
            let applied = known.status.last_synced_resource_version.as_ref();
            let is_updated = plan.is_some_and(|plan| applied == Some(&plan.version));
            let view = self.caches.view(&known.namespace);
            let said = known.status.workloads.as_deref().unwrap_or_default();
            for workload in configuration::choose(&view, &known.name, &known.labels) {
                let name = workload["metadata"]["name"].as_str().unwrap_or_default();
                let count = counts.entry((known.namespace.clone(), name.to_owned())).or_default();
                let state = said.iter().find(|state| state.name == name);
                count.desired += 1;
                count.running += i64::from(state.is_some_and(is_running));
                count.failing += i64::from(state.is_some_and(is_failing));
                count.updated += i64::from(is_updated);
                if !workload["spec"]["rollout"].is_null() {
                    let given = rollout::assigned(&workload, &known).map(|(_, revision)| revision);
                    let how = (state, given, is_updated);
                    let (place, progress) = rollout::progress(&workload, &known, how, now);
                    count.progress.insert(place, progress);
                }
            }
        }
        counts
    }

    async fn report(
        &mut self,
        (namespace, name): (&str, &str),
        workload: &Arc<Value>,
        count: Option<&Count>,
    ) -> Result<()> {
        let revision = self.caches.revision.load(Relaxed);
        let key = (namespace.to_owned(), name.to_owned());
        let verdict = match self.judged.get(&key) {
            Some((of, verdict)) if *of == revision => verdict.clone(),
            _ => {
                let verdict = judge(workload, &self.caches.view(namespace));
                self.judged.insert(key, (revision, verdict.clone()));
                verdict
            }
        };
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
            return Ok(());
        }
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
            Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
            patched => patched.map(drop).context("failed to write its status"),
        }
    }

    fn say_rollout(&self, name: &str, status: &EdgeWorkloadStatus) {
        if let Some(rollout) = &status.rollout {
            let message = rollout.message.as_deref().unwrap_or_default();
            self.journal.say(&format!("EdgeWorkload '{name}': rollout {} {message}", rollout.phase));
        }
    }

    /// A device of which nothing was heard for long enough is `Silent`.
    async fn notice_silence(&self, known: &Known) -> Result<()> {
        let Some(seen) = known.status.last_seen_time.as_ref().map(|time| time.0) else { return Ok(()) };
        let is_heard = matches!(known.status.phase.as_deref(), Some("Up" | "Degraded"));
        let period = known.spec["heartbeat"]["periodSeconds"].as_i64().unwrap_or(self.period);
        let noted = SignedDuration::try_from(seen_every(self.caches.devices.len())).unwrap_or_default();
        let patience = noted + SignedDuration::from_secs(period) * MISSED;
        if !is_heard || Timestamp::now().duration_since(seen) < patience {
            return Ok(());
        }
        let before = &known.status.conditions;
        let mut conditions: Vec<_> = before.iter().filter(|it| it.type_ != "Connected").cloned().collect();
        let message = format!("nothing was heard of it since {seen}");
        conditions.push(condition(before, "Connected", false, ("Silent", &message), None));
        let patch = Patch::Merge(json!({"status": {"phase": "Silent", "conditions": conditions}}));
        let api = devices(&self.client, &known.namespace);
        self.caches.wrote();
        match api.patch_status(&known.name, &PatchParams::default(), &patch).await {
            Err(error) if is_missing(&error) => Ok(()),
            patched => patched.map(drop).context("failed to write its status"),
        }
    }
}
