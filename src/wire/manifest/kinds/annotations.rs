//! What an `EdgeWorkload` says in fields of its own, the objects of Kubernetes say by annotations: `flotta/retry`.
//!
//! | annotation | value |
//! |---|---|
//! | `flotta/profiles` | `PROFILE: CONDITION[=CPU], …; PROFILE: …`; a new line separates profiles as well |
//! | `flotta/retry` | `SECONDS`, or `SECONDS multiplier=M randomization=R` |
//! | `flotta/rootless` | `true` or `false` |
//! | `flotta/device` | the name of the device that it is for |
//! | `flotta/depends-on` | names of workloads, with commas between them |
//! | `flotta/cron` | five fields; of a Pod only |
//! | `flotta/update-when` | an expression |
//! | `flotta/update-window` | five fields `for` a time: `0 2 * * * for 2h` |
//! | `flotta/update-deadline` | a time: `72h` |

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    agent::model::{
        schedule::{Backoff, Cron},
        update::UpdateRules,
        workload::{ListedCondition, ListedProfile},
    },
    wire::{
        dns_names::Subdomain,
        manifest::{
            profiles::{CPU_QUOTA_RANGE, WorkloadProfile},
            timing::Retry,
            update,
        },
        podspec::reader::{FindingClass, ReadContext},
        strict,
    },
};

/// They all begin so.
const PREFIX: &str = "flotta/";
const OWN_ANNOTATIONS: [&str; 9] = [
    "flotta/cron",
    "flotta/depends-on",
    "flotta/device",
    "flotta/profiles",
    "flotta/retry",
    "flotta/rootless",
    "flotta/update-deadline",
    "flotta/update-when",
    "flotta/update-window",
];

/// What the annotations say.
#[derive(Debug, Default)]
pub(super) struct WorkloadAnnotations {
    pub(super) cron: Option<Cron>,
    pub(super) depends_on: Vec<String>,
    pub(super) device: Option<String>,
    pub(super) profiles: Vec<ListedProfile>,
    pub(super) retry: Option<Backoff>,
    pub(super) rootless: bool,
    pub(super) update: UpdateRules,
}

/// What is wrong, and at which byte of the text.
type AnnotationError = (usize, String);

/// Whether an annotation is one of these.
pub(super) fn is_agent_annotation(key: &str) -> bool {
    key.starts_with(PREFIX)
}

impl WorkloadAnnotations {
    /// Of the annotations where the notes stand.
    pub(super) fn read(annotations: &BTreeMap<String, String>, kind: &str, notes: &mut ReadContext) -> Self {
        let mut own = Self::default();
        for (key, text) in annotations.iter().filter(|(key, _)| is_agent_annotation(key)) {
            if let Err((at, why)) = own.set(key, text, kind, notes) {
                notes.add_at(key, FindingClass::Value, format!("{}: {why}", format_position(text, at)));
            }
        }
        own
    }

    fn set(
        &mut self,
        key: &str,
        text: &str,
        kind: &str,
        notes: &mut ReadContext,
    ) -> Result<(), AnnotationError> {
        match key {
            "flotta/cron" if kind != "Pod" => {
                let other = "is for a Pod: a CronJob has `spec.schedule`";
                notes.add_at(key, FindingClass::Refused, other);
            }
            "flotta/cron" => self.cron = Some(Cron::parse(text).map_err(|why| (0, why.to_string()))?),
            "flotta/depends-on" => self.depends_on = parse_names(text)?,
            "flotta/device" if text.trim().is_empty() => return Err((0, "must name a device".to_owned())),
            "flotta/device" => self.device = Some(text.trim().to_owned()),
            "flotta/profiles" => self.profiles = parse_profiles(text)?,
            "flotta/retry" => self.retry = Some(parse_backoff(text)?),
            "flotta/rootless" => {
                self.rootless = text.parse().map_err(|_| (0, "must be `true` or `false`".to_owned()))?;
            }
            "flotta/update-when" => {
                self.update.when = Some(update::parse_expression(text).map_err(|why| (0, why))?)
            }
            "flotta/update-window" => {
                self.update.window = Some(update::parse_window(text).map_err(|why| (0, why))?);
            }
            "flotta/update-deadline" => {
                self.update.deadline = Some(update::parse_duration(text).map_err(|why| (0, why))?);
            }
            _ => {
                let hint = match notes.spelling_hint(key, OWN_ANNOTATIONS.into_iter()) {
                    hint if hint.is_empty() => format!(": {} are known", OWN_ANNOTATIONS.join(", ")),
                    hint => hint,
                };
                notes.add_at(key, FindingClass::Value, format!("unknown annotation{hint}"));
            }
        }
        Ok(())
    }
}

/// For people: `column 7`, and of a text of several lines `line 2, column 7`.
fn format_position(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let (line, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |it| it + 1));
    let column = before[start..].chars().count() + 1;
    if text.trim_end().contains('\n') {
        format!("line {line}, column {column}")
    } else {
        format!("column {column}")
    }
}

/// The parts of a text between separators, without blanks around them, and where each begins.
fn split_trimmed(
    text: &str,
    start: usize,
    is_between: fn(char) -> bool,
) -> impl Iterator<Item = (usize, &str)> {
    text.split(is_between).map(move |part| {
        let at = start + (part.as_ptr() as usize - text.as_ptr() as usize);
        (at + (part.len() - part.trim_start().len()), part.trim())
    })
}

/// `mqtt, db`
fn parse_names(text: &str) -> Result<Vec<String>, AnnotationError> {
    let name = |(at, name): (usize, &str)| Subdomain::try_from(name.to_owned()).map_err(|why| (at, why));
    split_trimmed(text, 0, |c| c == ',').map(|part| Ok(name(part)?.0)).collect()
}

fn parse_profiles(text: &str) -> Result<Vec<ListedProfile>, AnnotationError> {
    let mut profiles = Vec::new();
    for (at, entry) in
        split_trimmed(text, 0, |c| matches!(c, ';' | '\n')).filter(|(_, entry)| !entry.is_empty())
    {
        let (name, listed) = entry
            .split_once(':')
            .ok_or_else(|| (at, format!("`{entry}` must be `PROFILE: CONDITION, CONDITION`")))?;
        let start = at + name.len() + 1;
        let mut conditions = Vec::new();
        for (at, item) in split_trimmed(listed, start, |c| c == ',') {
            conditions.push(parse_condition(item).map_err(|why| (at, why))?);
        }
        let listed: Vec<_> = conditions.iter().map(|it| json!({ "name": it.name, "cpu": it.cpu })).collect();
        let whole = json!({ "name": name.trim(), "conditions": listed });
        let (WorkloadProfile(profile), _) =
            strict::deserialize_strict(&whole).map_err(|finding| (at, finding.message))?;
        if profile.name != name.trim() {
            return Err((at, format!("`{}` can't be the name of a profile", name.trim())));
        }
        profiles.push(profile);
    }
    if profiles.is_empty() {
        return Err((0, "must name a profile: `PROFILE: CONDITION, CONDITION`".to_owned()));
    }
    Ok(profiles)
}

/// `low`, or `low=50000`.
fn parse_condition(text: &str) -> Result<ListedCondition, String> {
    let (name, cpu) =
        text.split_once('=').map_or((text, None), |(name, cpu)| (name.trim(), Some(cpu.trim())));
    if name.is_empty() {
        return Err("a condition's name is missing".to_owned());
    }
    let cpu = cpu.map(|cpu| {
        cpu.parse().ok().filter(|cpu| CPU_QUOTA_RANGE.contains(cpu)).ok_or_else(|| {
            let (least, most) = (CPU_QUOTA_RANGE.start(), CPU_QUOTA_RANGE.end());
            format!(
                "`{cpu}` must be µs of CPU time per 100000 µs, from {least} to {most} (50000 is half a core)"
            )
        })
    });
    Ok(ListedCondition { name: name.to_owned(), cpu: cpu.transpose()? })
}

fn parse_backoff(text: &str) -> Result<Backoff, AnnotationError> {
    let form = "must be seconds, perhaps with `multiplier=2` and `randomization=0.5`";
    let mut words = split_trimmed(text, 0, |c| c.is_ascii_whitespace()).filter(|(_, word)| !word.is_empty());
    let (first, seconds) = words.next().ok_or_else(|| (0, form.to_owned()))?;
    let number = |at: usize, text: &str| {
        text.parse::<f64>().map_err(|_| (at, format!("`{text}` is no number: it {form}")))
    };
    let seconds = number(first, seconds)?;
    let mut others = serde_json::Map::new();
    let mut places = BTreeMap::new();
    for (at, word) in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let field = match key {
            "multiplier" => "multiplier",
            "randomization" => "randomizationFactor",
            _ => return Err((at, format!("`{word}` is unknown: it {form}"))),
        };
        if places.insert(field, at).is_some() {
            return Err((at, format!("`{key}` stands twice")));
        }
        others.insert(field.to_owned(), json!(number(at, value)?));
    }
    let whole = if places.is_empty() {
        json!({ "constantBackoff": { "periodSeconds": seconds } })
    } else {
        others.insert("initialIntervalSeconds".to_owned(), json!(seconds));
        json!({ "exponentialBackoff": others })
    };
    strict::deserialize_strict::<Retry>(&whole).map(|(retry, _)| retry.0).map_err(|finding| {
        let field = finding.field.to_string();
        let found = places.iter().find(|(key, _)| field.ends_with(*key));
        (found.map_or(first, |(_, at)| *at), finding.message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, text: &str) -> Result<WorkloadAnnotations, String> {
        let mut notes = ReadContext::default();
        let own = WorkloadAnnotations::read(&[(key.to_owned(), text.to_owned())].into(), "Pod", &mut notes);
        match notes.found.first() {
            None => Ok(own),
            Some((_, finding)) => Err(finding.message.clone()),
        }
    }

    #[test]
    fn profiles_are_listed_on_one_line_or_on_several() {
        let listed = |text: &str| {
            let profiles = read("flotta/profiles", text).unwrap().profiles;
            let shown = profiles.iter().map(|it| {
                let conditions = it.conditions.iter().map(|it| format!("{}{:?}", it.name, it.cpu));
                format!("{}: {}", it.name, conditions.collect::<Vec<_>>().join(" "))
            });
            shown.collect::<Vec<_>>()
        };
        let expected = ["perf: lowSome(50000) midNone", "power: okNone"];
        for text in [
            "perf: low=50000, mid; power: ok",
            "perf:low = 50000,mid;power:ok;",
            "perf: low=50000, mid\npower: ok\n",
        ] {
            assert_eq!(listed(text), expected, "{text}");
        }
    }

    #[test]
    fn each_value_is_read_whole_or_refused_with_its_place() {
        for (key, bad, said) in [
            ("profiles", "", "column 1: must name a profile"),
            ("profiles", "perf", "column 1: `perf` must be `PROFILE: CONDITION, CONDITION`"),
            ("profiles", "perf: low; x", "column 12: `x` must be"),
            ("profiles", "perf: low,, mid", "column 11: a condition's name is missing"),
            ("profiles", "perf:", "column 6: a condition's name is missing"),
            ("profiles", ": low", "column 1: `` can't be the name of a profile"),
            ("profiles", "p: a\nq: b=7\n", "line 2, column 4: `7` must be µs"),
            ("profiles", "pö: a=x", "column 5: `x` must be µs"),
            ("depends-on", "a, b c", "column 4: `b c` can't be a name"),
            ("depends-on", "a,", "column 3: `` can't be a name"),
            ("retry", "", "column 1: must be seconds"),
            ("retry", "5s", "column 1: `5s` is no number"),
            ("retry", "0", "column 1: must be from 0.1 to 86400 seconds, not 0"),
            ("retry", "5 multiplier=0.5", "column 3: must be from 1 to 100, not 0.5"),
            ("retry", "5 multiplier=2 multiplier=3", "column 16: `multiplier` stands twice"),
            ("retry", "5 randomization=2", "column 3: is a share of the wait"),
            ("retry", "5 factor=2", "column 3: `factor=2` is unknown"),
            ("rootless", "yes", "column 1: must be `true` or `false`"),
            ("cron", "* *", "column 1: expected five fields"),
            ("device", " ", "column 1: must name a device"),
            ("update-window", "0 2 * * *", "column 1: must be a schedule and a time: `0 2 * * * for 2h`"),
            ("update-window", "0 2 30 2 * for 2h", "column 1: never comes"),
            ("update-window", "0 2 * * * for 2", "column 1: must be a time like"),
            ("update-deadline", "soon", "column 1: must be a time like"),
            ("update-when", "moving = 0", "column 1: "),
            ("retries", "5", "unknown annotation: did you mean `flotta/retry`?"),
            ("zzz", "5", "unknown annotation: flotta/cron, flotta/depends-on, "),
        ] {
            let found = read(&format!("flotta/{key}"), bad).unwrap_err();
            assert!(found.starts_with(said), "{key} {bad}: {found}");
        }
    }

    #[test]
    fn a_retry_grows_where_it_says_how() {
        let retry = |text: &str| read("flotta/retry", text).unwrap().retry.unwrap();
        assert_eq!(retry("0.5"), Backoff::Constant(std::time::Duration::from_millis(500)));
        let Backoff::Exponential { initial, multiplier, randomization } = retry("2 randomization=0.5") else {
            panic!("it is constant");
        };
        assert_eq!((initial.as_secs(), multiplier, randomization), (2, 2.0, 0.5));
    }

    #[test]
    fn updates_wait_for_what_annotations_say() {
        let update = |key: &str, text: &str| read(key, text).unwrap().update;
        let when = update("flotta/update-when", "moving == 0").when;
        assert_eq!(when.as_deref(), Some("moving == 0"));
        let window = update("flotta/update-window", "0 2 * * 1-5 for 1h30m").window.unwrap();
        assert_eq!((window.cron.to_string(), window.duration.as_secs()), ("0 2 * * 1-5".into(), 5_400));
        let deadline = update("flotta/update-deadline", "72h").deadline.unwrap();
        assert_eq!(deadline.as_secs(), 259_200);
    }

    #[test]
    fn only_a_pod_takes_a_schedule_by_annotation() {
        let mut notes = ReadContext::default();
        WorkloadAnnotations::read(
            &[("flotta/cron".to_owned(), "* * * * *".to_owned())].into(),
            "Deployment",
            &mut notes,
        );
        assert_eq!(notes.found[0].1.message, "is for a Pod: a CronJob has `spec.schedule`");
    }
}
