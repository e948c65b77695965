//! The order in which devices get an update.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{known::Known, plans::fnv};
use crate::configuration;

/// A device's place in the order: its wave, and within it one that differs from update to update. As text it keeps every
/// digit, which a number of JSON need not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct Place {
    pub(super) wave: u32,
    pub(super) within: u64,
}

impl Place {
    pub(super) const LAST: Self = Self { wave: u32::MAX, within: u64::MAX };
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        format!("{}.{:016x}", place.wave, place.within)
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('.').and_then(|(wave, within)| {
            Some(Self { wave: wave.parse().ok()?, within: u64::from_str_radix(within, 16).ok()? })
        });
        parts.ok_or_else(|| format!("'{text}' is no place"))
    }
}

/// The device's, in the present update of a workload.
pub(super) fn place(workload: &Value, known: &Known) -> Place {
    let revision = &workload["revision"];
    let waves = workload["spec"]["rollout"]["waves"].as_array().map_or(&[][..], Vec::as_slice);
    let wave = waves.iter().position(|wave| configuration::matches(wave, &known.labels));
    let wave = u32::try_from(wave.unwrap_or(waves.len())).unwrap_or(u32::MAX);
    Place { wave, within: fnv(&format!("{} {revision}", known.uid)) }
}
