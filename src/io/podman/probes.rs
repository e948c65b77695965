//! Asks containers whether they are well: by a command in the container, a request, or a connection.

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{
    Pid, PidfdFlags, Signal, getpgid, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};
use serde_json::{Value, json};
use ureq::{
    Agent,
    unversioned::{resolver::DefaultResolver, transport::TcpConnector},
};

use super::api::{Error, PodmanClient};
use crate::{
    agent::model::{
        order::{Fact, Failure},
        probe::{Check, Probe, ProbeHost},
        workload::WorkloadId,
    },
    io::{
        exits::{parent_pid, proc_file_mentions},
        http, lock, since_boot,
        unix::{self, CancelHandle},
    },
    wire::{
        grpc,
        podman::{
            answers::InspectedPod,
            hooks::Hook,
            session::{self, ExecState, last_printed_line},
        },
    },
};

/// For what podman does at once.
const PODMAN_TIMEOUT: Duration = Duration::from_secs(30);

/// As many images are remembered.
const MAX_CACHED_HEALTHCHECKS: usize = 256;

/// Asks containers.
pub(super) struct Prober {
    client: Arc<PodmanClient>,
    http: Agent,
    /// Of the pods that were asked over the network: it stays for a pod's life.
    addresses: Mutex<Vec<(WorkloadId, IpAddr)>>,
    /// What images ask for, by their ids: it never changes.
    healthchecks: Mutex<Vec<(String, Option<Arc<Probe>>)>>,
}

impl Prober {
    pub(super) fn new(client: Arc<PodmanClient>) -> Self {
        let http = http::config().max_idle_connections(0).output_buffer_size(4 * 1024).build();
        let http = Agent::with_parts(http, TcpConnector::default(), DefaultResolver::default());
        Self { client, http, addresses: Mutex::default(), healthchecks: Mutex::default() }
    }

    /// The pod goes.
    pub(super) fn forget_address(&self, id: &WorkloadId) {
        lock(&self.addresses).retain(|(other, _)| other != id);
    }

    /// The image's HEALTHCHECK, which the agent asks instead of podman. Not to know it is no reason to fail.
    pub(super) fn healthcheck(&self, image: &str) -> Option<Arc<Probe>> {
        if let Some((_, known)) = lock(&self.healthchecks).iter().find(|(id, _)| id == image) {
            return known.clone();
        }
        let answer = self.client.get(&format!("images/{image}/json"), &[], PODMAN_TIMEOUT).ok()?;
        let healthcheck = session::parse_healthcheck(&answer.json().ok()?).map(Arc::new);
        let mut known = lock(&self.healthchecks);
        if known.len() >= MAX_CACHED_HEALTHCHECKS {
            known.clear();
        }
        known.push((image.to_owned(), healthcheck.clone()));
        healthcheck
    }

    pub(super) fn probe(&self, id: &WorkloadId, container: &str, probe: &Probe) -> Result<Fact, Failure> {
        let complaint =
            self.run_check((&self.client, &self.http), id, container, &probe.check, probe.timeout)?;
        Ok(Fact::Probed { healthy: complaint.is_none(), output: complaint.unwrap_or_default() })
    }

    /// Runs a hook, at most for so long, and until it is hung up. Says what is wrong, if anything is.
    pub(super) fn run_hook(
        &self,
        id: &WorkloadId,
        container: &str,
        hook: &Hook,
        limit: Duration,
        hangup: &CancelHandle,
    ) -> Result<Option<String>, Error> {
        match hook {
            Hook::Ask(check) => {
                let clients = (
                    &self.client.with_hangup(hangup.clone()),
                    &unix::cancellable_network_client(hangup.clone()),
                );
                self.run_check(clients, id, container, check, limit)
            }
            Hook::Sleep(time) => {
                let waited = hangup.wait((*time).min(limit));
                waited.map(|()| None).map_err(|error| Error::Broken(error.to_string()))
            }
        }
    }

    /// What is wrong, if anything is.
    fn run_check(
        &self,
        (client, http): (&PodmanClient, &Agent),
        id: &WorkloadId,
        container: &str,
        check: &Check,
        timeout: Duration,
    ) -> Result<Option<String>, Error> {
        let complaint = match check {
            Check::Exec(command) => exec(client, &format!("{id}-{container}"), command, timeout)?,
            Check::Http { host, port, path, headers } => {
                let host = self.url_host(id, host)?;
                check_http(http, &format!("http://{host}:{port}{path}"), headers, timeout)
            }
            Check::Tcp { host, port } => {
                let host = self.url_host(id, host)?;
                connect(&host, *port, timeout).err().map(|error| error.to_string())
            }
            Check::Grpc { host, port, service } => {
                let host = self.url_host(id, host)?;
                match ask_grpc_health(&host, *port, service, timeout) {
                    Ok(said) => said.err(),
                    Err(error) if is_timeout(&error) => Some(timeout_message(timeout)),
                    Err(error) => Some(error.to_string()),
                }
            }
        };
        if complaint.is_some() {
            self.forget_address(id); // a pod that was restarted behind our back may have another address
        }
        log::debug!("container '{container}' of '{id}': {}", complaint.as_deref().unwrap_or("well"));
        Ok(complaint)
    }

    /// As it stands in a URL.
    fn url_host(&self, id: &WorkloadId, host: &ProbeHost) -> Result<String, Failure> {
        let address = match host {
            ProbeHost::Named(name) => return Ok(name.clone()),
            ProbeHost::Pod => self.pod_address(id)?,
        };
        Ok(match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        })
    }

    fn pod_address(&self, id: &WorkloadId) -> Result<IpAddr, Failure> {
        if let Some((_, address)) = lock(&self.addresses).iter().find(|(other, _)| other == id) {
            return Ok(*address);
        }
        let pod: InspectedPod = self.client.get(&format!("pods/{id}/json"), &[], PODMAN_TIMEOUT)?.json()?;
        let infra = self.client.get(&format!("containers/{}/json", pod.infra_id), &[], PODMAN_TIMEOUT)?;
        let address = session::container_address(&infra.json()?)
            .ok_or_else(|| Failure::Workload(format!("pod '{id}' has no address")))?;
        lock(&self.addresses).push((id.clone(), address));
        Ok(address)
    }
}

/// What is wrong, if anything is.
fn check_http(http: &Agent, url: &str, headers: &[(String, String)], timeout: Duration) -> Option<String> {
    let mut request = http.get(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match request.config().timeout_global(Some(timeout)).build().call() {
        Ok(response) if matches!(response.status().as_u16(), 200..=399) => None,
        Ok(response) => Some(format!("status {}", response.status().as_u16())),
        Err(ureq::Error::Timeout(_)) => Some(timeout_message(timeout)),
        Err(error) => Some(error.to_string()),
    }
}

/// Runs a command in a container. Says what is wrong, if anything is.
fn exec(
    client: &PodmanClient,
    container: &str,
    command: &[String],
    timeout: Duration,
) -> Result<Option<String>, Error> {
    let body = json!({ "AttachStdout": true, "AttachStderr": true, "Cmd": command }).to_string();
    let created = client.post(&format!("containers/{container}/exec"), &[], &body, PODMAN_TIMEOUT)?;
    let created: Value = created.json()?;
    let id = created["Id"].as_str().unwrap_or_default();
    let printed =
        client.post_with_body_timeout(&format!("exec/{id}/start"), r#"{"Detach":false}"#, timeout)?;
    match ExecState::read(&client.get(&format!("exec/{id}/json"), &[], PODMAN_TIMEOUT)?.json()?) {
        ExecState::Running(pid) => {
            // it would go on for as long as the container does
            kill_exec_session(id, pid);
            Ok(Some(format!("its command took longer than {} s", timeout.as_secs())))
        }
        ExecState::Ended(0) => Ok(None),
        ExecState::Ended(code) => Ok(Some(match last_printed_line(&printed) {
            line if line.is_empty() => format!("exit code {code}"),
            line => format!("exit code {code}: {line}"),
        })),
        ExecState::Created => {
            Err(Error::Late(format!("podman didn't run a command in '{container}' in time")))
        }
    }
}

/// Ends the monitors that podman leaves for minutes after commands in these containers: their removal would wait for
/// them, for seconds. The containers have ended, and what ran in them.
pub(super) fn kill_exec_monitors(containers: &[String]) {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let mentions = |text: &str| proc_file_mentions(pid, "cmdline", text);
        let is_one =
            || mentions("--exec-process-spec") && containers.iter().any(|container| mentions(container));
        // opened before it is looked at for the last time: from then on it is this very process
        if is_one()
            && let Some(pid) = Pid::from_raw(pid)
            && let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
            && is_one()
        {
            let _ = pidfd_send_signal(&process, Signal::KILL); // or it has ended
        }
    }
}

fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = (host.trim_matches(['[', ']']), port).to_socket_addrs()?.collect();
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in addresses.into_iter().take(2) {
        result = TcpStream::connect_timeout(&address, timeout);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// What a gRPC server says: how it is.
fn ask_grpc_health(
    host: &str,
    port: u16,
    service: &str,
    timeout: Duration,
) -> io::Result<Result<(), String>> {
    let end = since_boot() + timeout;
    let mut server = connect(host, port, timeout)?;
    let (mut answer, mut chunk) = (grpc::GrpcAnswer::default(), [0; 4096]);
    let mut say = grpc::health_check_request(service, &format!("{host}:{port}"));
    loop {
        let left = end.saturating_sub(since_boot());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        server.set_write_timeout(Some(left))?;
        server.write_all(&say)?;
        say.clear();
        server.set_read_timeout(Some(left))?;
        let came = match server.read(&mut chunk)? {
            0 => return Ok(Err("it ended the connection".into())),
            came => &chunk[..came],
        };
        if let Some(said) = answer.receive(came, &mut say) {
            return Ok(said);
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

fn timeout_message(timeout: Duration) -> String {
    format!("no answer within {} s", timeout.as_secs())
}

/// Kills the process of an exec session, and what it started; none that only has the same number: in another
/// namespace it is another one.
fn kill_exec_session(session: &str, pid: i32) {
    let (conmon, process) = (parent_pid(pid).and_then(Pid::from_raw), Pid::from_raw(pid));
    let (Some(conmon), Some(process)) = (conmon, process) else { return };
    if !proc_file_mentions(conmon.as_raw_pid(), "cmdline", session) {
        return;
    }
    // the runtime gives it a group of its own, which need not have its number
    let killed = match (getpgid(Some(process)), getpgid(Some(conmon))) {
        (Ok(group), Ok(others)) if group != others => kill_process_group(group, Signal::KILL),
        _ => kill_process(process, Signal::KILL),
    };
    if let Err(error) = killed {
        log::debug!("failed to kill process {pid}, which a probe left behind: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use super::*;

    #[test]
    fn monitors_of_a_containers_commands_are_ended_and_no_other_process() {
        let id = format!("monitored-by-test-{}", std::process::id());
        let start = |more: &[&str]| {
            let sleep = ["-c", "sleep 60; :", "monitor"];
            Command::new("sh").args(sleep).args(more).spawn().unwrap()
        };
        let mut monitor = start(&["-c", &id, "--exec-process-spec", "/x"]);
        let mut others = [start(&["-c", &id]), start(&["--exec-process-spec", "/x"])];
        // (before it is another program, it has the name of this one)
        while !proc_file_mentions(monitor.id() as i32, "cmdline", &id) {}
        kill_exec_monitors(&[id]);
        assert_eq!(monitor.wait().unwrap().signal(), Some(9));
        for other in &mut others {
            assert_eq!(other.try_wait().unwrap(), None);
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
