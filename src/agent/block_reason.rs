//! Why a workload may not run, although it is asked for.

/// The most urgent reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockReason {
    /// The device is short of something.
    Evicted,
    /// A person stopped it.
    Stopped,
    /// Its conditions changed too often.
    Rests,
    Profiles,
}

impl BlockReason {
    /// The most urgent of these; where it is none of them, its profiles don't hold.
    pub(super) fn of(is_evicted: bool, is_stopped: bool, rests: bool) -> Self {
        match (is_evicted, is_stopped, rests) {
            (true, _, _) => Self::Evicted,
            (_, true, _) => Self::Stopped,
            (_, _, true) => Self::Rests,
            _ => Self::Profiles,
        }
    }

    /// For people.
    pub(super) fn block_message(self) -> &'static str {
        match self {
            Self::Evicted => "the device comes first",
            Self::Stopped => "that was asked for on the device",
            Self::Rests => "its conditions changed too often, so it rests",
            Self::Profiles => "its profiles don't hold",
        }
    }
}
