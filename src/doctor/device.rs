//! What is looked at on the device itself.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{Access, access, stat, statvfs};
use serde_json::Value;

use super::{findings::Findings, firewall, podman};
use crate::{
    agent::{
        model::{quantity::format_rounded, subsystem::Subsystem},
        wrong_clock,
    },
    io::{holder, state::Store, tls::TrustedClock},
    settings::{ListenAddress, Settings},
};

/// For a program on this device to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn check_clock(state_dir: &Path, findings: &mut Findings) {
    match TrustedClock::load(Store::new(state_dir)).system_clock_lag() {
        None => findings.add_good("clock", "it isn't behind what is known"),
        Some(behind) => findings.add_bad(
            "clock",
            wrong_clock::clock_lag_message(behind),
            "set it: 'timedatectl set-ntp true', or 'date -s …'",
        ),
    }
}

pub(super) fn check_directories(settings: &Settings, findings: &mut Findings) {
    for (key, path) in [("STATE_DIR", &settings.state_dir), ("RUNTIME_DIR", &settings.runtime_dir)] {
        let what = format!("{key} '{}'", path.display());
        let there = existing_ancestor(path);
        if access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
            findings.add_bad(
                what,
                "this user can't write to it",
                "run this as the agent's user, or set another directory",
            );
            continue;
        }
        let Ok(disk) = statvfs(there) else { continue };
        let left = disk.f_bavail.saturating_mul(disk.f_frsize);
        let reserve = settings.disk_reserve.bytes_of(disk.f_blocks.saturating_mul(disk.f_frsize));
        let says = format!("{} are left, the reserve is {}", format_rounded(left), format_rounded(reserve));
        if left < reserve && key == "STATE_DIR" {
            findings.add_bad(
                what,
                says,
                "nothing new starts: free some, for example by 'podman image prune'",
            );
        } else {
            findings.add_good(what, says);
        }
    }
    if let Some(manifests) = &settings.manifests {
        let what = format!("MANIFESTS '{}'", manifests.display());
        match fs::read_dir(manifests) {
            Ok(entries) => findings.add_good(what, format!("{} files; see --check", entries.count())),
            Err(error) => {
                findings.add_bad(what, error.to_string(), "make the directory, and let the agent read it")
            }
        }
    }
}

/// The directory, or what is there of its path.
fn existing_ancestor(path: &Path) -> &Path {
    path.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/"))
}

/// `status`: the agent's, or null.
pub(super) fn check_podman(settings: &Settings, status: &Value, findings: &mut Findings) {
    let engines = status["device"]["engines"].as_array();
    let sockets = [
        ("podman", &settings.podman_socket, "systemctl enable --now podman.socket"),
        ("rootless podman", &settings.rootless_podman_socket, "systemctl --user enable --now podman.socket"),
    ];
    for (name, socket, remedy) in sockets {
        let is_used = engines.map(|engines| engines.iter().any(|engine| engine["name"] == name));
        if is_used == Some(false) {
            continue;
        }
        let what = format!("{name} '{}'", socket.display());
        match podman::get(socket, "_ping") {
            Ok(answer) => {
                let version = answer.headers().get("Libpod-Api-Version").and_then(|it| it.to_str().ok());
                let version = version.unwrap_or("unknown");
                let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
                match numbers.next().is_some_and(|major| (major, numbers.next().unwrap_or(0)) < (4, 3)) {
                    true => {
                        findings.add_bad(what, format!("it has version {version}"), "4.3 or newer is needed")
                    }
                    false => findings.add_good(what, format!("it answers: version {version}")),
                }
                if name == "podman" {
                    firewall::check_firewall(socket, findings);
                }
            }
            Err(error) if socket.exists() || is_used.is_some() => {
                findings.add_bad(what, error.to_string(), remedy)
            }
            Err(_) => {
                findings.add_doubt(what, "there is no such socket", &format!("if it is wanted: '{remedy}'"));
            }
        }
    }
}

pub(super) fn check_control_groups(settings: &Settings, findings: &mut Findings) {
    let root = Path::new("/sys/fs/cgroup");
    match fs::read_to_string(root.join("cgroup.controllers")) {
        Ok(controllers) if has_all_controllers(&controllers) => {
            findings.add_good("control groups", "version 2, with cpu and memory")
        }
        Ok(controllers) => findings.add_doubt(
            "control groups",
            format!("version 2, with these only: {}", controllers.trim()),
            "without cpu and memory no limit works: see the kernel's command line",
        ),
        Err(_) if root.join("cpu").exists() => {
            findings.add_good("control groups", "version 1: limits work, but for rootless podman");
        }
        Err(_) => findings.add_doubt("control groups", "there are none", "without them no limit works"),
    }
    let pressure = Path::new("/proc/pressure/memory");
    if pressure.exists() {
        findings.add_good("pressure", "the kernel tells who waits for memory");
    } else {
        let says = "the kernel doesn't tell who waits for memory: only what is left counts";
        findings.add_doubt("pressure", says, "'psi=1' on the kernel's command line, where it is built in");
    }
    let Ok(user) = stat(&settings.rootless_podman_socket).map(|stat| stat.st_uid) else { return };
    if !root.join("cgroup.controllers").exists() {
        return;
    }
    let manager: PathBuf =
        format!("user.slice/user-{user}.slice/user@{user}.service/cgroup.controllers").into();
    let delegated = fs::read_to_string(root.join(manager)).unwrap_or_default();
    if has_all_controllers(&delegated) {
        findings.add_good("delegation", format!("user {user} may limit cpu and memory"));
    } else {
        findings.add_doubt(
            "delegation",
            format!("user {user} may use these control groups only: {}", delegated.trim()),
            "'systemctl edit user@.service': [Service] Delegate=cpu memory pids",
        );
    }
}

fn has_all_controllers(controllers: &str) -> bool {
    ["cpu", "memory"].iter().all(|wanted| controllers.split_whitespace().any(|it| it == *wanted))
}

/// `status`: of the agent, if it runs. That something takes connections is good only if it is the agent.
pub(super) fn check_metrics_endpoint(settings: &Settings, status: Option<&Value>, findings: &mut Findings) {
    let problems = status.and_then(|status| status["device"]["problems"].as_array()).into_iter().flatten();
    let problems: Vec<&str> = problems.filter_map(Value::as_str).collect();
    for address in &settings.metrics_listen {
        let what = format!("METRICS_LISTEN {address}");
        let lost = Subsystem::Listener(address.to_string()).failure_message();
        let is_lost = problems.iter().any(|problem| problem.starts_with(&lost));
        let reached = match address {
            ListenAddress::Tcp(address) => TcpStream::connect_timeout(address, TIMEOUT).map(drop),
            ListenAddress::Unix(path) => std::os::unix::net::UnixStream::connect(path).map(drop),
        };
        let holder = holder::find_holder(address).filter(|_| is_lost || status.is_none());
        match (reached, holder) {
            (_, Some(holder)) => findings.add_bad(
                what,
                format!("{holder} has it: posts don't reach the agent"),
                "stop that program, or set METRICS_LISTEN to another address",
            ),
            (Ok(()), None) if status.is_some() && !is_lost => findings.add_good(what, "it takes connections"),
            (Ok(()), None) => findings.add_bad(
                what,
                "another program has it: posts don't reach the agent",
                "see who it is: 'ss -lntp'; stop it, or set METRICS_LISTEN to another address",
            ),
            (Err(error), None) if status.is_some() => {
                let says = format!("nothing can be posted there: {error}");
                findings.add_bad(what, says, "see 'status' and the agent's log");
            }
            (Err(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::wall;

    fn said(seconds_behind: u64) -> String {
        let dir = tempfile::tempdir().unwrap();
        let since = wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        Store::new(dir.path()).save("clock", (since + seconds_behind).to_string().as_bytes()).unwrap();
        let mut findings = Findings::default();
        check_clock(dir.path(), &mut findings);
        findings.text()
    }

    #[test]
    fn a_clock_that_is_less_than_a_day_behind_is_not_0_days_behind() {
        assert!(said(3_600).contains("the clock is behind: cron schedules wait"), "{}", said(3_600));
        let days = said(3 * 86_400 + 3_600);
        assert!(days.contains("the clock is at least 3 days behind: cron schedules wait"), "{days}");
    }
}
