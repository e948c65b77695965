//! Pods that want the same of the host: the one that has it keeps it, and the other says whose it is.

use super::{
    Agent, Tracked,
    order::{Fact, Failure},
    workload::WorkloadId,
};

impl Agent {
    /// A host port that another workload's pod has and keeps can't be had. One that is leaving gives its own away.
    pub(super) fn without_rivals(&self, name: &str, result: Result<Fact, Failure>) -> Result<Fact, Failure> {
        let Ok(Fact::Fit { holders, .. }) = &result else { return result };
        let keeps = |(port, id): &(String, WorkloadId)| {
            let wants = |it: &&Tracked| it.wanted().is_some_and(|wanted| wanted.id == *id);
            let other = self.tracked.values().find(wants).filter(|it| it.name() != name)?;
            Some(format!("host port {port} is taken by workload '{}'", other.name()))
        };
        match holders.iter().find_map(keeps) {
            Some(cause) => Err(Failure::Workload(cause)),
            None => result,
        }
    }
}
