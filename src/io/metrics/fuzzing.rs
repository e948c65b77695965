//! The readers of posts, heads and the log of values, for the harnesses in `fuzz/`.

use std::{path::Path, time::Duration};

use super::agent_side::store::MetricsStore;
pub use super::receiver::fuzzing::{Head, answer_length, body, head, is_name};
use crate::agent::Sample;

/// Opens the log in this directory, and says what it holds.
pub fn posted(directory: &Path) -> Vec<(Sample, Duration)> {
    MetricsStore::open(directory, None, Duration::ZERO).posted_samples()
}
