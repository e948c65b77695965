//! What a container may take.

use super::request::{Cpu, Memory, Pids, Resources};
use crate::agent::model::order::CPU_PERIOD;
use crate::wire::{
    podman::limits::DefaultLimits,
    podspec::{
        PodSpec,
        container::{Container, ResourceRequirements},
        values::{Quantity, ResourceList},
    },
};

/// Thousandths of a core.
pub(super) fn cpu_thousandths(amounts: &ResourceList) -> Option<u64> {
    amounts.get("cpu").and_then(Quantity::thousandths)
}

/// Bytes.
pub(super) fn memory(amounts: &ResourceList) -> Option<u64> {
    amounts.get("memory").and_then(Quantity::bytes)
}

/// µs per period; the kernel takes no less than a millisecond.
fn quota_micros(thousandths: u64) -> Option<u64> {
    (thousandths > 0).then(|| (thousandths.saturating_mul(CPU_PERIOD) / 1000).max(1000))
}

/// The limit of CPU time, in µs per period.
pub(in crate::wire) fn cpu_quota(written: &ResourceRequirements) -> Option<u64> {
    cpu_thousandths(&written.limits).and_then(quota_micros)
}

/// Of a pod as a whole, beside the limit of its CPU time, which the agent changes.
pub(super) fn pod_resources(written: &ResourceRequirements, quota: Option<u64>) -> Option<Resources> {
    let none = DefaultLimits { memory: None, cpu: None, pids: None };
    let Resources { cpu, memory, .. } = container_resources(written, &none, None);
    let shares = cpu.and_then(|cpu| cpu.shares);
    let cpu = (quota.is_some() || shares.is_some()).then_some(Cpu {
        quota,
        period: quota.map(|_| CPU_PERIOD),
        shares,
    });
    (cpu.is_some() || memory.is_some()).then_some(Resources { cpu, memory, pids: None })
}

/// What a container may take whose author says nothing of it, but of its pod.
pub(super) fn container_defaults(spec: &PodSpec, defaults: &DefaultLimits) -> DefaultLimits {
    let limits = &spec.resources.limits;
    DefaultLimits {
        memory: defaults.memory.filter(|_| memory(limits).is_none()),
        cpu: defaults.cpu.filter(|_| cpu_thousandths(limits).is_none()),
        pids: defaults.pids,
    }
}

/// With the limits that its author left out; those are no less than was requested.
pub(super) fn container_resources(
    written: &ResourceRequirements,
    defaults: &DefaultLimits,
    pids: Option<u32>,
) -> Resources {
    let [cpu_request, cpu_limit] = [cpu_thousandths(&written.requests), cpu_thousandths(&written.limits)];
    let [memory_request, memory_limit] = [memory(&written.requests), memory(&written.limits)];
    let cpu_default = defaults.cpu.map(|cpu| u64::from(cpu).max(cpu_request.unwrap_or(0)));
    let memory_default = defaults.memory.map(|memory| memory.max(memory_request.unwrap_or(0)));
    let quota = cpu_limit.or(cpu_default).and_then(quota_micros);
    let limit = memory_limit.or(memory_default).filter(|bytes| *bytes > 0);
    let shares = cpu_request.or(cpu_limit);
    let shares = shares.map(|thousandths| (thousandths.saturating_mul(1024) / 1000).clamp(2, 262_144));
    Resources {
        cpu: (quota.is_some() || shares.is_some()).then_some(Cpu {
            quota,
            period: quota.map(|_| CPU_PERIOD),
            shares,
        }),
        memory: (limit.is_some() || memory_request.is_some())
            .then_some(Memory { limit, reservation: memory_request }),
        pids: pids.map(|limit| Pids { limit }),
    }
}

/// Which containers the kernel ends first when the device is out of memory, in the order of Kubernetes: those of a pod
/// that says nothing of what it takes, then those that requested little. One that says all stays as it is: what would
/// set it before the device's own programs takes rights that podman may not have.
pub(super) fn oom_score(spec: &PodSpec, container: &Container, all_memory: u64) -> Option<u64> {
    let is_of_pod = !spec.resources.limits.0.is_empty() || !spec.resources.requests.0.is_empty();
    let every = || {
        let all = spec.all_containers().map(|(_, container)| &container.resources);
        is_of_pod.then_some(&spec.resources).into_iter().chain(all.filter(move |_| !is_of_pod))
    };
    let amounts = |it: &ResourceRequirements, read: fn(&ResourceList) -> Option<u64>| {
        let given = |amounts: &ResourceList| read(amounts).filter(|amount| *amount > 0);
        (given(&it.requests), given(&it.limits))
    };
    let is_silent = |it: &ResourceRequirements| {
        [cpu_thousandths, memory].into_iter().all(|read| amounts(it, read) == (None, None))
    };
    let is_bound = |it: &ResourceRequirements| {
        let is_equal = |(request, limit): (Option<u64>, Option<u64>)| {
            limit.is_some() && (request.is_none() || request == limit)
        };
        [cpu_thousandths, memory].into_iter().all(|read| is_equal(amounts(it, read)))
    };
    if every().all(is_silent) {
        return Some(1000);
    }
    if every().all(is_bound) || all_memory == 0 {
        return None;
    }
    let (request, limit) = amounts(&container.resources, memory);
    let (of_pod, most) = amounts(&spec.resources, memory);
    // what the pod requested is its containers' in equal parts
    let part = of_pod.or(most).map(|bytes| bytes / spec.containers.len().max(1) as u64);
    let share = request.or(limit).or(part).unwrap_or(0).saturating_mul(1000) / all_memory;
    Some(1000_u64.saturating_sub(share).clamp(3, 999))
}
