//! Limits of pods and containers that podman itself doesn't set.

use super::TaskRunner;
use crate::{
    agent::model::{
        order::{CpuLimit, Fact, Failure},
        workload::WorkloadId,
    },
    io::{lock, podman::cgroup::LimitError},
};

impl TaskRunner {
    /// Bounds the CPU time of a whole pod; podman is asked only where it has to be.
    pub(super) fn limit_cpu(&self, id: &WorkloadId, cpu: CpuLimit) -> Result<Fact, Failure> {
        let known = lock(&self.cgroups).get(id).cloned();
        let cgroup = match known {
            None if self.inspect(id)?.is_none() => return Ok(Fact::Gone),
            None => lock(&self.cgroups).get(id).cloned(),
            known => known,
        };
        let own = || {
            let all = self.inspect_all(id).ok().flatten().map(|asked| asked.all);
            all.into_iter().flatten().map(|one| (one.answer.id.clone(), one.answer.cpu_limit())).collect()
        };
        let limited =
            cgroup.ok_or(LimitError::Missing).and_then(|(cgroup, _)| cgroup.set_cpu_limit(cpu, &own));
        limited.map_err(|error| Failure::Workload(error.to_string()))?;
        if let Some((_, kept)) = lock(&self.cgroups).get_mut(id) {
            *kept = cpu;
        }
        Ok(Fact::Limited)
    }

    /// systemd knows nothing of these limits, and takes them back whenever its units are loaded anew.
    pub(super) fn reapply_limits(&self) {
        for (id, (cgroup, cpu)) in lock(&self.cgroups).iter() {
            if cpu.is_some() && cgroup.cpu_limit() != *cpu {
                match cgroup.set_cpu_limit(*cpu, &Vec::new) {
                    Ok(()) => log::debug!("pod '{id}' had lost its CPU limit, and has it again"),
                    Err(error) => log::debug!("pod '{id}' has lost its CPU limit: {error}"),
                }
            }
        }
    }
}
