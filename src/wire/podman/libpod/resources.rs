//! What a container may take.

use super::request::{Cpu, Memory, Pids, Resources};
use crate::wire::{
    podman::pod::Limits,
    podspec::{
        container::ResourceRequirements,
        values::{Amounts, Quantity},
    },
};

/// µs; what a limit of CPU time is counted in.
pub(super) const PERIOD: u64 = 100_000;

/// Thousandths of a core.
pub(super) fn cpu(amounts: &Amounts) -> Option<u64> {
    amounts.get("cpu").and_then(Quantity::thousandths)
}

/// Bytes.
pub(super) fn memory(amounts: &Amounts) -> Option<u64> {
    amounts.get("memory").and_then(Quantity::bytes)
}

/// With the limits that its author left out; those are no less than was requested.
pub(super) fn of(written: &ResourceRequirements, defaults: &Limits, pids: Option<u32>) -> Resources {
    let [cpu_request, cpu_limit] = [cpu(&written.requests), cpu(&written.limits)];
    let [memory_request, memory_limit] = [memory(&written.requests), memory(&written.limits)];
    let cpu_default = defaults.cpu.map(|cpu| u64::from(cpu).max(cpu_request.unwrap_or(0)));
    let memory_default = defaults.memory.map(|memory| memory.max(memory_request.unwrap_or(0)));
    let quota = cpu_limit.or(cpu_default).filter(|thousandths| *thousandths > 0);
    // the kernel takes no less than a millisecond
    let quota = quota.map(|thousandths| (thousandths.saturating_mul(PERIOD) / 1000).max(1000));
    let limit = memory_limit.or(memory_default).filter(|bytes| *bytes > 0);
    let shares = cpu_request.or(cpu_limit);
    let shares = shares.map(|thousandths| (thousandths.saturating_mul(1024) / 1000).clamp(2, 262_144));
    Resources {
        cpu: (quota.is_some() || shares.is_some()).then_some(Cpu {
            quota,
            period: quota.map(|_| PERIOD),
            shares,
        }),
        memory: (limit.is_some() || memory_request.is_some())
            .then_some(Memory { limit, reservation: memory_request }),
        pids: pids.map(|limit| Pids { limit }),
    }
}
