//! How long a workload waits after a failure.

use super::*;

impl Rules<'_> {
    /// A wait that begins must end in time.
    pub(in super::super) fn waits(&mut self, agent: &Agent, now: Now) -> Holds {
        for (name, account) in self.accounts.iter_mut().enumerate() {
            let Some(spec) = account.spec else { continue };
            let Some(Phase::Waiting { until }) = agent.workloads.get(NAMES[name]).map(|it| it.phase) else {
                continue;
            };
            if std::mem::replace(&mut account.until, until) == until {
                continue;
            }
            let longest = match spec.schedule().backoff() {
                Backoff::Constant(wait) => *wait.max(&REMOVE_AGAIN),
                Backoff::Exponential { .. } => Backoff::MAX_DELAY,
            };
            if until > now.up + longest {
                let wait = until - now.up;
                return broken(Invariant::BackOff, format!("'{}' waits for {wait:?}", NAMES[name]));
            }
        }
        Ok(())
    }
}
