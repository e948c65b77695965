//! Tells the agent when it was built: no certificate is judged by a clock that reads less. And keeps the static
//! binary small.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};

// the agent's own clocks are read in one place; this is no part of it
#[allow(clippy::disallowed_methods)]
fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    make_page(&out)?;
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    println!("cargo::rustc-env=BUILD_TIME={}", given.unwrap_or_else(now));

    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("PROFILE", "release") {
        let mut script = NO_UNWIND_TABLES.to_owned();
        let arch = |name: &str| env::var(name).ok()?.split('-').next().map(str::to_owned);
        let is_native = arch("HOST") == arch("TARGET");
        let lld = rust_lld();
        // the system's own linker is no cross linker, Rust's is
        let is_able = is_native || lld.is_some();
        if is_able && matches!(arch("TARGET").as_deref(), Some("x86_64" | "aarch64")) {
            script += NO_UNWINDER;
            let linker = out.join("ld");
            let compiler = env::var("RUSTC_LINKER").unwrap_or_default();
            let tools = compiler.strip_suffix("gcc").filter(|_| !is_native).unwrap_or_default();
            let here = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
            let text = LINKER.replace("@LLD@", &lld.unwrap_or_default()).replace("@TOOLS@", tools);
            let text = text.replace("@HOT@", &format!("{here}/{HOT}"));
            fs::write(&linker, text.replace("@ORDER@", &out.join("order").display().to_string()))?;
            fs::set_permissions(&linker, fs::Permissions::from_mode(0o755))?;
            println!("cargo::rerun-if-changed={HOT}");
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

/// The status page.
const PAGE: &str = "src/io/metrics/receiver/page.html";

/// The page as it is sent: compressed, which saves 16 KB of the binary. And the hashes by which it lets its own style and
/// script run.
fn make_page(out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={PAGE}");
    let page = tight(&fs::read_to_string(PAGE)?);
    for (tag, variable) in [("style", "PAGE_STYLE"), ("script", "PAGE_SCRIPT")] {
        let of = |text: &str| {
            Some(text.split_once(&format!("<{tag}>"))?.1.split_once(&format!("</{tag}>"))?.0.to_owned())
        };
        let inner = of(&page).ok_or_else(|| io::Error::other(format!("{PAGE} has no <{tag}>")))?;
        let sum = through("sha256sum", &["--binary"], &inner)?;
        println!("cargo::rustc-env={variable}={}", base64(&sum)?);
    }
    fs::write(out.join("page.html.gz"), through("gzip", &["-9", "-n"], &page)?)?;
    fs::write(out.join("page.html"), page)
}

/// A SHA-256 as `sha256sum` prints it, in base64.
fn base64(sum: &[u8]) -> io::Result<String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| Some((digit(&pair[0])? << 4 | digit(&pair[1])?) as u8);
    let bytes: Option<Vec<u8>> = sum.get(..64).and_then(|hex| hex.chunks(2).map(byte).collect());
    let bytes = bytes.ok_or_else(|| io::Error::other("sha256sum printed something else"))?;
    Ok(BASE64_STANDARD.encode(bytes))
}

/// What a program makes of this text, which no pipe is too small for.
fn through(program: &str, arguments: &[&str], text: &str) -> io::Result<Vec<u8>> {
    let failed = |why: String| io::Error::other(format!("failed to run '{program}': {why}"));
    let mut command = Command::new(program);
    let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(output.status.to_string())) }
}

/// Without indentation, empty lines and comments that have a line of their own.
fn tight(page: &str) -> String {
    let lines = page.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
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

/// The functions that an agent uses in its day, first those of each day: see docs/building.md. In the order of their
/// crates they lie all over the binary, and the kernel maps it in pieces of 64 KiB around what is used: all of it would
/// be in memory.
const HOT: &str = "packaging/hot-functions";

/// Stands before the linker (gcc looks for `ld` where -B says). What prints a frame of a backtrace is never called, so
/// it need not refer to the readers of debugging information, and they go. Rust's own lld also folds equal functions,
/// and puts those of [`HOT`] side by side. (The list has them
/// demangled: without what a compiler, a crate's version and the optimiser add. C's functions, in other objects, are
/// there by their own names.)
const LINKER: &str = r#"#!/bin/sh
export LC_ALL=C
objects=
for argument; do
  shift
  case $argument in
    -lunwind) continue ;;
    *.rcgu.o)
      '@TOOLS@objcopy' --remove-relocations='.text._RNC*3std3sys9backtrace10__print_fmts_*' \
        --remove-relocations='.text._RNSNvYNC*3std3sys9backtrace10__print_fmts_*' \
        --remove-relocations='.text._ZN3std3sys9backtrace10_print_fmt28_*' "$argument"
      objects="$argument $objects" ;;
    *libcompiler_builtins-*.rlib) objects="$objects $argument" ;;
  esac
  set -- "$@" "$argument"
done
if '@LLD@' -flavor gnu --version >/dev/null 2>&1; then
  names() { '@TOOLS@nm' --defined-only --no-sort --format=posix "$@" $objects; }
  names --demangle >'@ORDER@.read'
  names | paste - '@ORDER@.read' | awk -F'\t' '
    NR == FNR { if (!/^#/) hot[$0] = ++count; if (/^[a-zA-Z0-9_]+$/) print count, $0; next }
    { split($1, raw, " "); name = $2; sub(/ [a-zA-Z] [0-9a-f]+( [0-9a-f]*)?$/, "", name) }
    raw[2] !~ /^[tTwW]$/ { next }
    { sub(/ \[clone[^]]*\]$/, "", name); sub(/\.(llvm\.)?[0-9]+$/, "", name) }
    { sub(/^OUTLINED_FUNCTION[_0-9]*$/, "OUTLINED_FUNCTION", name) }
    name in hot { print hot[name], raw[1] }
  ' '@HOT@' - | sort -n -k1,1 -k2 | cut -d' ' -f2 >'@ORDER@'
  exec '@LLD@' -flavor gnu --icf=all --symbol-ordering-file='@ORDER@' --no-warn-symbol-ordering "$@"
fi
exec ld "$@"
"#;

/// A distribution's Rust may come without.
fn rust_lld() -> Option<String> {
    let sysroot = rustc(&["--print", "sysroot"])?;
    let lld = format!("{}/lib/rustlib/{}/bin/rust-lld", sysroot.trim(), env::var("HOST").ok()?);
    Path::new(&lld).exists().then_some(lld)
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
