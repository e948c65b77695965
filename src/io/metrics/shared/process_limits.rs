//! What the receiver process may have, as both processes know it.

use std::io;

use rustix::process::{Resource, getrlimit};

/// In bytes, stacks included: what the receiver has, and what it needs at least.
const MEMORY_LIMITS: (u64, u64) = (16 * 1024 * 1024, 2 * 1024 * 1024);
/// Connections, listeners, backends, and what tiny_http duplicates: what it has, and what it needs at least.
const DESCRIPTOR_LIMITS: (u64, u64) = (400, 64);
/// Of them, those that no client has.
const RESERVED_DESCRIPTORS: u64 = 48;

/// What the receiver may have at most.
pub(crate) struct ReceiverLimits {
    /// Each with its most.
    pub(crate) resources: [(Resource, u64); 3],
    /// How many clients that leaves room for.
    pub(crate) clients: usize,
}

impl ReceiverLimits {
    /// Within those of this process.
    ///
    /// # Errors
    /// That is too little.
    pub(crate) fn within_current_limits() -> io::Result<Self> {
        let within = |resource, name: &str, (most, least): (u64, u64)| match getrlimit(resource).maximum {
            Some(limit) if limit < least => Err(io::Error::other(format!(
                "the limit '{name}' of this process is {limit}, and at least {least} is needed"
            ))),
            limit => Ok(limit.map_or(most, |limit| limit.min(most))),
        };
        let descriptors = within(Resource::Nofile, "nofile", DESCRIPTOR_LIMITS)?;
        let memory = within(Resource::Data, "data", MEMORY_LIMITS)?;
        Ok(Self {
            resources: [(Resource::Core, 0), (Resource::Nofile, descriptors), (Resource::Data, memory)],
            clients: descriptors.saturating_sub(RESERVED_DESCRIPTORS) as usize,
        })
    }
}
