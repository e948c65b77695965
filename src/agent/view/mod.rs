//! What people and programs are told who ask: states, causes, remedies.

mod deployment;
pub mod document;
pub mod history;
mod link;
mod pod;
mod profile;
pub(super) mod report;
pub mod table;
pub mod text;
mod waiting;
