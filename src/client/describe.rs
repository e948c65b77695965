//! What podman knows of a workload's containers, beside what the agent does.

use serde_json::{Value, json};

use super::{
    output::Screen,
    place::{PodmanContainer, WorkloadLocator},
};
use crate::{
    agent::{
        model::{
            order::{CPU_PERIOD, normalize_cpu_quota},
            quantity,
            time::format_timestamp,
        },
        view::table::table,
    },
    wire::podman::{answers::parse_time, names::infra_name},
};

/// Adds them to a description. What can't be had of podman is left out: the agent has said why.
pub(super) fn add_containers(place: &WorkloadLocator, screen: &Screen, text: &mut String) {
    let podman = place.podman(place.workload_text("engine"));
    let listed = place.containers();
    let is_known = listed.is_ok();
    let containers = listed.unwrap_or_default();
    let first = containers.first();
    if first.is_none() && !screen.is_json {
        return;
    }
    let inspect = |name: &str| podman.get(&format!("containers/{name}/json"), &[]).unwrap_or_default();
    let infra = first.map(|first| inspect(&infra_name(&first.pod))).unwrap_or_default();
    let networks = &infra["NetworkSettings"]["Networks"];
    let networks = networks.as_object().into_iter().flat_map(|networks| networks.values());
    let fields = ["IPAddress", "GlobalIPv6Address"];
    let all = networks.flat_map(|network| fields.map(|field| network[field].as_str().unwrap_or_default()));
    let addresses: Vec<String> = all.filter(|it| !it.is_empty()).map(str::to_owned).collect();
    let mut all: Vec<Value> = Vec::new();
    let other = first.map(|first| &first.pod).filter(|pod| *pod != place.workload_text("pod"));
    let mut rows = vec![
        ("in pod", other.cloned().unwrap_or_default()),
        ("address", addresses.join(", ")),
        ("ports", first.map(|first| first.ports.join(", ")).unwrap_or_default()),
    ];
    for container in &containers {
        let told = container_details(container, &inspect(&container.id));
        rows.push(("container", container.name.clone()));
        let text = |field: &Value| match field {
            Value::Null => String::new(),
            Value::Array(list) => {
                list.iter().map(|it| it.as_str().unwrap_or_default()).collect::<Vec<_>>().join(", ")
            }
            other => other.as_str().map_or_else(|| other.to_string(), str::to_owned),
        };
        for field in SHOWN_FIELDS {
            rows.push((field, text(&told[field])));
        }
        all.push(told);
    }
    let addition = if screen.is_json {
        text.truncate(text.trim_end().trim_end_matches('}').len());
        let (addresses, all) = (is_known.then_some(addresses), is_known.then_some(all));
        format!(",\"addresses\":{},\"containers\":{}}}\n", json!(addresses), json!(all))
    } else {
        rows.retain(|(_, value)| !value.is_empty());
        let row = |(key, value): (&str, String)| {
            let indent = if SHOWN_FIELDS.contains(&key) { "  " } else { "" };
            vec![format!("{indent}{key}"), value]
        };
        format!("\n{}", table(&rows.into_iter().map(row).collect::<Vec<_>>(), screen.page_look()))
    };
    text.push_str(&place.redactor.redact(&addition));
}

/// In the order in which people read them.
const SHOWN_FIELDS: [&str; 10] =
    ["image", "digest", "command", "state", "started", "ended", "exit", "mounts", "limits", "requests"];

/// What an inspection tells, by [field](FIELDS).
fn container_details(container: &PodmanContainer, inspected: &Value) -> Value {
    let Value::Object(_) = inspected else { return json!({ "name": container.name }) };
    let (state, host) = (&inspected["State"], &inspected["HostConfig"]);
    let time = |field: &str| state[field].as_str().and_then(parse_time).map(format_timestamp);
    let command = [&inspected["Path"]].into_iter().chain(inspected["Args"].as_array().into_iter().flatten());
    let command: Vec<&str> = command.filter_map(Value::as_str).collect();
    let mount = |mount: &Value| {
        let text = |field: &str| mount[field].as_str().unwrap_or_default();
        let from = if text("Type") == "volume" { text("Name") } else { text("Source") };
        let mode = if mount["RW"] == false { " (read-only)" } else { "" };
        format!("{} from {from}{mode}", text("Destination"))
    };
    let number = |field: &str| host[field].as_u64().filter(|number| *number > 0);
    let memory = |field: &str| number(field).map(|bytes| format!("memory {}", quantity::format_exact(bytes)));
    let cpu = number("CpuQuota").map(|quota| normalize_cpu_quota(quota, number("CpuPeriod")));
    let cpu = cpu.map(|limit| format!("cpu {}m", limit / (CPU_PERIOD / 1000)));
    let processes = number("PidsLimit").map(|limit| format!("{limit} processes"));
    let requested = number("CpuShares").map(|shares| format!("cpu {}m", (shares * 1000).div_ceil(1024)));
    let has_ended = state["Running"] != true && time("StartedAt").is_some();
    let memory_killed = if state["OOMKilled"] == true { ", out of memory" } else { "" };
    let mounts: Vec<String> = inspected["Mounts"].as_array().into_iter().flatten().map(mount).collect();
    let limits: Vec<String> = [memory("Memory"), cpu, processes].into_iter().flatten().collect();
    let requests: Vec<String> = [memory("MemoryReservation"), requested].into_iter().flatten().collect();
    json!({
        "name": container.name,
        "image": inspected["ImageName"],
        "digest": inspected["ImageDigest"],
        "command": command.join(" "),
        "state": state["Status"],
        "started": time("StartedAt"),
        "ended": time("FinishedAt").filter(|_| has_ended),
        "exit": has_ended.then(|| format!("{}{memory_killed}", state["ExitCode"])),
        "mounts": mounts,
        "limits": limits,
        "requests": requests,
    })
}
