//! When another content may take the place of one that runs.

use std::time::Duration;

use super::schedule::Cron;

/// When another content may take the place of one that runs; each part that is given has to allow it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateRules {
    /// The text of an expression that has to hold; one that doesn't parse never does.
    pub when: Option<String>,
    /// At these times only.
    pub window: Option<Window>,
    /// After so long it does so anyway.
    pub deadline: Option<Duration>,
}

impl UpdateRules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Times that come again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// When each begins.
    pub cron: Cron,
    /// How long each is.
    pub duration: Duration,
}
