//! What a pod's containers ask for after their start and before their stop, as its label says it; and by which signal they
//! are asked to end.

use serde_json::{Map, Value, json};

use super::problem::SpecProblem;
use crate::{
    agent::model::{
        probe::{Check, ProbeHost},
        workload::Engine,
    },
    wire::{
        field::FieldPath,
        podman::{hooks::HookPoint, names::podman_safe_name, probe_checks::ProbeTarget},
        podspec::{PodSpec, container::Container, lifecycle::LifecycleHandler},
    },
};

/// The hooks of all containers; `None`: there are none.
pub(super) fn hooks_label(spec: &PodSpec, engine: Engine) -> Result<Option<String>, SpecProblem> {
    let mut all = Map::new();
    for (at, container) in spec.all_containers() {
        let Some(lifecycle) = &container.lifecycle else { continue };
        let rootless = engine == Engine::Podman { rootless: true };
        let asked = ProbeTarget { host_network: spec.host_network, rootless, ports: &container.ports };
        let mut own = Map::new();
        for (when, hook) in
            [(HookPoint::PostStart, &lifecycle.post_start), (HookPoint::PreStop, &lifecycle.pre_stop)]
        {
            let Some(hook) = hook else { continue };
            let at = || at.child("lifecycle").child(when.field_name());
            own.insert(when.field_name().to_owned(), hook_to_json(hook, asked, &at)?);
        }
        if !own.is_empty() {
            all.insert(podman_safe_name(&container.name.0).into_owned(), Value::Object(own));
        }
    }
    Ok((!all.is_empty()).then(|| Value::Object(all).to_string()))
}

fn hook_to_json(
    hook: &LifecycleHandler,
    asked: ProbeTarget<'_>,
    at: &dyn Fn() -> FieldPath,
) -> Result<Value, SpecProblem> {
    if let Some(action) = &hook.exec {
        return Ok(json!({ "exec": action.command }));
    }
    if let Some(action) = &hook.http_get {
        let check = asked.http_check(action).map_err(|why| (at().child("httpGet"), why.to_owned()))?;
        let Check::Http { host, port, path, headers } = check else { return Ok(Value::Null) };
        let host = if let ProbeHost::Named(name) = host { Value::String(name) } else { Value::Null };
        return Ok(json!({ "httpGet": { "host": host, "port": port, "path": path, "headers": headers } }));
    }
    Ok(json!({ "sleep": hook.sleep.as_ref().map_or(0, |sleep| sleep.seconds.0) }))
}

/// The signal that asks it to end, where its author names one.
pub(super) fn stop_signal(container: &Container, at: &FieldPath) -> Result<Option<u32>, SpecProblem> {
    let Some(name) = container.lifecycle.as_ref().and_then(|it| it.stop_signal.as_ref()) else {
        return Ok(None);
    };
    let unknown = || {
        let at = at.child("lifecycle").child("stopSignal");
        (at, format!("`{name}` is no signal: write it as `SIGTERM` is written"))
    };
    signal_number(name).map(Some).ok_or_else(unknown)
}

/// The number of a signal by its name, as Linux has it on all that this agent is built for.
fn signal_number(name: &str) -> Option<u32> {
    const SIGNAL_NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT \
                         STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
    let name = name.strip_prefix("SIG")?;
    if let Some(place) = SIGNAL_NAMES.split(' ').position(|known| known == name) {
        return u32::try_from(place + 1).ok();
    }
    let real_time = match name.strip_prefix("RTMIN") {
        Some("") => 34,
        Some(more) => 34 + more.strip_prefix('+')?.parse::<u32>().ok()?,
        None => match name.strip_prefix("RTMAX")? {
            "" => 64,
            less => 64_u32.checked_sub(less.strip_prefix('-')?.parse().ok()?)?,
        },
    };
    (34..=64).contains(&real_time).then_some(real_time)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::podman::hooks::{Hook, read};

    #[test]
    fn what_is_written_into_a_label_is_read_from_it() {
        let spec = json!({ "containers": [
            { "name": "a", "image": "i", "ports": [{ "name": "web", "containerPort": 81 }], "lifecycle": {
                "postStart": { "httpGet": { "port": "web", "path": "up?x=1",
                    "httpHeaders": [{ "name": "A", "value": "b" }] } },
                "preStop": { "exec": { "command": ["sh", "-c", "a \"b\""] } } } },
            { "name": "b", "image": "i", "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } } },
            { "name": "c", "image": "i" },
        ]});
        let podman = Engine::Podman { rootless: false };
        let label = hooks_label(&PodSpec::read_accepted(&spec), podman).unwrap().unwrap();
        let (path, headers) = ("/up?x=1".to_owned(), vec![("A".to_owned(), "b".to_owned())]);
        let get = Check::Http { host: ProbeHost::Pod, port: 81, path, headers };
        assert_eq!(read(&label, "a", HookPoint::PostStart), Some(Hook::Ask(get)));
        let command = ["sh", "-c", "a \"b\""].map(str::to_owned).to_vec();
        assert_eq!(read(&label, "a", HookPoint::PreStop), Some(Hook::Ask(Check::Exec(command))));
        assert_eq!(read(&label, "b", HookPoint::PreStop), Some(Hook::Sleep(Duration::from_secs(5))));
        assert_eq!(read(&label, "b", HookPoint::PostStart), None);
        assert_eq!(read(&label, "c", HookPoint::PreStop), None);
        assert_eq!(read("no JSON", "a", HookPoint::PreStop), None);
        let without = json!({ "containers": [{ "name": "c", "image": "i", "lifecycle": {} }] });
        assert_eq!(super::hooks_label(&PodSpec::read_accepted(&without), podman), Ok(None));
    }

    #[test]
    fn a_hook_that_cannot_be_run_here_is_refused_at_its_place() {
        let get = |more: &str| {
            let get = format!(r#"{{"port": 80{more}}}"#);
            let get: Value = serde_json::from_str(&get).unwrap();
            let hook = json!({ "preStop": { "httpGet": get } });
            let spec = json!({ "containers": [{ "name": "a", "image": "i", "lifecycle": hook }] });
            let (at, why) =
                hooks_label(&PodSpec::read_accepted(&spec), Engine::Podman { rootless: true }).unwrap_err();
            (at.to_string(), why)
        };
        let at = "containers[0].lifecycle.preStop.httpGet";
        let why = "a rootless pod can be asked only where the port has a `hostPort`";
        assert_eq!(get(""), (at.to_owned(), why.to_owned()));
        let https = get(r#", "host": "127.0.0.1", "scheme": "HTTPS""#);
        assert_eq!(https, (at.to_owned(), "HTTPS is not supported".to_owned()));
    }

    #[test]
    fn signals_have_the_numbers_of_linux() {
        for (name, number) in [
            ("SIGHUP", Some(1)),
            ("SIGINT", Some(2)),
            ("SIGTERM", Some(15)),
            ("SIGWINCH", Some(28)),
            ("SIGSYS", Some(31)),
            ("SIGRTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("SIGRTMAX", Some(64)),
            ("SIGRTMIN+31", None),
            ("TERM", None),
            ("SIGNONE", None),
        ] {
            assert_eq!(signal_number(name), number, "{name}");
        }
    }
}
