//! Where the agent says that its pods are.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    agent::{model::report::WorkloadState, redact::Redactor},
    io::{
        command_socket::{self, LOCATE_COMMAND},
        outputs::ContainerOutputs,
        podman::PodmanReader,
    },
    settings::Settings,
    wire::ownership::{OWNER_LABEL, WORKLOAD_LABEL, owner},
};

/// Where the agent says that its pods are, and what is known of one workload.
pub(super) struct WorkloadLocator {
    told: Value,
    runtime_dir: PathBuf,
    /// What must not be printed.
    pub(super) redactor: Redactor,
}

impl WorkloadLocator {
    /// Of this workload, or of all. The inner error is what to end with, and to print.
    pub(super) fn find(
        runtime_dir: &Path,
        name: Option<&String>,
    ) -> Result<Result<Self, (u8, String)>, String> {
        let words: Vec<String> = [LOCATE_COMMAND.to_owned()].into_iter().chain(name.cloned()).collect();
        let (code, text) = command_socket::ask_agent(runtime_dir, &words)?;
        if code != 0 {
            return Ok(Err((code, text)));
        }
        let told: Value = serde_json::from_str(&text)
            .map_err(|error| format!("failed to understand the agent's answer: {error}"))?;
        let values = told["confidential"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let redactor = Redactor::for_values(values);
        Ok(Ok(Self { told, runtime_dir: runtime_dir.into(), redactor }))
    }

    /// The same as the settings say it, where the agent doesn't answer.
    pub(super) fn from_settings(settings: &Settings) -> Self {
        let told = serde_json::json!({
            "podman": settings.podman_socket,
            "rootless podman": settings.rootless_podman_socket,
            "owner": owner(&settings.device_id, &settings.state_dir),
        });
        Self { told, runtime_dir: settings.runtime_dir.clone(), redactor: Redactor::default() }
    }

    /// The same at this moment; none: there is no such workload any more.
    ///
    /// # Errors
    /// The agent doesn't answer.
    pub(super) fn refresh(&self) -> Result<Option<Self>, String> {
        Self::find(&self.runtime_dir, Some(&self.workload_text("name").to_owned())).map(Result::ok)
    }

    /// Whether nothing of it will be started by itself.
    pub(super) fn is_finished(&self) -> bool {
        let ended = [WorkloadState::Finished, WorkloadState::Failed, WorkloadState::Leaving];
        let is_ended = ended.iter().any(|state| state.state_name() == self.workload_text("state"));
        is_ended && self.workload()["next"].is_null()
    }

    /// What a container printed whose pod could not be started, and its name.
    pub(super) fn saved_output(&self) -> Option<(String, Vec<u8>)> {
        ContainerOutputs::new(&self.runtime_dir).load_output(self.workload_text("pod"))
    }

    /// What is known of the workload: its report.
    pub(super) fn workload(&self) -> &Value {
        &self.told["workload"]
    }

    /// A text of the workload's.
    pub(super) fn workload_text(&self, field: &str) -> &str {
        self.workload()[field].as_str().unwrap_or_default()
    }

    /// Whether this engine is here.
    pub(super) fn has_engine(&self, engine: &str) -> bool {
        self.told[engine].as_str().is_some_and(|socket| Path::new(socket).exists())
    }

    /// The podmans that are there, by the names of their engines.
    pub(super) fn podmans(&self) -> impl Iterator<Item = (&'static str, PodmanReader)> {
        let there = ["podman", "rootless podman"].into_iter().filter(|engine| self.has_engine(engine));
        there.map(|engine| (engine, self.podman(engine)))
    }

    /// The podman of this engine.
    pub(super) fn podman(&self, engine: &str) -> PodmanReader {
        PodmanReader::new(Path::new(self.told[engine].as_str().unwrap_or_default()))
    }

    /// The containers of the workload's pod, in the order in which they were made; none: it has none now.
    ///
    /// # Errors
    /// podman can't be asked.
    pub(super) fn containers(&self) -> Result<Vec<PodmanContainer>, String> {
        if self.workload_text("engine").is_empty() {
            return Ok(Vec::new()); // it was refused before it had a pod
        }
        let name = format!("{WORKLOAD_LABEL}={}", self.workload_text("name"));
        let mut all = self.list_containers(&self.podman(self.workload_text("engine")), &[name])?;
        // what ran before may still be there, or there alone
        let wanted = self.workload_text("pod");
        let pod = match all.iter().any(|it| it.pod == wanted) {
            true => wanted.to_owned(),
            false => all.last().map(|it| it.pod.clone()).unwrap_or_default(),
        };
        all.retain(|it| it.pod == pod);
        Ok(all)
    }

    /// The agent's containers with these labels on one podman.
    pub(super) fn list_containers(
        &self,
        podman: &PodmanReader,
        labels: &[String],
    ) -> Result<Vec<PodmanContainer>, String> {
        let owner = format!("{OWNER_LABEL}={}", self.told["owner"].as_str().unwrap_or_default());
        let labels: Vec<&String> = [&owner].into_iter().chain(labels).collect();
        let filters = serde_json::json!({ "label": labels }).to_string();
        let list = podman.get("containers/json", &[("all", "true"), ("filters", &filters)])?;
        let mut all: Vec<PodmanContainer> =
            list.as_array().into_iter().flatten().filter_map(PodmanContainer::read).collect();
        all.sort_by(|a, b| a.created.cmp(&b.created));
        Ok(all)
    }
}

/// A container in podman's list.
pub(super) struct PodmanContainer {
    /// As in the manifest.
    pub(super) name: String,
    pub(super) id: String,
    pub(super) pod: String,
    pub(super) workload: String,
    /// Of its first process; 0: it doesn't run.
    pub(super) pid: i32,
    /// When its run began, in seconds since 1970; as podman has it before that.
    pub(super) started: i64,
    /// Of its pod: for example `8080/tcp to 80`.
    pub(super) ports: Vec<String>,
    created: String,
}

impl PodmanContainer {
    /// None for what only holds a pod together, or its files.
    fn read(listed: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pod = text(&listed["PodName"]);
        let name = text(&listed["Names"][0]).strip_prefix(&format!("{pod}-"))?.to_owned();
        let is_own = listed["IsInfra"] != true && !name.ends_with('_');
        is_own.then(|| Self {
            name,
            id: text(&listed["Id"]),
            pod,
            workload: text(&listed["Labels"][WORKLOAD_LABEL]),
            pid: listed["Pid"].as_i64().and_then(|pid| pid.try_into().ok()).unwrap_or(0),
            started: listed["StartedAt"].as_i64().unwrap_or(0),
            ports: listed["Ports"].as_array().into_iter().flatten().map(format_port).collect(),
            created: text(&listed["Created"]),
        })
    }
}

/// For example `8080/tcp to 80`, with the address where there is one.
fn format_port(listed: &Value) -> String {
    let ip = listed["host_ip"].as_str().filter(|ip| !ip.is_empty()).map(|ip| format!("{ip} port "));
    let protocol = listed["protocol"].as_str().unwrap_or("tcp");
    let (host, own) = (&listed["host_port"], &listed["container_port"]);
    format!("{}{host}/{protocol} to {own}", ip.unwrap_or_default())
}
