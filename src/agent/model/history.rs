//! What has happened of late: what people were told, with its times.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use super::notice::Notice;

/// One thing that was told, once or more often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When last, in seconds since 1970 by the wall clock.
    pub at: u64,
    /// When first.
    pub first: u64,
    /// What was told, and how often.
    pub notice: Notice,
}

/// Oldest first; what is told again moves to the end.
pub type History = VecDeque<Arc<HistoryEntry>>;
