//! The lock by which any program on the device holds updates back. It is looked at in the moment of the switch, and
//! while it is held the kernel tells when it isn't any more.

/// What is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum UpdateLock {
    /// There is none.
    #[default]
    Missing,
    Unknown,
    Asked,
    Held,
    /// Just now: the next moment it may be another.
    Free,
}

impl UpdateLock {
    pub(super) fn new(exists: bool) -> Self {
        if exists { Self::Unknown } else { Self::Missing }
    }

    /// A program holds it, or none does.
    pub(super) fn set_held(&mut self, held: bool) {
        *self = if held { Self::Held } else { Self::Free };
    }

    /// The moment is over.
    pub(super) fn expire_free(&mut self) {
        if *self == Self::Free {
            *self = Self::Unknown;
        }
    }
}
