//! What a device can run short of.

use std::fmt;

use super::quantity::format_rounded;

/// What can run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The device's memory.
    Memory,
    /// The file systems with the containers and the agent's state.
    Disk,
    /// The processor. It is shared: no workload goes for it.
    Cpu,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Disk => "disk space",
            Self::Cpu => "processor time",
        })
    }
}

/// How short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is enough.
    Fine,
    /// Less than the reserve is left.
    Low,
    /// So little is left, and for so long, that a workload has to go.
    Critical,
}

/// A resource's level has changed, or while it is short how much is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pressure {
    /// Of what.
    pub resource: Resource,
    /// From now on.
    pub level: Level,
    /// Bytes that are left.
    pub available: u64,
    /// Bytes that are to be left.
    pub reserve: u64,
    /// Per cent of the last seconds in which nothing went on for want of it; of the processor: a process waited.
    pub stalled: u8,
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (available, reserve) = (format_rounded(self.available), format_rounded(self.reserve));
        write!(f, "{} is short: {available} are left, the reserve is {reserve}", self.resource)?;
        match self.stalled {
            0 => Ok(()),
            share => write!(f, ", and everything waits for it {share} % of the time"),
        }
    }
}
