//! What runs to its end: `Job`, and `CronJob` for each slot.

#![allow(unreachable_pub)] // what the macros make is public

use serde_json::Value;

use super::{
    pods::Described,
    types::{Object, PodTemplate},
};
use crate::{
    agent::model::{schedule::Cron, workload::RestartPolicy},
    wire::{
        manifest::agent_part,
        podspec::{
            container::RestartPolicy as Written,
            reader::{Class, Notes, Read},
            types::{mapping, words},
            values::{Count, Whole},
        },
    },
};

/// How often Kubernetes tries again where its author says nothing.
const DEFAULT_BACKOFF_LIMIT: u32 = 6;
const TO_AN_END: &str = "must be `Never` or `OnFailure`: a Job comes to an end";

mapping! {
    /// `batch/v1` `Job`
    JobSpec {
        active_deadline_seconds: Option<Whole<1, 2_147_483_647>>,
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
pub(super) fn job(document: &Value, notes: &mut Notes) -> Described {
    let Object { metadata, spec } = Object::<JobSpec>::read(document, notes);
    let is_off = spec.suspend;
    notes.below("spec", |notes| {
        check(&spec, notes);
        if is_off {
            notes.add_at("suspend", Class::Meaningless, "nothing of it runs until this is `false`");
        }
    });
    let described = run(spec, &["spec", "template", "spec"]);
    Described { kind: "Job", metadata, is_off, ..described }
}

/// `batch/v1` `CronJob`
pub(super) fn cron_job(document: &Value, notes: &mut Notes) -> Described {
    let Object { metadata, spec } = Object::<CronJobSpec>::read(document, notes);
    let job = spec.job_template.spec;
    let (is_off, mut cron) = (spec.suspend, None);
    notes.below("spec", |notes| {
        if is_off {
            notes.add_at("suspend", Class::Meaningless, "nothing of it runs until this is `false`");
        }
        match spec.concurrency_policy {
            Some(ConcurrencyPolicy::Replace) => {
                let message =
                    "`Replace` can't be obeyed here: no slot is taken while a run goes on (`Forbid`)";
                notes.add_at("concurrencyPolicy", Class::Refused, message);
            }
            Some(ConcurrencyPolicy::Allow) => {
                let message = "`Allow` has no effect: no slot is taken while a run goes on (`Forbid`)";
                notes.add_at("concurrencyPolicy", Class::Ignored, message);
            }
            Some(ConcurrencyPolicy::Forbid) | None => {}
        }
        notes.below("schedule", |notes| cron = schedule(&spec.schedule, notes));
        notes.at(["jobTemplate".into(), "spec".into()], |notes| check(&job, notes));
        if job.suspend {
            notes.at(["jobTemplate".into(), "spec".into()], |notes| {
                let message = "can't be obeyed here: `spec.suspend` holds all runs back";
                notes.add_at("suspend", Class::Refused, message);
            });
        }
    });
    let at = &["spec", "jobTemplate", "spec", "template", "spec"];
    Described { kind: "CronJob", metadata, is_off, cron, ..run(job, at) }
}

/// The five fields, perhaps by one of the words that Kubernetes knows for them.
fn schedule(text: &str, notes: &mut Notes) -> Option<Cron> {
    let fields = match text {
        "" => return None, // it is missing, and that is said
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") => {
            let message = "must have no time zone: slots are by the device's local time";
            notes.add(Class::Refused, message);
            return None;
        }
        _ => text,
    };
    match Cron::parse(fields) {
        Ok(cron) => Some(cron),
        Err(why) => {
            notes.add(Class::Value, why.to_string());
            None
        }
    }
}

/// One run of it, without a name and a kind.
fn run(job: JobSpec, at: &'static [&'static str]) -> Described {
    let PodTemplate { metadata, spec } = job.template;
    let own = Described::new("", Default::default(), metadata.labels.0, metadata.annotations.0, spec.0, at);
    let seconds = job.active_deadline_seconds.and_then(|limit| u64::try_from(limit.0).ok());
    let deadline = seconds.map(std::time::Duration::from_secs).into_iter().chain(own.deadline).min();
    let retries = job.backoff_limit.map_or(Some(DEFAULT_BACKOFF_LIMIT), |limit| u32::try_from(limit.0).ok());
    Described { deadline, retries, ..own }
}

/// What the shape alone doesn't say.
fn check(job: &JobSpec, notes: &mut Notes) {
    for (key, count) in [("completions", job.completions), ("parallelism", job.parallelism)] {
        if let Some(count) = count.map(|it| it.0).filter(|count| *count != 1) {
            let message = format!("a device runs one pod of it, not {count}: write 1");
            notes.add_at(key, Class::Refused, message);
        }
    }
    if job.completion_mode == CompletionMode::Indexed {
        notes.add_at(
            "completionMode",
            Class::Refused,
            "`Indexed` can't be obeyed here: a device runs one pod of it",
        );
    }
    let spec = &job.template.spec.0;
    if agent_part::restart(spec) == RestartPolicy::Always && !spec.containers.is_empty() {
        notes.at(["template".into(), "spec".into()], |notes| {
            notes.add_at("restartPolicy", Class::Value, TO_AN_END);
        });
    }
    for (index, container) in spec.containers.iter().enumerate() {
        if container.restart_policy == Some(Written::Always) {
            notes.at(["template".into(), "spec".into(), "containers".into(), index.into()], |notes| {
                notes.add_at("restartPolicy", Class::Value, TO_AN_END);
            });
        }
    }
}
