//! `spec.update`: when devices may replace what runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When another content may take the place of one that runs; each part has to allow it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Update {
    /// An expression over metrics, which has to be true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
    /// Only at these times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<Window>,
    /// After so long it doesn't wait any more: for example `72h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<String>,
}

/// Times that come again and again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Window {
    /// When each begins, in the device's time zone: five fields.
    pub(crate) cron: String,
    /// How long each is: for example `2h`.
    pub(crate) duration: String,
}
