//! Profiles, as devices define them and as workloads list them.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use crate::{
    agent::{
        expression::Expression,
        model::workload::{Condition, ListedCondition, ListedProfile, Profile},
    },
    wire::{
        dns_names::{check_display_name, is_unprintable},
        field::{FieldPath, Finding},
        manifest::update::DurationField,
    },
};

/// More conditions on one device than this are taken for an accident.
const MAX_CONDITIONS: usize = 1_000;

/// What a condition may limit CPU time to. The kernel takes no quota under 1 ms; the upper end is 10,000 cores.
pub(super) const CPU_QUOTA_RANGE: RangeInclusive<u64> = 1_000..=1_000_000_000;

/// An `EdgeDevice`'s profiles, as they are written.
#[derive(Debug, Deserialize)]
pub(super) struct DeviceProfiles(Vec<DeviceProfile>);

#[derive(Debug, Deserialize)]
struct DeviceProfile {
    name: String,
    conditions: Option<Vec<DeviceCondition>>,
}

/// Whether the expression parses is the condition's own affair: the others live. A server leaves out an empty one,
/// which is never true.
#[derive(Debug, Deserialize)]
struct DeviceCondition {
    name: String,
    expression: Option<String>,
    #[serde(rename = "for")]
    hold: Option<DurationField>,
    until: Option<String>,
}

impl DeviceProfiles {
    /// The profiles and conditions whose names can be used; each other one costs itself alone, and is a fault.
    pub(super) fn into_usable(
        self,
        at: &FieldPath,
        faults: &mut Vec<Finding>,
        expressions: &mut Vec<Finding>,
    ) -> Vec<Profile> {
        let (mut profiles, mut names, mut count) = (Vec::new(), BTreeSet::new(), 0);
        for (index, DeviceProfile { name, conditions }) in self.0.into_iter().enumerate() {
            let at = at.child(index);
            if !is_usable(&name, &at, &mut names, faults) {
                continue;
            }
            let (mut usable, mut names) = (Vec::new(), BTreeSet::new());
            for (index, condition) in conditions.into_iter().flatten().enumerate() {
                let DeviceCondition { name, expression, hold, until } = condition;
                let at = at.child("conditions").child(index);
                if count < MAX_CONDITIONS && is_usable(&name, &at, &mut names, faults) {
                    let expression = expression.unwrap_or_default();
                    let until = until.filter(|text| !text.trim().is_empty());
                    let texts = [("expression", Some(&expression)), ("until", until.as_ref())];
                    for (field, text) in texts {
                        if let Some(Err(error)) = text.map(|text| Expression::parse_only(text)) {
                            expressions.push(Finding { field: at.child(field), message: error.to_string() });
                        }
                    }
                    let hold = hold.map(|hold| hold.0).unwrap_or_default();
                    usable.push(Condition { name, expression, hold, until });
                }
                count += 1;
            }
            profiles.push(Profile { name, conditions: usable });
        }
        if let Some(more) = count.checked_sub(MAX_CONDITIONS).filter(|more| *more > 0) {
            let message = format!("{more} conditions are left out: at most {MAX_CONDITIONS} are read");
            faults.push(Finding { field: at.clone(), message });
        }
        profiles
    }
}

fn is_usable(name: &str, at: &FieldPath, seen: &mut BTreeSet<String>, faults: &mut Vec<Finding>) -> bool {
    let message = match check_display_name(name) {
        Err(why) => why.to_owned(),
        Ok(()) if !seen.insert(name.to_owned()) => format!("`{name}` is defined twice: the first counts"),
        Ok(()) => return true,
    };
    faults.push(Finding { field: at.child("name"), message });
    false
}

/// A name as it is listed. One that no device can define is kept as another one that no device can define either, and
/// that can be shown: what it stands for is false, and the rest counts.
fn sanitize_name(name: String) -> String {
    const REPLACEMENT: char = '\u{fffd}';
    match check_display_name(&name) {
        Ok(()) => name,
        Err(_) => {
            let shown = name.chars().take(50).map(|c| if is_unprintable(c) { REPLACEMENT } else { c });
            shown.chain([REPLACEMENT]).collect()
        }
    }
}

/// A profile as an `EdgeWorkload` lists it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WorkloadProfileFields")]
pub(super) struct WorkloadProfile(pub(super) ListedProfile);

#[derive(Deserialize)]
struct WorkloadProfileFields {
    name: String,
    conditions: Option<Vec<WorkloadCondition>>,
}

impl TryFrom<WorkloadProfileFields> for WorkloadProfile {
    type Error = String;

    fn try_from(fields: WorkloadProfileFields) -> Result<Self, String> {
        let name = sanitize_name(fields.name);
        // exactly as long as they are: they stay
        let is_given = fields.conditions.is_some();
        let conditions: Box<[_]> = fields.conditions.into_iter().flatten().map(|listed| listed.0).collect();
        if conditions.is_empty() {
            let hint = if is_given { "" } else { ": its field `conditions` is missing" };
            return Err(format!("`{name}` lists no condition, so the workload could never run{hint}"));
        }
        Ok(Self(ListedProfile { name, conditions: conditions.into() }))
    }
}

/// `low`, `{name: low}`, `{name: low, cpu: 50000}` or `{name: low, cpu: {cpu: 50000}}`.
struct WorkloadCondition(ListedCondition);

#[derive(Deserialize)]
struct WorkloadConditionFields {
    name: String,
    cpu: Option<Quota>,
}

impl<'de> Deserialize<'de> for WorkloadCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = WorkloadCondition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a condition's name, or a mapping with `name` and perhaps `cpu`")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(WorkloadCondition(ListedCondition { name: sanitize_name(name.to_owned()), cpu: None }))
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
                let fields = WorkloadConditionFields::deserialize(MapAccessDeserializer::new(access))?;
                let cpu = fields.cpu.and_then(|quota| quota.0);
                Ok(WorkloadCondition(ListedCondition { name: sanitize_name(fields.name), cpu }))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// CPU time in µs per 100,000 µs, as `N` or as `{cpu: N}`.
struct Quota(Option<u64>);

#[derive(Deserialize)]
struct QuotaFields {
    cpu: Option<Quota>,
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Quota;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (least, most) = (CPU_QUOTA_RANGE.start(), CPU_QUOTA_RANGE.end());
                write!(
                    f,
                    "CPU time in µs per 100000 µs, a whole number from {least} to {most} (50000 is half a core)"
                )
            }

            fn visit_u64<E: Error>(self, cpu: u64) -> Result<Quota, E> {
                match cpu {
                    _ if CPU_QUOTA_RANGE.contains(&cpu) => Ok(Quota(Some(cpu))),
                    _ => Err(E::invalid_value(Unexpected::Unsigned(cpu), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Quota, A::Error> {
                let fields = QuotaFields::deserialize(MapAccessDeserializer::new(access))?;
                Ok(fields.cpu.unwrap_or(Quota(None)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
