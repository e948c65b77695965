//! What the service manager hears: ready, alive, and a line for `systemctl status`.

use std::{collections::BTreeMap, time::Duration};

use log::debug;
use sd_notify::NotifyState;

use crate::agent::Agent;

/// The way to the service manager; without one, everything here does nothing.
pub struct ServiceNotifier {
    watchdog: Option<Duration>,
    /// When it was last fed, since boot.
    fed: Duration,
    /// Whether there is a reader of the status line.
    has_reader: bool,
    status: String,
    /// Of the agent, when the status line was last made.
    revision: u64,
}

impl ServiceNotifier {
    /// As the environment says.
    pub fn of_environment() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled(),
            fed: Duration::ZERO,
            has_reader: std::env::var_os("NOTIFY_SOCKET").is_some(),
            status: String::new(),
            revision: 0,
        }
    }

    /// Says that the agent is up: at its start, and after a reload.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// Says that the settings are read again, up to the next [`ready`](Self::ready), by whatever process. The time
    /// is for a unit of `Type=notify-reload`: the packaged one isn't, as systemd before 253 doesn't know it.
    pub fn reloading(&self) {
        let since = NotifyState::monotonic_usec_now();
        let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(since.ok()).collect();
        self.send(&states);
    }

    /// Says that the agent ends because it was asked to.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping, NotifyState::Status("ending; the workloads stay")]);
    }

    /// The longest time that the loop may sleep for the watchdog's sake.
    pub fn longest_sleep(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 3)
    }

    /// The loop is alive at this time since boot: from here, and nowhere else, the watchdog is fed. Thousands of
    /// posts a second are no reason to tell it as often.
    pub fn feed_watchdog(&mut self, agent: &Agent, now: Duration) {
        // With the longest sleep after it, this is half of the limit.
        if self.watchdog.is_some_and(|limit| now.saturating_sub(self.fed) >= limit / 6) {
            self.fed = now;
            self.send(&[NotifyState::Watchdog]);
        }
        if !self.has_reader || self.revision == agent.revision() {
            return;
        }
        self.revision = agent.revision();
        let status = summary(agent);
        if status != self.status {
            self.send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            debug!("failed to notify the service manager: {error}");
        }
    }
}

/// For example `3 workloads: 1 back-off, 2 running; server: linked; podman doesn't answer`.
fn summary(agent: &Agent) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in agent.workload_states() {
        *counts.entry(state.state_name()).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    let parts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let (s, colon) = (if total == 1 { "" } else { "s" }, if parts.is_empty() { "" } else { ": " });
    let mut text = format!("{total} workload{s}{colon}{}", parts.join(", "));
    if let Some(link) = agent.link_summary() {
        text.push_str(&format!("; server: {link}"));
    }
    for engine in agent.missing_engines() {
        text.push_str(&format!("; {engine} doesn't answer"));
    }
    text
}
