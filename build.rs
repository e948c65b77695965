//! Tells the agent when it was built: no certificate is judged by a clock that reads less. And keeps the static
//! binary small.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
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
        let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
        let mut script = NO_UNWIND_TABLES.to_owned();
        // the system's own linker is no cross linker
        let arch = |name: &str| env::var(name).ok()?.split('-').next().map(str::to_owned);
        if arch("HOST") == arch("TARGET") && matches!(arch("TARGET").as_deref(), Some("x86_64" | "aarch64")) {
            script += NO_UNWINDER;
            let linker = out.join("ld");
            fs::write(&linker, LINKER.replace("@LLD@", &rust_lld().unwrap_or_default()))?;
            fs::set_permissions(&linker, fs::Permissions::from_mode(0o755))?;
            println!("cargo::rustc-link-arg-bins=-B{}", out.display());
        }
        fs::write(out.join("no-unwinding.ld"), script)?;
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/no-unwinding.ld", out.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        if has_musl_1_2_5() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
    Ok(())
}

/// A panic aborts, so nothing ever unwinds: the tables for it, an eighth of the binary, go. (The standard library comes
/// with its own, so no compiler setting does it.) crtbegin and crtend hold the ends of the table, and look at it.
const NO_UNWIND_TABLES: &str = "SECTIONS { /DISCARD/ : {
  *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame) *(.gcc_except_table*)
} } INSERT AFTER .text;
";

/// What the standard library would call of libunwind, which LINKER leaves out. Only a panic under RUST_BACKTRACE calls
/// any of it: for the frames, of which it found none without tables, and of which a function that does nothing tells
/// it none either.
const NO_UNWINDER: &str = "EXTERN(getpid abort)
PROVIDE(_Unwind_Backtrace = getpid);
PROVIDE(_Unwind_DeleteException = abort);
PROVIDE(_Unwind_FindEnclosingFunction = abort);
PROVIDE(_Unwind_GetCFA = abort);
PROVIDE(_Unwind_GetDataRelBase = abort);
PROVIDE(_Unwind_GetGR = abort);
PROVIDE(_Unwind_GetIP = abort);
PROVIDE(_Unwind_GetIPInfo = abort);
PROVIDE(_Unwind_GetLanguageSpecificData = abort);
PROVIDE(_Unwind_GetRegionStart = abort);
PROVIDE(_Unwind_GetTextRelBase = abort);
PROVIDE(_Unwind_RaiseException = abort);
PROVIDE(_Unwind_Resume = abort);
PROVIDE(_Unwind_SetGR = abort);
PROVIDE(_Unwind_SetIP = abort);
";

/// Stands before the linker (gcc looks for `ld` where -B says). What prints a frame of a backtrace is never called, so
/// it need not refer to the readers of debugging information, and they go. Rust's own lld also folds equal functions.
const LINKER: &str = r#"#!/bin/sh
for argument; do
  shift
  case $argument in
    -lunwind) continue ;;
    *.rcgu.o)
      objcopy --remove-relocations='.text._RNC*3std3sys9backtrace10__print_fmts_*' \
        --remove-relocations='.text._RNSNvYNC*3std3sys9backtrace10__print_fmts_*' \
        --remove-relocations='.text._ZN3std3sys9backtrace10_print_fmt28_*' "$argument" ;;
  esac
  set -- "$@" "$argument"
done
if '@LLD@' -flavor gnu --version >/dev/null 2>&1; then
  exec '@LLD@' -flavor gnu --icf=all "$@"
fi
exec ld "$@"
"#;

/// A distribution's Rust may come without.
fn rust_lld() -> Option<String> {
    let sysroot = rustc(&["--print", "sysroot"])?;
    Some(format!("{}/lib/rustlib/{}/bin/rust-lld", sysroot.trim(), env::var("HOST").ok()?))
}

/// Older ones bring a musl that doesn't know packed relocations: the program would crash before `main`.
fn has_musl_1_2_5() -> bool {
    let version = rustc(&["--version"]);
    let minor = version.as_deref().and_then(|version| version.split('.').nth(1)?.parse().ok());
    minor.is_some_and(|minor: u32| minor >= 93)
}

fn rustc(arguments: &[&str]) -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()
}
