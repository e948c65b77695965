//! What is to be remembered of conditions beside the metrics.

use serde::{Deserialize, Serialize};

/// A condition that is true until something ends it, or whose expression isn't true for long enough yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HysteresisState {
    /// The condition's.
    pub profile: String,
    /// Its name in the profile.
    pub name: String,
    /// What it says: of another one nothing is remembered.
    pub says: String,
    /// It is true.
    pub holds: bool,
    /// Since when its expression is true without a break, in nanoseconds since boot, while it isn't.
    pub since: Option<u64>,
}
