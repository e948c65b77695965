//! Jobs and their schedules.

use std::time::Duration;

use super::{assembled, assert_problems, only, replaced};
use crate::agent::model::{
    schedule::{Backoff, Cron, Schedule},
    workload::RestartPolicy,
};

const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  backoffLimit: 2
  activeDeadlineSeconds: 60
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: i}]
";

const CRON_JOB: &str = "apiVersion: batch/v1
kind: CronJob
metadata: {name: night}
spec:
  schedule: 0 3 * * *
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        metadata: {labels: {a: b}}
        spec:
          restartPolicy: OnFailure
          containers: [{name: c, image: i}]
";

#[test]
fn a_job_runs_once_and_is_tried_again_as_often_as_it_says() {
    let job = only(JOB);
    assert_eq!(
        (job.retries, job.restart, job.deadline),
        (Some(2), RestartPolicy::Never, Some(Duration::from_secs(60)))
    );
    assert_eq!(job.schedule, Schedule::Service(Backoff::RUN_BACKOFF));
    let plain = only(&replaced(JOB, "  backoffLimit: 2\n", ""));
    assert_eq!((plain.retries, plain.id.clone()), (Some(6), job.id), "its limits are no part of its content");
    assert_eq!(only(&replaced(JOB, "Never", "OnFailure")).restart, RestartPolicy::OnFailure);
    let own = replaced(JOB, "{name: once}", "{name: once, annotations: {flotta/retry: '1'}}");
    assert_eq!(only(&own).schedule, Schedule::Service(Backoff::Constant(Duration::from_secs(1))));
}

#[test]
fn the_shorter_of_two_deadlines_counts() {
    let shorter =
        replaced(JOB, "restartPolicy: Never", "restartPolicy: Never\n      activeDeadlineSeconds: 5");
    assert_eq!(only(&shorter).deadline, Some(Duration::from_secs(5)));
}

#[test]
fn a_cron_job_runs_at_its_slots() {
    let job = only(CRON_JOB);
    assert_eq!(job.schedule, Schedule::Cron(Cron::parse("0 3 * * *").unwrap(), Backoff::RUN_BACKOFF));
    assert_eq!((job.retries, job.name(), job.content.labels.len()), (Some(6), "night", 1));
    let own = only(&replaced(CRON_JOB, "{name: night}", "{name: night, annotations: {flotta/retry: '5'}}"));
    assert_eq!(own.schedule.backoff(), &Backoff::Constant(Duration::from_secs(5)));
    for (word, fields) in [("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@weekly", "0 0 * * 0")] {
        let job = only(&replaced(CRON_JOB, "0 3 * * *", &format!("'{word}'")));
        assert_eq!(
            job.schedule,
            Schedule::Cron(Cron::parse(fields).unwrap(), Backoff::RUN_BACKOFF),
            "{word}"
        );
    }
}

#[test]
fn what_is_suspended_does_not_run() {
    for text in [
        replaced(JOB, "spec:\n", "spec:\n  suspend: true\n"),
        replaced(CRON_JOB, "spec:\n", "spec:\n  suspend: true\n"),
    ] {
        let (desired, found) = assembled(&text);
        assert!(desired.workloads.is_empty() && desired.unreadable.is_empty(), "{desired:?}");
        assert!(
            found.len() == 1 && found[0].ends_with("spec.suspend: nothing of it runs until this is `false`"),
            "{found:?}"
        );
    }
}

#[test]
fn each_kind_says_what_is_wrong_with_it_and_where() {
    assert_problems(
        JOB,
        &[
            "backoffLimit -> backofLimit => line 5: spec.backofLimit: unknown field: did you mean `backoffLimit`?",
            "backoffLimit: 2 -> backoffLimit: -1 => spec.backoffLimit: must be from 0 to 2147483647, not -1",
            "backoffLimit: 2 -> completions: 3 => spec.completions: a device runs one pod of it, not 3: write 1",
            "backoffLimit: 2 -> parallelism: 0 => spec.parallelism: a device runs one pod of it, not 0: write 1",
            "backoffLimit: 2 -> completionMode: Indexed => spec.completionMode: `Indexed` can't be obeyed here",
            "backoffLimit: 2 -> ttlSecondsAfterFinished: 5 => spec.ttlSecondsAfterFinished: means nothing on one device",
            "backoffLimit: 2 -> podFailurePolicy: {} => spec.podFailurePolicy: can't be obeyed here",
            "      restartPolicy: Never\n ->  => spec.template.spec.restartPolicy: must be `Never` or `OnFailure`: a Job comes to an end",
            "Never -> Always => spec.template.spec.restartPolicy: must be `Never` or `OnFailure`",
            "image: i -> image: i, restartPolicy: Always => spec.template.spec.containers[0].restartPolicy: must be `Never` or `OnFailure`: a Job comes",
            "image: i -> image: i, comand: [x] => spec.template.spec.containers[0].comand: unknown field",
            "activeDeadlineSeconds: 60 -> activeDeadlineSeconds: 0 => spec.activeDeadlineSeconds: must be from 1",
        ],
    );
    assert_problems(
        CRON_JOB,
        &[
            "0 3 * * * -> 0 25 * * * => line 5: spec.schedule: ",
            "0 3 * * * -> TZ=UTC 0 3 * * * => spec.schedule: must have no time zone",
            "0 3 * * * -> 0 0 31 2 * => spec.schedule: never comes: no date that it names exists",
            "  schedule: 0 3 * * *\n ->  => spec.schedule: is missing",
            "Forbid -> Allow => spec.concurrencyPolicy: `Allow` has no effect: no slot is taken while a run goes on",
            "Forbid -> Replace => spec.concurrencyPolicy: `Replace` can't be obeyed here",
            "concurrencyPolicy: Forbid -> timeZone: Europe/Berlin => spec.timeZone: can't be obeyed here: slots are by the device's local time",
            "concurrencyPolicy: Forbid -> startingDeadlineSeconds: 5 => spec.startingDeadlineSeconds: has no effect",
            "concurrencyPolicy: Forbid -> successfulJobsHistoryLimit: 5 => spec.successfulJobsHistoryLimit: means nothing",
            "      template ->       suspend: true\n      template => spec.jobTemplate.spec.suspend: can't be obeyed here",
            "OnFailure -> Always => spec.jobTemplate.spec.template.spec.restartPolicy: must be `Never` or",
            "{a: b}} -> {a: b}, annotations: {flotta/retry: '5'}} => spec.jobTemplate.spec.template.metadata.annotations.flotta/retry: belongs to",
        ],
    );
}
