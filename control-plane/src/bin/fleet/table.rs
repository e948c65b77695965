//! What was measured, as people read it.

use std::fmt;

use device_worker_ng::agent::model::call::CallKind;

use crate::figures::{Entry, quantile};

/// The steady state.
#[derive(Default)]
pub(crate) struct Steady {
    pub(crate) seconds: f64,
    /// Shares of a core.
    pub(crate) server_cpu: f64,
    pub(crate) own_cpu: f64,
    /// To the API server, per second.
    pub(crate) writes: f64,
    /// MiB.
    pub(crate) memory: f64,
    pub(crate) peak_memory: f64,
    pub(crate) entries: Vec<Entry>,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) devices: usize,
    pub(crate) period: u64,
    pub(crate) workloads: usize,
    /// Seconds.
    pub(crate) let_in: f64,
    pub(crate) let_in_writes: f64,
    pub(crate) let_in_cpu: f64,
    pub(crate) steady: Steady,
    pub(crate) change: f64,
    pub(crate) change_cpu: f64,
    pub(crate) change_writes: f64,
    /// MiB, at most until then.
    pub(crate) change_memory: f64,
    pub(crate) stop: f64,
    pub(crate) start: f64,
    pub(crate) back: f64,
    /// Calls per second.
    pub(crate) peak: f64,
    pub(crate) connected: usize,
    pub(crate) memory_after: f64,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { devices, period, workloads, steady, .. } = self;
        let calls = steady.entries.len() as f64;
        let rate = calls / steady.seconds;
        let mut row = |what: &str, value: String| writeln!(f, "| {what} | {value} |");
        row("what", "measured".to_owned())?;
        row("---", "---".to_owned())?;
        row("devices", format!("{devices}, each with {workloads} workloads, period {period} s"))?;
        row(
            "letting in",
            format!(
                "{:.0} s; {:.1} writes and {:.1} ms of server CPU a device",
                self.let_in,
                self.let_in_writes / *devices as f64,
                self.let_in_cpu * 1e3 / *devices as f64
            ),
        )?;
        row(
            "steady: server CPU",
            format!("{:.3} of a core ({:.2} ms a call)", steady.server_cpu, steady.server_cpu * 1e3 / rate),
        )?;
        row(
            "steady: server memory",
            format!("{:.0} MiB (at most so far {:.0})", steady.memory, steady.peak_memory),
        )?;
        row("steady: calls", format!("{rate:.1}/s"))?;
        for kind in [CallKind::Heartbeat, CallKind::Configuration, CallKind::Control] {
            let mut times: Vec<f64> = steady
                .entries
                .iter()
                .filter(|entry| entry.kind == kind)
                .map(|entry| entry.seconds * 1e3)
                .collect();
            times.sort_by(f64::total_cmp);
            let at = |share| quantile(&times, share);
            row(
                &format!("steady: {kind:?}"),
                format!("p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(0.5), at(0.99), at(1.0)),
            )?;
        }
        let bad = steady.entries.iter().filter(|entry| entry.status != 200).count();
        row("steady: not answered 200", bad.to_string())?;
        row("steady: writes to the API server", format!("{:.2}/s", steady.writes))?;
        row(
            "a change for all",
            format!(
                "delivered to the last device after {:.1} s; meanwhile {:.2} of a core, {:.0} writes/s, at \
                 most {:.0} MiB",
                self.change, self.change_cpu, self.change_writes, self.change_memory
            ),
        )?;
        row(
            "restart",
            format!(
                "ended in {:.1} s, started in {:.1} s; all devices back {:.1} s later",
                self.stop, self.start, self.back
            ),
        )?;
        row(
            "restart: calls",
            format!(
                "{:.1}/s at most (5 s), {:.2} × steady; {} connections",
                self.peak,
                self.peak / rate,
                self.connected
            ),
        )?;
        row("restart: server memory", format!("{:.0} MiB", self.memory_after))?;
        row("the simulator itself", format!("{:.3} of a core", steady.own_cpu))
    }
}
