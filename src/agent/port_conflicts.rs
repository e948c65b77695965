//! Pods that want the same of the host: the one that has it keeps it, and the other says whose it is.

use super::{
    model::{
        order::{Fact, Failure},
        workload::WorkloadId,
    },
    reconcile::{self, Workloads},
};

/// A host port that another workload's pod has and keeps can't be had by the workload of this name. A pod that is
/// terminating gives its own away.
pub(super) fn refuse_taken_port(
    name: &str,
    result: Result<Fact, Failure>,
    workloads: &Workloads,
) -> Result<Fact, Failure> {
    let Ok(Fact::Fit { holders, .. }) = &result else { return result };
    let keeps = |(port, id): &(String, WorkloadId)| {
        let other = reconcile::find_by_id(workloads, id).filter(|it| it.name() != name)?;
        Some(format!("host port {port} is taken by workload '{}'", other.name()))
    };
    match holders.iter().find_map(keeps) {
        Some(cause) => Err(Failure::Workload(cause)),
        None => result,
    }
}
