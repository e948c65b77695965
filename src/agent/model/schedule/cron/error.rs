//! Why a text isn't a schedule.

use std::{error, fmt};

/// Why a text isn't a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronError(pub(super) String);

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for CronError {}
