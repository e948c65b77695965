//! How a workload's last run ended: what is shown of it, and kept over a reboot.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    order::Pod,
    time::{Now, since_epoch},
    workload::WorkloadId,
};

/// The exit code of what had to be killed.
pub const KILLED_EXIT_CODE: i32 = 137;

/// A run that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredRun")]
pub struct Run {
    /// The first exit code that isn't 0, or 0.
    pub code: i32,
    /// When, in seconds since 1970 by the wall clock.
    pub ended: Option<u64>,
    /// How long the container ran that ran longest, in seconds.
    pub ran: Option<u64>,
}

/// The workloads that finished and don't run again, or wait for their next slot.
pub type FinishedRuns = BTreeMap<WorkloadId, Run>;

/// As it was written by this version, or by one that knew no more than the exit code.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredRun {
    Code(i32),
    Run { code: i32, ended: Option<u64>, ran: Option<u64> },
}

impl From<StoredRun> for Run {
    fn from(kept: StoredRun) -> Self {
        match kept {
            StoredRun::Code(code) => Self { code, ended: None, ran: None },
            StoredRun::Run { code, ended, ran } => Self { code, ended, ran },
        }
    }
}

impl Run {
    /// Of this pod, all of whose containers ended.
    pub(in crate::agent) fn of(pod: &Pod, code: i32) -> Self {
        Self { code, ended: pod.ended_at().map(since_epoch), ran: Some(pod.longest_run().as_secs()) }
    }

    /// Of a pod that is ended now, after this time.
    pub(in crate::agent) fn from_cut_short_pod(code: i32, ran: Duration, now: Now) -> Self {
        Self { code, ended: Some(since_epoch(now.utc)), ran: Some(ran.as_secs()) }
    }

    /// Seconds since it ended.
    pub(in crate::agent) fn seconds_since_end(&self, now: Now) -> Option<u64> {
        Some(since_epoch(now.utc).saturating_sub(self.ended?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let read = |text: &str| serde_json::from_str::<Run>(text).unwrap();
        assert_eq!(read("3"), Run { code: 3, ended: None, ran: None });
        let run = Run { code: 3, ended: Some(1_000), ran: Some(2) };
        assert_eq!(read(&serde_json::to_string(&run).unwrap()), run);
    }
}
