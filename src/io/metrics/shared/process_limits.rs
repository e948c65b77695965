//! What the receiver process may have, as both processes know it.

use std::io;

use rustix::process::{Resource, getrlimit};

/// In bytes, stacks included: what the receiver has, and what it needs at least.
const MEMORY: (u64, u64) = (16 * 1024 * 1024, 2 * 1024 * 1024);
/// Connections, listeners, backends, and what tiny_http duplicates: what it has, and what it needs at least.
const DESCRIPTORS: (u64, u64) = (400, 64);
/// Of them, those that no client has.
const RESERVED: u64 = 48;

/// What the receiver may have at most.
pub(crate) struct Limits {
    /// Each with its most.
    pub(crate) resources: [(Resource, u64); 3],
    /// How many clients that leaves room for.
    pub(crate) clients: usize,
}

impl Limits {
    /// Within those of this process.
    ///
    /// # Errors
    /// That is too little.
    pub(crate) fn within_present() -> io::Result<Self> {
        let within = |resource, name: &str, (most, least): (u64, u64)| match getrlimit(resource).maximum {
            Some(limit) if limit < least => Err(io::Error::other(format!(
                "the limit '{name}' of this process is {limit}, and at least {least} is needed"
            ))),
            limit => Ok(limit.map_or(most, |limit| limit.min(most))),
        };
        let descriptors = within(Resource::Nofile, "nofile", DESCRIPTORS)?;
        let memory = within(Resource::Data, "data", MEMORY)?;
        Ok(Self {
            resources: [(Resource::Core, 0), (Resource::Nofile, descriptors), (Resource::Data, memory)],
            clients: descriptors.saturating_sub(RESERVED) as usize,
        })
    }
}
