//! Harnesses over every reader of foreign bytes. Each reads an input and panics where a promise is broken; see
//! `README.md` for the promises and for how to run them.

pub mod budget;
pub mod bundle;
pub mod json;
pub mod mutate;
pub mod promise;
pub mod random;
pub mod scratch;
mod target;

pub use target::{TARGETS, Target};

#[global_allocator]
static ALLOCATOR: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
