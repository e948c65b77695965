//! `doctor`: looks for what could keep the agent from its work, and says what to do about it. It changes nothing, and
//! needs no agent that runs.

mod device;
mod findings;
mod firewall;
mod link;
mod podman;

use std::path::Path;

use serde_json::Value;

pub use self::findings::Findings;
use crate::{
    io::command_socket,
    settings::{Settings, UnusableSettings},
};

/// Looks at everything.
pub fn examine(settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    let (runs, status) = check_agent(&settings.runtime_dir, &mut findings);
    if settings.manifests.is_none() && settings.server.is_none() {
        let says = "neither MANIFESTS nor SERVER is given: nothing says what to run";
        findings.add_bad("settings", says, "set one of them; see 'device-worker-ng --help'");
    }
    device::check_clock(&settings.state_dir, &mut findings);
    device::check_directories(settings, &mut findings);
    device::check_podman(settings, &status, &mut findings);
    device::check_control_groups(settings, &mut findings);
    device::check_metrics_endpoint(settings, runs.then_some(&status), &mut findings);
    link::check_identity(settings, &mut findings);
    link::check_server(settings, &status, &mut findings);
    findings
}

/// Looks at what needs no settings.
pub fn examine_without_settings(unusable: &UnusableSettings) -> Findings {
    let mut findings = Findings::default();
    check_agent(&unusable.runtime_dir, &mut findings);
    let remedy = "correct that: nothing else can be looked at, and the agent couldn't start again with it";
    findings.add_bad("settings", unusable.fault.to_string(), remedy);
    findings
}

/// Whether the agent answers, and how everything is.
fn check_agent(runtime_dir: &Path, findings: &mut Findings) -> (bool, Value) {
    let answer = command_socket::ask_agent(runtime_dir, &["status".to_owned(), "--json".to_owned()]);
    match &answer {
        Ok((0 | 1, text)) => {
            findings.add_good("agent", "it runs, and answers");
            return (true, text.parse().unwrap_or_default());
        }
        Ok((_, said)) => findings.add_bad("agent", said.trim(), "see 'journalctl -u device-worker-ng'"),
        Err(cause) => {
            findings.add_bad(
                "agent",
                cause,
                "start it: 'systemctl start device-worker-ng'; or give --config",
            );
        }
    }
    (answer.is_ok(), Value::Null)
}
