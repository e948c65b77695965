//! Which events met a workload in which phase, how often; and which can't, and why.

use super::*;

/// How many phases there are.
const PHASES: usize = 11;
const PHASE_NAMES: [&str; PHASES] = [
    "Unknown",
    "Adopting",
    "Looking",
    "Inactive",
    "Pulling",
    "Starting",
    "Cancelling",
    "Running",
    "Waiting",
    "Stopping",
    "Finished",
];

/// The row of a phase.
pub(super) fn row(phase: Phase) -> usize {
    match phase {
        Phase::Unknown => 0,
        Phase::Looking { adopting: true, .. } => 1,
        Phase::Looking { adopting: false, .. } => 2,
        Phase::Inactive => 3,
        Phase::Pulling(_) => 4,
        Phase::Starting(_) => 5,
        Phase::Cancelling(_) => 6,
        Phase::Running => 7,
        Phase::Waiting { .. } => 8,
        Phase::Stopping(_) => 9,
        Phase::Finished { .. } => 10,
    }
}

/// The kinds, and a list of all.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// What can happen to a workload.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind { $($(#[$doc])* $kind,)* }

        const KINDS: &[Kind] = &[$(Kind::$kind),*];
    };
}

kinds! {
    /// The same content with other profiles or another schedule.
    WishKept,
    WishChanged,
    WishGone,
    /// Its source can't be understood any more.
    WishUnreadable,
    Allowed,
    Forbidden,
    Exited,
    /// The outcome of its own order.
    Pulled,
    PodRuns,
    PodFailed,
    PodEnded,
    PodBroken,
    Gone,
    Refused,
    Lost,
    /// The outcome of an order about a terminating pod.
    LeftDone,
    LeftFailed,
    /// A list shows the wanted pod, with all its containers or not; or not; or another one of this name.
    SeenRunning,
    SeenBroken,
    SeenNot,
    SeenOther,
    ListFailed,
    /// The outcome of an order beside the phase.
    Limited,
    Probed,
    Mended,
    /// One that is about no workload in particular.
    Measured,
    Discarded,
    /// A resource runs short, or shorter; or nothing does any more.
    Pressed,
    Relieved,
    Tick,
    Forward,
    Back,
    Crash,
}

/// Why this kind never meets a workload in this phase, if that is so.
fn unreachable(row: usize, kind: Kind) -> Option<&'static str> {
    let phase = PHASE_NAMES[row];
    let ordered: &[&str] = match kind {
        Kind::Pulled => &["Pulling"],
        Kind::PodRuns | Kind::PodFailed | Kind::PodEnded | Kind::PodBroken => {
            &["Adopting", "Looking", "Starting", "Cancelling"]
        }
        Kind::Gone => &["Adopting", "Looking", "Starting", "Cancelling", "Stopping"],
        Kind::Refused | Kind::Lost => {
            &["Adopting", "Looking", "Pulling", "Starting", "Cancelling", "Stopping"]
        }
        Kind::Allowed if phase == "Starting" => {
            return Some("a start is cut short when it isn't allowed any more");
        }
        _ => return None,
    };
    (!ordered.contains(&phase))
        .then_some("no order of this workload is under way that could have this outcome")
}

/// How often each kind of event met a workload in each phase.
#[derive(Debug, Clone)]
pub(super) struct Coverage {
    pub(super) events: u64,
    visits: [[u64; KINDS.len()]; PHASES],
}

impl Default for Coverage {
    fn default() -> Self {
        Self { events: 0, visits: [[0; KINDS.len()]; PHASES] }
    }
}

impl Coverage {
    pub(super) fn visit(&mut self, row: usize, kind: Kind) {
        self.visits[row][kind as usize] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        for (mine, theirs) in self.visits.iter_mut().flatten().zip(other.visits.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// Pairs that are visited less often than `least`, and pairs that are visited although they can't be.
    pub(super) fn wrong(&self, least: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        for (row, kind) in (0..PHASES).flat_map(|row| KINDS.iter().map(move |kind| (row, *kind))) {
            let visits = self.visits[row][kind as usize];
            let is_wrong = match unreachable(row, kind) {
                Some(_) => visits > 0,
                None => visits < least,
            };
            if is_wrong {
                wrong.push(format!("{kind:?} in {}: {visits} times", PHASE_NAMES[row]));
            }
        }
        wrong
    }
}

/// A table, with `-` for what can't be.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:12}", "")?;
        for name in PHASE_NAMES {
            write!(f, "{name:>11}")?;
        }
        for &kind in KINDS {
            write!(f, "\n{:12}", format!("{kind:?}"))?;
            for row in 0..PHASES {
                match unreachable(row, kind) {
                    Some(_) if self.visits[row][kind as usize] == 0 => write!(f, "{:>11}", "-")?,
                    _ => write!(f, "{:>11}", self.visits[row][kind as usize])?,
                }
            }
        }
        let reasons: BTreeSet<_> = (0..PHASES)
            .flat_map(|row| KINDS.iter().map(move |kind| unreachable(row, *kind)))
            .flatten()
            .collect();
        for reason in reasons {
            write!(f, "\n-: {reason}")?;
        }
        Ok(())
    }
}
