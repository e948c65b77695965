//! What a container may take.

use super::{
    part::{Part, Problem},
    request::{Cpu, Memory, Pids, Resources},
};
use crate::{agent::model::quantity as unit, wire::podman::pod::Limits};

/// µs; what a limit of CPU time is counted in.
pub(super) const PERIOD: u64 = 100_000;
/// Bytes; below it is no limit but a mistake: nothing starts in a page.
const LEAST_MEMORY: u64 = 4096;

/// A quantity of CPU in thousandths of a core, or of memory in bytes.
pub(super) fn quantity(part: &Part, is_cpu: bool) -> Result<Option<u64>, Problem> {
    let text = match part.value {
        serde_json::Value::Null => return Ok(None),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => return part.problem("must be a quantity, such as 64Mi or 500m"),
    };
    match if is_cpu { unit::thousandths(&text) } else { unit::bytes(&text) } {
        Some(amount) => Ok(Some(amount)),
        None => part.problem(format!("`{text}` is no quantity, such as 64Mi or 500m")),
    }
}

/// Thousandths of a core, of its `limits` or `requests`.
pub(super) fn cpu(container: &Part, list: &str) -> Result<Option<u64>, Problem> {
    quantity(&container.get("resources").get(list).get("cpu"), true)
}

/// Bytes, of its `limits` or `requests`.
pub(super) fn memory(container: &Part, list: &str) -> Result<Option<u64>, Problem> {
    let part = container.get("resources").get(list).get("memory");
    let bytes = quantity(&part, false)?;
    if let (Some(1..LEAST_MEMORY), Some(text)) = (bytes, part.value.as_str()) {
        let meant = text.strip_suffix('m').map(|number| format!(": did you mean `{number}Mi`?"));
        return part
            .problem(format!("`{text}` is less than {LEAST_MEMORY} bytes{}", meant.unwrap_or_default()));
    }
    Ok(bytes)
}

/// With the limits that its author left out; those are no less than was requested.
pub(super) fn of(container: &Part, defaults: &Limits, pids: Option<u32>) -> Result<Resources, Problem> {
    let resources = container.get("resources");
    for name in resources.get("limits").value.as_object().into_iter().flat_map(|limits| limits.keys()) {
        if name.contains('/') && !name.starts_with("hugepages-") {
            return resources.get("limits").problem_at(name.as_str(), "this device has nothing by that name");
        }
    }
    let [cpu_request, cpu_limit] = [cpu(container, "requests")?, cpu(container, "limits")?];
    let [memory_request, memory_limit] = [memory(container, "requests")?, memory(container, "limits")?];
    for (name, request, limit) in [("cpu", cpu_request, cpu_limit), ("memory", memory_request, memory_limit)]
    {
        if limit.is_some_and(|limit| request.is_some_and(|request| request > limit)) {
            let message = format!("its request for {name} is above its limit");
            return resources.get("requests").problem_at(name, message);
        }
    }
    let cpu_default = defaults.cpu.map(|cpu| u64::from(cpu).max(cpu_request.unwrap_or(0)));
    let memory_default = defaults.memory.map(|memory| memory.max(memory_request.unwrap_or(0)));
    let quota = cpu_limit.or(cpu_default).filter(|thousandths| *thousandths > 0);
    // the kernel takes no less than a millisecond
    let quota = quota.map(|thousandths| (thousandths.saturating_mul(PERIOD) / 1000).max(1000));
    let limit = memory_limit.or(memory_default).filter(|bytes| *bytes > 0);
    let shares = cpu_request.or(cpu_limit);
    let shares = shares.map(|thousandths| (thousandths.saturating_mul(1024) / 1000).clamp(2, 262_144));
    Ok(Resources {
        cpu: (quota.is_some() || shares.is_some()).then_some(Cpu {
            quota,
            period: quota.map(|_| PERIOD),
            shares,
        }),
        memory: (limit.is_some() || memory_request.is_some())
            .then_some(Memory { limit, reservation: memory_request }),
        pids: pids.map(|limit| Pids { limit }),
    })
}
