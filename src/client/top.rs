//! What workloads use, as the kernel counts it at the moment.

use std::collections::BTreeMap;

use rustix::event::{Timespec, poll};
use serde_json::{Value, json};

use super::{
    output::Screen,
    place::{PodmanContainer, WorkloadLocator},
};
use crate::{
    agent::{
        model::quantity,
        view::{document::json_document, table::table},
    },
    io::{
        clock,
        command_socket::ExitCode,
        podman::{Usage, usage},
        since_boot,
    },
};

/// For that long processor time is counted.
const SAMPLE_INTERVAL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Prints it, of all workloads or of the containers of one, and says with what code to end.
pub(super) fn top(place: &WorkloadLocator, screen: &Screen) -> Result<u8, String> {
    let of_one = !place.workload().is_null();
    let mut containers = Vec::new();
    if of_one {
        if place.workload_text("engine") == "kubernetes" {
            let name = place.workload_text("name");
            let text = format!("'{name}' runs in a cluster: kubectl top pods | grep '^{name}-'");
            return Ok(screen.print_failure(ExitCode::Bad, &text));
        }
        containers = place.containers()?;
    } else {
        for (_, podman) in place.podmans() {
            containers.extend(place.list_containers(&podman, &[])?);
        }
    }
    containers.retain(|it| it.pid > 0);
    let look = |it: &PodmanContainer| usage(it.pid, &it.id);
    let (begin, before) = (since_boot(), containers.iter().map(look).collect::<Vec<_>>());
    let _ = poll(&mut [], Some(&SAMPLE_INTERVAL)); // an error: it was shorter
    let (end, after) = (since_boot(), containers.iter().map(look).collect::<Vec<_>>());
    let passed = (end - begin).as_micros().max(1) as f64;
    let mut all: BTreeMap<&str, UsageSum> = BTreeMap::new();
    for ((container, before), after) in containers.iter().zip(before).zip(after) {
        let name = if of_one { &container.name } else { &container.workload };
        let used = before.cpu.zip(after.cpu).map(|(before, after)| after.saturating_sub(before));
        all.entry(name).or_default().add(&after, used.map(|used| used as f64 * 100.0 / passed));
    }
    let mut all: Vec<(&str, UsageSum)> = all.into_iter().collect();
    all.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.amounts[0]));
    let text = if screen.is_json {
        let json = |(name, sum): &(&str, UsageSum)| sum.json(name);
        let what = if of_one { "containers" } else { "workloads" };
        let all = json!({ what: all.iter().map(json).collect::<Vec<_>>() });
        json_document("", &all.to_string(), clock::wall())
    } else if all.is_empty() {
        "nothing runs\n".to_owned()
    } else {
        let what = if of_one { "CONTAINER" } else { "WORKLOAD" };
        let heads = [what, "MEMORY", "LIMIT", "CPU", "LIMIT", "PROCESSES", "LIMIT"].map(str::to_owned);
        let rows = all.iter().map(|(name, sum)| sum.row(name));
        table(&[heads.to_vec()].into_iter().chain(rows).collect::<Vec<_>>(), screen.page_look())
    };
    Ok(screen.print_result(ExitCode::Good as u8, &text))
}

/// Of several containers together: memory, processes, and the limits of memory, processor and processes; a limit only where
/// each has one.
#[derive(Default)]
struct UsageSum {
    amounts: [Option<u64>; 5],
    /// Of a core, in per cent.
    cpu: Option<f64>,
    is_begun: bool,
}

impl UsageSum {
    fn add(&mut self, of: &Usage, cpu: Option<f64>) {
        let amounts = [of.memory, of.processes, of.memory_limit, of.cpu_limit, of.processes_limit];
        for (at, (sum, one)) in self.amounts.iter_mut().zip(amounts).enumerate() {
            *sum = match (*sum, one) {
                (None, one) if at < 2 || !self.is_begun => one,
                (Some(sum), Some(one)) => Some(sum.saturating_add(one)),
                (sum, _) => sum.filter(|_| at < 2),
            };
        }
        self.cpu = self.cpu.map_or(cpu, |sum| Some(sum + cpu.unwrap_or(0.0)));
        self.is_begun = true;
    }

    fn row(&self, name: &str) -> Vec<String> {
        let [memory, processes, memory_limit, cpu_limit, processes_limit] = self.amounts;
        let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            name.to_owned(),
            or(memory.map(quantity::format_rounded)),
            or(memory_limit.map(quantity::format_rounded)),
            or(self.cpu.map(|cpu| format!("{cpu:.1}%"))),
            or(cpu_limit.map(|limit| format!("{}%", limit as f64 / 1000.0))),
            or(processes.map(|number| number.to_string())),
            or(processes_limit.map(|number| number.to_string())),
        ]
    }

    fn json(&self, name: &str) -> Value {
        let [memory, processes, memory_limit, cpu_limit, processes_limit] = self.amounts;
        json!({
            "name": name,
            "memory": memory,
            "memory_limit": memory_limit,
            "cpu_percent": self.cpu,
            "cpu_limit_percent": cpu_limit.map(|limit| limit as f64 / 1000.0),
            "processes": processes,
            "processes_limit": processes_limit,
        })
    }
}
