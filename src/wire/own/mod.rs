//! What the agent writes for itself, and for who asks it.

pub mod fallback;
pub mod frames;
pub mod openmetrics;
pub mod update;
