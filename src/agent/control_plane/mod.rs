//! Toward the server: which calls are made to the edge API and when, what its answers lead to, and what it is told.

pub(super) mod conversation;
pub(super) mod heartbeat;
pub(super) mod link;
