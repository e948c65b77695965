//! `doctor`: looks for what could keep the agent from its work, and says what to do about it. It changes nothing, and
//! needs no agent that runs.

mod device;
mod holder;
mod link;

use std::{fmt::Write, path::Path};

use serde::Serialize;
use serde_json::Value;

use crate::{
    agent::legible::line,
    io::command_socket,
    settings::{Settings, Unusable},
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    /// It works, but not all of it.
    Doubt,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    /// `good`, `doubt` or `bad`.
    verdict: &'static str,
    says: String,
    remedy: Option<String>,
}

/// All that was looked at.
#[derive(Debug, Default)]
pub struct Findings {
    all: Vec<Finding>,
    is_bad: bool,
}

/// Looks at everything.
pub fn examine(settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    let (runs, status) = agent(&settings.runtime_dir, &mut findings);
    if settings.manifests.is_none() && settings.server.is_none() {
        let says = "neither MANIFESTS nor SERVER is given: nothing says what to run";
        findings.bad("settings", says, "set one of them; see 'device-worker-ng --help'");
    }
    device::clock(settings, &mut findings);
    device::directories(settings, &mut findings);
    device::podman(settings, &status, &mut findings);
    device::control_groups(settings, &mut findings);
    device::endpoint(settings, runs.then_some(&status), &mut findings);
    link::identity(settings, &mut findings);
    link::server(settings, &status, &mut findings);
    findings
}

/// Looks at what needs no settings.
pub fn without_settings(unusable: &Unusable) -> Findings {
    let mut findings = Findings::default();
    agent(&unusable.runtime_dir, &mut findings);
    let remedy = "correct that: nothing else can be looked at, and the agent couldn't start again with it";
    findings.bad("settings", unusable.fault.to_string(), remedy);
    findings
}

/// Whether the agent answers, and how everything is.
fn agent(runtime_dir: &Path, findings: &mut Findings) -> (bool, Value) {
    let answer = command_socket::ask(runtime_dir, &["status".to_owned(), "--json".to_owned()]);
    match &answer {
        Ok((0 | 1, text)) => {
            findings.good("agent", "it runs, and answers");
            return (true, text.parse().unwrap_or_default());
        }
        Ok((_, said)) => findings.bad("agent", said.trim(), "see 'journalctl -u device-worker-ng'"),
        Err(cause) => {
            findings.bad("agent", cause, "start it: 'systemctl start device-worker-ng'; or give --config");
        }
    }
    (answer.is_ok(), Value::Null)
}

impl Findings {
    fn add(
        &mut self,
        verdict: Verdict,
        what: impl Into<String>,
        says: impl Into<String>,
        remedy: Option<&str>,
    ) {
        let word = match verdict {
            Verdict::Good => "good",
            Verdict::Doubt => "doubt",
            Verdict::Bad => "bad",
        };
        self.is_bad |= verdict == Verdict::Bad;
        let remedy = remedy.map(str::to_owned);
        self.all.push(Finding { what: what.into(), verdict: word, says: says.into(), remedy });
    }

    fn good(&mut self, what: impl Into<String>, says: impl Into<String>) {
        self.add(Verdict::Good, what, says, None);
    }

    fn doubt(&mut self, what: impl Into<String>, says: impl Into<String>, remedy: &str) {
        self.add(Verdict::Doubt, what, says, Some(remedy));
    }

    fn bad(&mut self, what: impl Into<String>, says: impl Into<String>, remedy: &str) {
        self.add(Verdict::Bad, what, says, Some(remedy));
    }

    /// Nothing keeps the agent from its work.
    pub fn is_good(&self) -> bool {
        !self.is_bad
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Finding { what, verdict, says, remedy } in &self.all {
            let _ = writeln!(text, "{verdict:<6} {}", line(&format!("{what}: {says}")));
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "       remedy: {}", line(remedy));
            }
        }
        text
    }

    /// For scripts.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.all).unwrap_or_default() + "\n"
    }
}
