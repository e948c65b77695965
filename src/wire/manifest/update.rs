//! `spec.update`: when another content may take the place of one that runs.

use std::time::Duration;

use serde::Deserialize;

use super::timing::{NEVER_DUE_ERROR, warn_of_backslash};
use crate::{
    agent::{
        expression::Expression,
        model::{
            schedule::Cron,
            update::{UpdateRules, Window},
        },
    },
    wire::field::{FieldPath, Finding},
};

/// Longer windows and deadlines than this are taken for an accident.
const MAX_DURATION: Duration = Duration::from_secs(366 * 86_400);

/// `spec.update`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "UpdateFields")]
pub(super) struct Update(Box<UpdateRules>);

/// What `spec.update` says, if it is there.
pub(super) fn rules(written: Option<Update>, warnings: &mut Vec<Finding>) -> Option<Box<UpdateRules>> {
    let Update(rules) = written?;
    judge(&rules, FieldPath::from(["spec", "update", "window", "cron"]), warnings);
    Some(rules)
}

/// The same by annotations; none where they say nothing.
pub(super) fn annotated(
    rules: UpdateRules,
    window_at: FieldPath,
    warnings: &mut Vec<Finding>,
) -> Option<Box<UpdateRules>> {
    judge(&rules, window_at, warnings);
    (!rules.is_empty()).then(|| Box::new(rules))
}

fn judge(rules: &UpdateRules, window_at: FieldPath, warnings: &mut Vec<Finding>) {
    if let Some(window) = &rules.window {
        warn_of_backslash(&window.cron, window_at, warnings);
    }
}

#[derive(Deserialize)]
struct UpdateFields {
    when: Option<ConditionExpression>,
    window: Option<WindowFields>,
    deadline: Option<DurationField>,
}

#[derive(Deserialize)]
struct WindowFields {
    cron: SlotSchedule,
    duration: DurationField,
}

impl From<WindowFields> for Window {
    fn from(fields: WindowFields) -> Self {
        Self { cron: fields.cron.0, duration: fields.duration.0 }
    }
}

impl TryFrom<UpdateFields> for Update {
    type Error = String;

    fn try_from(fields: UpdateFields) -> Result<Self, String> {
        let rules = UpdateRules {
            when: fields.when.map(|when| when.0),
            window: fields.window.map(Window::from),
            deadline: fields.deadline.map(|span| span.0),
        };
        Ok(Self(Box::new(rules))) // an empty one, too: the lock counts
    }
}

/// An expression that can be read.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ConditionExpression(String);

impl TryFrom<String> for ConditionExpression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_expression(&text).map(Self)
    }
}

/// An expression that can be read.
pub(super) fn parse_expression(text: &str) -> Result<String, String> {
    Expression::parse_only(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A schedule that names a time.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct SlotSchedule(Cron);

impl TryFrom<String> for SlotSchedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_slots(&text).map(Self)
    }
}

fn parse_slots(text: &str) -> Result<Cron, String> {
    let cron = Cron::parse(text).map_err(|error| error.to_string())?;
    if cron.never_runs() { Err(NEVER_DUE_ERROR.to_owned()) } else { Ok(cron) }
}

/// `2h`, `90m`, `1d12h`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DurationField(pub(super) Duration);

impl TryFrom<String> for DurationField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text).map(Self)
    }
}

/// `2h`, `90m`, `1d12h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("must be a time like `90m`, `2h` or `1d12h`, from 1s to 366d, not `{text}`");
    let (mut seconds, mut rest) = (0_u64, text.trim());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = match rest.as_bytes().get(digits) {
            Some(b'd') => 86_400,
            Some(b'h') => 3_600,
            Some(b'm') => 60,
            Some(b's') => 1,
            _ => return Err(wrong()),
        };
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        seconds = seconds.saturating_add(number.saturating_mul(unit));
        rest = &rest[digits + 1..];
    }
    let span = Duration::from_secs(seconds);
    if span.is_zero() || span > MAX_DURATION { Err(wrong()) } else { Ok(span) }
}

/// `0 2 * * * for 2h`.
pub(super) fn parse_window(text: &str) -> Result<Window, String> {
    let form = "must be a schedule and a time: `0 2 * * * for 2h`";
    let (cron, duration) = text.rsplit_once(" for ").ok_or_else(|| form.to_owned())?;
    Ok(Window { cron: parse_slots(cron)?, duration: parse_duration(duration)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whole_or_refused() {
        for (text, seconds) in [
            ("1s", 1),
            ("90m", 5_400),
            ("2h", 7_200),
            ("1d12h", 129_600),
            (" 1m30s ", 90),
            ("366d", 31_622_400),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "2", "h", "2h3", "0s", "367d", "-1s", "1.5h", "2 h", "1w", "99999999999999999999d", "1ö"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
