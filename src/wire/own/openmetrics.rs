//! A report as [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) text, for scrapers.
//!
//! Names and figures only: no sentence of an engine, a registry or a server goes out here.

use std::io::{self, Write};

use crate::agent::model::{
    order::CPU_PERIOD,
    report::{Report, Workload, WorkloadState},
};

/// In front of every name.
const PREFIX: &str = "device_worker_ng_";
const LINK_STATES: [&str; 4] = ["enrolling", "registering", "linked", "disconnected"];

/// Names and values that tell a sample from others of its family.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// Writes all of it.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut page = MetricsWriter { out, name: String::new() };
    write_device_metrics(report, &mut page)?;
    write_workload_metrics(&report.workloads, &mut page)?;
    page.start_family("condition", "gauge", "", "1: the condition holds.")?;
    for profile in &report.profiles {
        for condition in &profile.conditions {
            let labels = [("profile", &*profile.name), ("condition", &*condition.name)];
            page.sample("", &labels, bool_value(condition.holds))?;
        }
    }
    page.start_family("metric_value", "gauge", "", "What was posted last.")?;
    for metric in &report.metrics {
        page.sample_if_some(&[("name", &metric.name)], metric.value)?;
    }
    page.start_family("metric_age", "gauge", "seconds", "Since it was posted.")?;
    for metric in &report.metrics {
        page.sample_if_some(&[("name", &metric.name)], metric.age.map(|age| age as f64))?;
    }
    page.out.write_all(b"# EOF\n")
}

fn write_device_metrics(
    Report { version, device, .. }: &Report,
    page: &mut MetricsWriter<'_>,
) -> io::Result<()> {
    let plain: Labels<'_> = &[];
    page.start_family("build", "info", "", "The agent's version, and the device's name.")?;
    page.sample("_info", &[("version", version), ("device", &device.id)], 1.0)?;
    page.start_family(
        "device_healthy",
        "gauge",
        "",
        "1: nothing is crashed or missing, and all can be written.",
    )?;
    page.sample("", plain, bool_value(device.healthy))?;
    page.start_family("problems", "gauge", "", "What was asked for and can't be done or kept.")?;
    page.sample("", plain, device.problems.len() as f64)?;
    page.start_family("shortages", "gauge", "", "What the device is short of.")?;
    page.sample("", plain, device.shortages.len() as f64)?;
    page.start_family("engine_ready", "gauge", "", "1: the engine answers.")?;
    for engine in &device.engines {
        page.sample("", &[("engine", &engine.name)], bool_value(engine.ready))?;
    }

    if let Some(server) = &device.server {
        page.start_family("link", "stateset", "", "The conversation with the edge API.")?;
        page.state_set(&[], &LINK_STATES, server.link)?;
        let seconds = |age: Option<u64>| age.map(|age| age as f64);
        for (name, value, help) in [
            ("server_silence", seconds(server.heard), "Since the edge API was last heard."),
            ("certificate_left", server.certificate.map(|left| left as f64), "Until the certificate ends."),
            ("configuration_age", seconds(server.configuration_age), "Since the configuration was applied."),
        ] {
            page.start_family(name, "gauge", "seconds", help)?;
            page.sample_if_some(plain, value)?;
        }
    }
    Ok(())
}

fn write_workload_metrics(workloads: &[Workload], page: &mut MetricsWriter<'_>) -> io::Result<()> {
    page.start_family("workload_state", "stateset", "", "What each workload does.")?;
    let words = WorkloadState::ALL.map(WorkloadState::state_name);
    for workload in workloads {
        page.state_set(&[("workload", &workload.name)], &words, workload.state.state_name())?;
    }
    page.start_family("workload_well", "gauge", "", "1: the workload does what it should do now.")?;
    for workload in workloads {
        page.sample("", &[("workload", &workload.name)], bool_value(workload.well))?;
    }
    page.start_family(
        "workload_restarts",
        "counter",
        "",
        "Starts after failures, since the agent's own start.",
    )?;
    for workload in workloads {
        page.sample("_total", &[("workload", &workload.name)], workload.restarts.into())?;
    }
    page.start_family(
        "workload_cpu_limit",
        "gauge",
        "cores",
        "What the conditions that hold limit a pod to.",
    )?;
    for workload in workloads {
        page.sample_if_some(
            &[("workload", &workload.name)],
            workload.cpu.map(|cpu| cpu as f64 / CPU_PERIOD as f64),
        )?;
    }
    Ok(())
}

/// What is written, family after family.
struct MetricsWriter<'a> {
    out: &'a mut dyn Write,
    /// Of the present family.
    name: String,
}

impl MetricsWriter<'_> {
    /// Opens a family; its unit becomes the end of its name.
    fn start_family(&mut self, name: &str, kind: &str, unit: &str, help: &str) -> io::Result<()> {
        let link = if unit.is_empty() { "" } else { "_" };
        self.name = format!("{PREFIX}{name}{link}{unit}");
        let Self { out, name } = self;
        writeln!(out, "# TYPE {name} {kind}")?;
        if !unit.is_empty() {
            writeln!(out, "# UNIT {name} {unit}")?;
        }
        writeln!(out, "# HELP {name} {help}")
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, value: f64) -> io::Result<()> {
        write!(self.out, "{}{suffix}", self.name)?;
        for (index, (name, value)) in labels.iter().enumerate() {
            let link = if index == 0 { '{' } else { ',' };
            // a name is as foreign as any text
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(self.out, "{link}{name}=\"{value}\"")?;
        }
        // `{:?}` is the shortest text that reads back as the same number
        writeln!(self.out, "{} {value:?}", if labels.is_empty() { "" } else { "}" })
    }

    fn sample_if_some(&mut self, labels: Labels<'_>, value: Option<f64>) -> io::Result<()> {
        value.map_or(Ok(()), |value| self.sample("", labels, value))
    }

    /// A sample a state; the label that names it is called as the family.
    fn state_set(&mut self, labels: Labels<'_>, states: &[&str], present: &str) -> io::Result<()> {
        let name = self.name.clone();
        for state in states {
            let labels = [labels, &[(&*name, state)]].concat();
            self.sample("", &labels, bool_value(*state == present))?;
        }
        Ok(())
    }
}

fn bool_value(true_: bool) -> f64 {
    f64::from(u8::from(true_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::report::{
        Condition, Device, EngineState, LinkReport, Metric, Profile, Workload,
    };

    fn report() -> Report {
        let server = LinkReport {
            link: "linked",
            heard: Some(3),
            next: None,
            troubles: vec!["a sentence".into()],
            certificate: Some(-5),
            configuration: None,
            configuration_age: None,
        };
        let engine = EngineState { name: "podman".into(), ready: false, cause: Some("a sentence".into()) };
        let workload = Workload {
            name: "camera".into(),
            state: WorkloadState::BackOff,
            restarts: 3,
            cpu: Some(20_000),
            cause: Some("a sentence".into()),
            failure: Some("a sentence".into()),
            ..Workload::default()
        };
        let condition = Condition {
            name: "a\"b\\c\nd".into(),
            expression: String::new(),
            hold: None,
            until: None,
            next: None,
            holds: true,
            why: "a sentence".into(),
            tests: vec![],
        };
        Report {
            version: "1.2.3",
            device: Device {
                id: "pi".into(),
                healthy: true,
                server: Some(server),
                engines: vec![engine],
                shortages: vec![],
                problems: vec!["a sentence".into()],
                elsewhere: vec![],
            },
            workloads: vec![workload],
            profiles: vec![Profile { name: "power".into(), conditions: vec![condition] }],
            metrics: vec![
                Metric { name: "battery".into(), value: Some(1e300), age: Some(7) },
                Metric { name: "unset".into(), value: None, age: None },
            ],
        }
    }

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        write(report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_thing_is_a_sample_of_its_family() {
        let text = text(&report());
        for line in [
            "device_worker_ng_build_info{version=\"1.2.3\",device=\"pi\"} 1.0",
            "device_worker_ng_device_healthy 1.0",
            "device_worker_ng_problems 1.0",
            "device_worker_ng_engine_ready{engine=\"podman\"} 0.0",
            "device_worker_ng_link{device_worker_ng_link=\"linked\"} 1.0",
            "device_worker_ng_link{device_worker_ng_link=\"enrolling\"} 0.0",
            "device_worker_ng_server_silence_seconds 3.0",
            "device_worker_ng_certificate_left_seconds -5.0",
            "device_worker_ng_workload_state{workload=\"camera\",device_worker_ng_workload_state=\"back-off\"} 1.0",
            "device_worker_ng_workload_state{workload=\"camera\",device_worker_ng_workload_state=\"running\"} 0.0",
            "device_worker_ng_workload_restarts_total{workload=\"camera\"} 3.0",
            "# UNIT device_worker_ng_workload_cpu_limit_cores cores",
            "device_worker_ng_workload_cpu_limit_cores{workload=\"camera\"} 0.2",
            "device_worker_ng_condition{profile=\"power\",condition=\"a\\\"b\\\\c\\nd\"} 1.0",
            "device_worker_ng_metric_value{name=\"battery\"} 1e300",
            "device_worker_ng_metric_age_seconds{name=\"battery\"} 7.0",
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("unset") && !text.contains("\ndevice_worker_ng_configuration_age"), "{text}");
        assert!(!text.contains("a sentence"), "foreign text goes out");
    }

    /// The rules of the format that our families could break, whatever they hold.
    #[test]
    fn families_are_whole_in_order_and_named_by_their_type_and_unit() {
        for report in [report(), Report { workloads: vec![], metrics: vec![], ..report() }] {
            let text = text(&report);
            assert!(text.ends_with("\n# EOF\n"));
            let (mut seen, mut name, mut kind) = (std::collections::BTreeSet::new(), "", "");
            for line in text.lines().filter(|line| *line != "# EOF") {
                let words: Vec<&str> = line.splitn(4, ' ').collect();
                match words[..] {
                    ["#", "TYPE", family, is] => {
                        assert!(seen.insert(family), "{family} comes twice");
                        (name, kind) = (family, is);
                    }
                    ["#", "UNIT", family, unit] => {
                        assert_eq!(family, name);
                        assert!(name.ends_with(&format!("_{unit}")));
                    }
                    ["#", "HELP", family, help] => assert!(family == name && !help.is_empty()),
                    _ => {
                        let sample = line.split(['{', ' ']).next().unwrap();
                        let suffix = match kind {
                            "info" => "_info",
                            "counter" => "_total",
                            _ => "",
                        };
                        assert_eq!(sample, format!("{name}{suffix}"));
                    }
                }
            }
        }
    }
}
