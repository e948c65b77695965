//! Tells the agent when it was built: no certificate is judged by a clock that reads less.

use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};

// the agent's own clocks are read in one place; this is no part of it
#[allow(clippy::disallowed_methods)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    println!("cargo::rustc-env=BUILD_TIME={}", given.unwrap_or_else(now));
}
