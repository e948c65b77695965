//! A Kubernetes API server of a test's own. The tests of the control plane have this file, too.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// What `tool` brings, and the kubeconfig of its administrator. It ends when its input does.
pub fn start(tool: OsString) -> (Child, PathBuf) {
    let mut command = Command::new(tool);
    command.args(["--", "sh", "-c", r#"echo "$KUBECONFIG"; exec cat"#]);
    let mut sandbox = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut file = String::new();
    BufReader::new(sandbox.stdout.as_mut().unwrap()).read_line(&mut file).unwrap();
    assert!(!file.trim().is_empty(), "a cluster");
    (sandbox, file.trim().into())
}
