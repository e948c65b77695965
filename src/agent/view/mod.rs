//! What people and programs are told who ask: states, causes, remedies.

mod deployment;
mod link;
mod pod;
mod profile;
pub(super) mod report;
pub mod text;
