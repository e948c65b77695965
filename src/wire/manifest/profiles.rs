//! Profiles, as devices define them and as workloads list them.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use super::names::Filled;
use crate::agent::workload::{Condition, ListedCondition, ListedProfile, Profile};

/// An `EdgeDevice`'s profiles: names are unique, and those of conditions in their profile.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<DeviceProfile>")]
pub(super) struct DeviceProfiles(pub(super) Vec<Profile>);

#[derive(Deserialize)]
struct DeviceProfile {
    name: Filled,
    conditions: Option<DeviceConditions>,
}

#[derive(Deserialize)]
#[serde(try_from = "Vec<DeviceCondition>")]
struct DeviceConditions(Vec<Condition>);

/// Whether the expression parses is the condition's own affair: the others live.
#[derive(Deserialize)]
struct DeviceCondition {
    name: Filled,
    expression: String,
}

impl TryFrom<Vec<DeviceProfile>> for DeviceProfiles {
    type Error = String;

    fn try_from(profiles: Vec<DeviceProfile>) -> Result<Self, String> {
        unique(profiles.iter().map(|profile| &profile.name.0))?;
        let valid = profiles.into_iter().map(|profile| Profile {
            name: profile.name.0,
            conditions: profile.conditions.map(|conditions| conditions.0).unwrap_or_default(),
        });
        Ok(Self(valid.collect()))
    }
}

impl TryFrom<Vec<DeviceCondition>> for DeviceConditions {
    type Error = String;

    fn try_from(conditions: Vec<DeviceCondition>) -> Result<Self, String> {
        unique(conditions.iter().map(|condition| &condition.name.0))?;
        let valid = conditions
            .into_iter()
            .map(|DeviceCondition { name, expression }| Condition { name: name.0, expression });
        Ok(Self(valid.collect()))
    }
}

fn unique<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    names.find(|name| !seen.insert(*name)).map_or(Ok(()), |name| Err(format!("`{name}` is defined twice")))
}

/// A profile as an `EdgeWorkload` lists it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WorkloadProfileFields")]
pub(super) struct WorkloadProfile(pub(super) ListedProfile);

#[derive(Deserialize)]
struct WorkloadProfileFields {
    name: Filled,
    conditions: Option<Vec<WorkloadCondition>>,
}

impl TryFrom<WorkloadProfileFields> for WorkloadProfile {
    type Error = String;

    fn try_from(fields: WorkloadProfileFields) -> Result<Self, String> {
        let name = fields.name.0;
        let conditions: Vec<_> = fields.conditions.into_iter().flatten().map(|listed| listed.0).collect();
        if conditions.is_empty() {
            return Err(format!("`{name}` lists no condition, so the workload could never run"));
        }
        Ok(Self(ListedProfile { name, conditions }))
    }
}

/// `low`, `{name: low}`, `{name: low, cpu: 50000}` or `{name: low, cpu: {cpu: 50000}}`.
struct WorkloadCondition(ListedCondition);

#[derive(Deserialize)]
struct WorkloadConditionFields {
    name: Filled,
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
                let name = Filled::try_from(name.to_owned()).map_err(E::custom)?.0;
                Ok(WorkloadCondition(ListedCondition { name, cpu: None }))
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
                let fields = WorkloadConditionFields::deserialize(MapAccessDeserializer::new(access))?;
                let cpu = fields.cpu.and_then(|quota| quota.0);
                Ok(WorkloadCondition(ListedCondition { name: fields.name.0, cpu }))
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
                f.write_str(
                    "CPU time in µs per 100000 µs, a whole number from 1000 to 1000000000 \
                     (50000 is half a core)",
                )
            }

            // the kernel takes no quota under 1 ms; the upper end is 10,000 cores
            fn visit_u64<E: Error>(self, cpu: u64) -> Result<Quota, E> {
                match cpu {
                    1_000..=1_000_000_000 => Ok(Quota(Some(cpu))),
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
