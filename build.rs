//! Tells the agent when it was built: no certificate is judged by a clock that reads less. And keeps the static
//! binary small.

use std::{
    env, fs, io,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

// the agent's own clocks are read in one place; this is no part of it
#[allow(clippy::disallowed_methods)]
fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    println!("cargo::rustc-env=BUILD_TIME={}", given.unwrap_or_else(now));

    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("PROFILE", "release") {
        // A panic aborts, so nothing ever unwinds: the tables for it, an eighth of the binary, go. (The standard
        // library comes with its own, so no compiler setting does it.)
        let script =
            PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?).join("no-unwind-tables.ld");
        // crtbegin and crtend hold the ends of the table, and look at it.
        let tables = "*(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame) *(.gcc_except_table*)";
        fs::write(&script, format!("SECTIONS {{ /DISCARD/ : {{ {tables} }} }} INSERT AFTER .text;\n"))?;
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-z,pack-relative-relocs");
    }
    Ok(())
}
