//! When a workload runs, and how long to wait before it is started again. With a schedule a back-off counts within a
//! run alone.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    agent::model::schedule::{Backoff, Cron, Schedule},
    wire::field::{FieldPath, Finding},
};

/// Of a schedule like 30 February.
pub(super) const NEVER_DUE_ERROR: &str = "never comes: no date that it names exists";

/// When a workload runs, by what stands at these places; `usual`: how long to wait where neither does; `tries`: what fails
/// in a run is tried again.
pub(super) fn schedule(
    (cron, retry): (Option<Cron>, Option<Backoff>),
    (usual, tries): (Backoff, bool),
    (cron_at, retry_at): (FieldPath, FieldPath),
    warnings: &mut Vec<Finding>,
) -> Schedule {
    let backoff = retry.unwrap_or(usual);
    let Some(cron) = cron else { return Schedule::Service(backoff) };
    let mut warn =
        |field: &FieldPath, message: String| warnings.push(Finding { field: field.clone(), message });
    if cron.never_runs() {
        warn(&cron_at, NEVER_DUE_ERROR.to_owned());
    }
    if retry.is_some() && !tries {
        warn(&retry_at, format!("has no effect beside `{cron_at}` without `restartPolicy: OnFailure`"));
    }
    warn_of_backslash(&cron, cron_at, warnings);
    Schedule::Cron(cron, backoff)
}

/// Of a schedule that is written as in the model's README.
pub(super) fn warn_of_backslash(cron: &Cron, field: FieldPath, warnings: &mut Vec<Finding>) {
    if cron.has_backslash() {
        warnings.push(Finding { field, message: "`\\` is taken for `/`".to_owned() });
    }
}

/// `spec.cron`: a valid schedule, or none when it is empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct CronField(pub(super) Option<Cron>);

impl TryFrom<String> for CronField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        Cron::parse(&text).map(|cron| Self(Some(cron))).map_err(|error| error.to_string())
    }
}

/// `spec.retry`. The resource definition has whole numbers only; fractions do no harm.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RetryFields")]
pub(super) struct Retry(pub(super) Backoff);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryFields {
    constant_backoff: Option<Constant>,
    exponential_backoff: Option<Exponential>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Constant {
    period_seconds: BackoffSeconds,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exponential {
    initial_interval_seconds: BackoffSeconds,
    multiplier: Option<Multiplier>,
    randomization_factor: Option<JitterFraction>,
}

impl TryFrom<RetryFields> for Retry {
    type Error = &'static str;

    fn try_from(fields: RetryFields) -> Result<Self, Self::Error> {
        match (fields.constant_backoff, fields.exponential_backoff) {
            (Some(_), Some(_)) => Err("has both `constantBackoff` and `exponentialBackoff`: one is allowed"),
            (Some(constant), None) => Ok(Self(Backoff::Constant(constant.period_seconds.0))),
            (None, Some(exponential)) => Ok(Self(Backoff::Exponential {
                initial: exponential.initial_interval_seconds.0,
                multiplier: exponential.multiplier.map_or(2.0, |multiplier| multiplier.0),
                randomization: exponential.randomization_factor.map_or(0.0, |share| share.0),
            })),
            (None, None) => Ok(Self(Backoff::default())),
        }
    }
}

/// More than nothing, at most a day.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct BackoffSeconds(Duration);

impl TryFrom<f64> for BackoffSeconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        if (0.1..=86_400.0).contains(&seconds) {
            return Ok(Self(Duration::from_secs_f64(seconds)));
        }
        Err(format!("must be from 0.1 to 86400 seconds, not {seconds}"))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct Multiplier(f64);

impl TryFrom<f64> for Multiplier {
    type Error = String;

    fn try_from(factor: f64) -> Result<Self, String> {
        if (1.0..=100.0).contains(&factor) {
            return Ok(Self(factor));
        }
        Err(format!("must be from 1 to 100, not {factor}"))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct JitterFraction(f64);

impl TryFrom<f64> for JitterFraction {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self(share));
        }
        Err(format!("is a share of the wait, from 0 to 1 (0.5 moves it by up to half), not {share}"))
    }
}
