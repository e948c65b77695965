//! What both processes need: limits, and how descriptors go from one to the other.

pub(super) mod descriptors;
pub(super) mod process_limits;
