//! What runs to its end: `Job`, and `CronJob` for each slot.

#![allow(unreachable_pub)] // what the macros make is public

use serde_json::Value;

use super::{
    pods::PodDescription,
    types::{Object, PodTemplate},
};
use crate::{
    agent::model::{schedule::Cron, workload::RestartPolicy},
    wire::{
        manifest::agent_part,
        podspec::{
            container::RestartPolicy as Written,
            reader::{FindingClass, Read, ReadContext},
            types::{mapping, words},
            values::{BoundedInt, Count},
        },
    },
};

/// How often Kubernetes tries again where its author says nothing.
const DEFAULT_BACKOFF_LIMIT: u32 = 6;
const RESTART_POLICY_ERROR: &str = "must be `Never` or `OnFailure`: a Job comes to an end";

mapping! {
    /// `batch/v1` `Job`
    JobSpec {
        active_deadline_seconds: Option<BoundedInt<1, 2_147_483_647>>,
        backoff_limit: Option<Count>,
        completion_mode: CompletionMode,
        completions: Option<Count>,
        parallelism: Option<Count>,
        suspend: bool,
        template: PodTemplate,
    }
}

words! {
    /// Whether the pods of a job have numbers.
    CompletionMode { NonIndexed, Indexed, }
}

mapping! {
    /// The jobs of a schedule.
    JobTemplate {
        spec: JobSpec,
    }
}

mapping! {
    /// `batch/v1` `CronJob`
    CronJobSpec {
        concurrency_policy: Option<ConcurrencyPolicy>,
        job_template: JobTemplate,
        schedule: String,
        suspend: bool,
    }
}

words! {
    /// What becomes of a slot while a run goes on.
    ConcurrencyPolicy { Allow, Forbid, Replace, }
}

/// `batch/v1` `Job`
pub(super) fn job(document: &Value, notes: &mut ReadContext) -> PodDescription {
    let Object { metadata, spec } = Object::<JobSpec>::read(document, notes);
    let is_off = spec.suspend;
    notes.at_child("spec", |notes| {
        check(&spec, notes);
        if is_off {
            notes.add_at("suspend", FindingClass::Meaningless, "nothing of it runs until this is `false`");
        }
    });
    let described = describe_run(spec, &["spec", "template", "spec"]);
    PodDescription { kind: "Job", metadata, is_off, ..described }
}

/// `batch/v1` `CronJob`
pub(super) fn cron_job(document: &Value, notes: &mut ReadContext) -> PodDescription {
    let Object { metadata, spec } = Object::<CronJobSpec>::read(document, notes);
    let job = spec.job_template.spec;
    let (is_off, mut cron) = (spec.suspend, None);
    notes.at_child("spec", |notes| {
        if is_off {
            notes.add_at("suspend", FindingClass::Meaningless, "nothing of it runs until this is `false`");
        }
        match spec.concurrency_policy {
            Some(ConcurrencyPolicy::Replace) => {
                let message =
                    "`Replace` can't be obeyed here: no slot is taken while a run goes on (`Forbid`)";
                notes.add_at("concurrencyPolicy", FindingClass::Refused, message);
            }
            Some(ConcurrencyPolicy::Allow) => {
                let message = "`Allow` has no effect: no slot is taken while a run goes on (`Forbid`)";
                notes.add_at("concurrencyPolicy", FindingClass::Ignored, message);
            }
            Some(ConcurrencyPolicy::Forbid) | None => {}
        }
        notes.at_child("schedule", |notes| cron = parse_schedule(&spec.schedule, notes));
        notes.at_path(["jobTemplate".into(), "spec".into()], |notes| check(&job, notes));
        if job.suspend {
            notes.at_path(["jobTemplate".into(), "spec".into()], |notes| {
                let message = "can't be obeyed here: `spec.suspend` holds all runs back";
                notes.add_at("suspend", FindingClass::Refused, message);
            });
        }
    });
    let at = &["spec", "jobTemplate", "spec", "template", "spec"];
    PodDescription { kind: "CronJob", metadata, is_off, cron, ..describe_run(job, at) }
}

/// The five fields, perhaps by one of the words that Kubernetes knows for them.
fn parse_schedule(text: &str, notes: &mut ReadContext) -> Option<Cron> {
    let fields = match text {
        "" => return None, // it is missing, and that is said
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") => {
            let message = "must have no time zone: slots are by the device's local time";
            notes.add(FindingClass::Refused, message);
            return None;
        }
        _ => text,
    };
    match Cron::parse(fields) {
        Ok(cron) => Some(cron),
        Err(why) => {
            notes.add(FindingClass::Value, why.to_string());
            None
        }
    }
}

/// One run of it, without a name and a kind.
fn describe_run(job: JobSpec, at: &'static [&'static str]) -> PodDescription {
    let PodTemplate { metadata, spec } = job.template;
    let own =
        PodDescription::new("", Default::default(), metadata.labels.0, metadata.annotations.0, spec.0, at);
    let seconds = job.active_deadline_seconds.and_then(|limit| u64::try_from(limit.0).ok());
    let deadline = seconds.map(std::time::Duration::from_secs).into_iter().chain(own.deadline).min();
    let retries = job.backoff_limit.map_or(Some(DEFAULT_BACKOFF_LIMIT), |limit| u32::try_from(limit.0).ok());
    PodDescription { deadline, retries, ..own }
}

/// What the shape alone doesn't say.
fn check(job: &JobSpec, notes: &mut ReadContext) {
    for (key, count) in [("completions", job.completions), ("parallelism", job.parallelism)] {
        if let Some(count) = count.map(|it| it.0).filter(|count| *count != 1) {
            let message = format!("a device runs one pod of it, not {count}: write 1");
            notes.add_at(key, FindingClass::Refused, message);
        }
    }
    if job.completion_mode == CompletionMode::Indexed {
        notes.add_at(
            "completionMode",
            FindingClass::Refused,
            "`Indexed` can't be obeyed here: a device runs one pod of it",
        );
    }
    let spec = &job.template.spec.0;
    if agent_part::to_restart_policy(spec) == RestartPolicy::Always && !spec.containers.is_empty() {
        notes.at_path(["template".into(), "spec".into()], |notes| {
            notes.add_at("restartPolicy", FindingClass::Value, RESTART_POLICY_ERROR);
        });
    }
    for (index, container) in spec.containers.iter().enumerate() {
        if container.restart_policy == Some(Written::Always) {
            notes.at_path(["template".into(), "spec".into(), "containers".into(), index.into()], |notes| {
                notes.add_at("restartPolicy", FindingClass::Value, RESTART_POLICY_ERROR);
            });
        }
    }
}
