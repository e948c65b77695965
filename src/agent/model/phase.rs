//! Where the pod of a workload is.
//!
//! ```text
//!            list: none             images here        containers run
//!  Unknown ───────────► Inactive ──► Pulling ──► Inactive ──► Starting ──► Running ──┐
//!     │ list: a pod        ▲  ▲         │ no image             │ won't       │        │ ended, as its
//!     ▼                    │  │         ▼                      ▼             │ failed │ policy wants
//!  Looking ─► Running      │  └────── Waiting ◄────────────────┴─────────────┘        ▼
//!          ─► Waiting      │            │ time's up, a pod is there                Finished
//!          ─► Finished     └─ Stopping ◄┴── its conditions don't hold (from Running, Waiting)
//! ```
//!
//! Conditions that fail while the pod is being made lead from `Starting` by way of `Cancelling` to `Inactive`. A container
//! that ended and is to run again leaves the pod `Running`: it is started again there.
//!
//! A phase with a [`Ticket`] has an order under way, and until its outcome is here nothing else is asked for this
//! workload, but that a pod that is being made gets another CPU limit or isn't made. A workload with a cron schedule
//! rests in `Inactive` or `Finished` between its slots.

use std::time::Duration;

use super::order::Ticket;

/// Where the pod of the wanted content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// The engine has not told yet whether there is a pod.
    #[default]
    Unknown,
    /// There is a pod, and it is being looked at. `adopting`: it was there before this process.
    Looking {
        /// The order under way.
        ticket: Ticket,
        /// Whether the pod was found rather than started by this process.
        adopting: bool,
    },
    /// There is no pod.
    Inactive,
    /// The images are on their way, or it is being checked whether the pod could start; an earlier content's may run
    /// meanwhile.
    Pulling(Ticket),
    /// The pod is being made.
    Starting(Ticket),
    /// The pod was being made, and may not run any more: that start is cut short.
    Cancelling(Ticket),
    /// Every container runs, ended as its policy wants, or is about to be started again.
    Running,
    /// It failed, and is started again at this time since boot.
    Waiting {
        /// Since boot.
        until: Duration,
    },
    /// The pod is being stopped and removed.
    Stopping(Ticket),
    /// Every container ended, and the policy wants no restart.
    Finished {
        /// The first exit code that isn't 0, or 0.
        code: i32,
    },
}
