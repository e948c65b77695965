//! When a workload runs, and how long to wait before it is started again.

use std::time::Duration;

use serde::Deserialize;

use crate::agent::{schedule::Cron, workload::Backoff};

/// `spec.cron`: a valid schedule, or none when it is empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::wire) struct CronField(pub(in crate::wire) Option<Cron>);

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
pub(in crate::wire) struct Retry(pub(in crate::wire) Backoff);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryFields {
    constant_backoff: Option<Constant>,
    exponential_backoff: Option<Exponential>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Constant {
    period_seconds: Seconds,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exponential {
    initial_interval_seconds: Seconds,
    multiplier: Option<Multiplier>,
    randomization_factor: Option<Share>,
}

impl TryFrom<RetryFields> for Retry {
    type Error = &'static str;

    fn try_from(fields: RetryFields) -> Result<Self, Self::Error> {
        match (fields.constant_backoff, fields.exponential_backoff) {
            (Some(_), Some(_)) => Err("has both `constantBackoff` and `exponentialBackoff`: one is allowed"),
            (Some(constant), None) => Ok(Self(Backoff::Constant(constant.period_seconds.0))),
            (None, Some(exponential)) => Ok(Self(Backoff::Exponential {
                initial: exponential.initial_interval_seconds.0,
                multiplier: exponential.multiplier.map_or(DEFAULT_MULTIPLIER, |multiplier| multiplier.0),
                randomization: exponential.randomization_factor.map_or(0.0, |share| share.0),
            })),
            (None, None) => Ok(Self(Backoff::default())),
        }
    }
}

/// The edge API's `retry`: flat, with its kind in a field. A 0 is Go's way of saying nothing.
#[derive(Debug, Deserialize)]
#[serde(try_from = "FlatRetryFields")]
pub(in crate::wire) struct FlatRetry(pub(in crate::wire) Retry);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlatRetryFields {
    backoff: Option<String>,
    period_seconds: Option<f64>,
    initial_interval_seconds: Option<f64>,
    multiplier: Option<f64>,
    randomization_factor: Option<f64>,
}

impl TryFrom<FlatRetryFields> for FlatRetry {
    type Error = String;

    fn try_from(fields: FlatRetryFields) -> Result<Self, String> {
        let given = |number: Option<f64>| number.filter(|number| *number != 0.0);
        let seconds = |number| given(number).map(Seconds::try_from).transpose();
        let backoff = match fields.backoff.as_deref() {
            Some("exponentialBackoff") => Backoff::Exponential {
                initial: seconds(fields.initial_interval_seconds)?.map_or(DEFAULT_WAIT, |wait| wait.0),
                multiplier: match given(fields.multiplier) {
                    Some(factor) => Multiplier::try_from(factor)?.0,
                    None => DEFAULT_MULTIPLIER,
                },
                randomization: Share::try_from(fields.randomization_factor.unwrap_or(0.0))?.0,
            },
            None | Some("" | "constantBackoff") => {
                Backoff::Constant(seconds(fields.period_seconds)?.map_or(DEFAULT_WAIT, |wait| wait.0))
            }
            Some(other) => {
                return Err(format!("must be constantBackoff or exponentialBackoff, not `{other}`"));
            }
        };
        Ok(Self(Retry(backoff)))
    }
}

/// Where the author says how, but not how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
const DEFAULT_MULTIPLIER: f64 = 2.0;

/// More than nothing, at most a day.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(Duration);

impl TryFrom<f64> for Seconds {
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
struct Share(f64);

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self(share));
        }
        Err(format!("is a share of the wait, from 0 to 1 (0.5 moves it by up to half), not {share}"))
    }
}
