//! What a pod's containers mean for its workload: the restart policies.

use std::time::{Duration, SystemTime};

use super::model::{
    order::{Container, ContainerState, Pod},
    workload::{RestartPolicy, Workload},
};

/// What is to be thought of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodStatus {
    /// At least one container runs, and none ended that its policy wants back.
    Running,
    /// All but sidecars ended, and the policy wants none back.
    Finished {
        /// The first one that isn't 0, or 0.
        code: i32,
        /// Sidecars run on, and have to go.
        lingers: bool,
    },
    /// A container ended that its policy wants back: the whole pod is to be replaced.
    Failed {
        /// Which container, and how.
        cause: String,
        /// When, by the wall clock.
        at: SystemTime,
        /// How long it ran.
        ran: Duration,
    },
    /// The pod is in no state that a start leads to.
    Broken {
        /// What is wrong with it.
        cause: String,
    },
}

/// Judges a pod by its workload's restart policy. The container that failed first speaks for the pod. Sidecars, which
/// are init containers that go on, are there for the others: a pod is as finished as these are, and a sidecar that ended
/// is missed only as long as something is to run on.
pub(super) fn judge(workload: &Workload, pod: &Pod) -> PodStatus {
    let outline = workload.content.specification.outline();
    let expected = outline.containers.len() + outline.sidecars.len();
    let is_sidecar = |container: &Container| outline.is_sidecar(&container.name);
    if pod.containers.len() < expected {
        return PodStatus::Broken {
            cause: format!("its pod has {} of {expected} containers", pod.containers.len()),
        };
    }
    let runs = |container: &&Container| container.state == ContainerState::Running;
    let (sidecars, main): (Vec<_>, Vec<_>) = pod.containers.iter().partition(|it| is_sidecar(it));
    let (running, lingers) = (main.iter().any(runs), sidecars.iter().any(runs));
    let mut first_code = 0;
    let mut failed: Option<(&Container, i32, SystemTime, Duration)> = None;
    for container in &pod.containers {
        match &container.state {
            ContainerState::Running => {}
            ContainerState::Stuck(state) => {
                return PodStatus::Broken { cause: format!("container '{}': {state}", container.name) };
            }
            &ContainerState::Exited { code, at, ran } => {
                let again = match workload.restart {
                    _ if !workload.is_service() => false, // the next slot does
                    RestartPolicy::Always => true,
                    RestartPolicy::OnFailure if is_sidecar(container) => running,
                    RestartPolicy::OnFailure => code != 0,
                    RestartPolicy::Never => false,
                };
                if again && failed.is_none_or(|(_, _, first, _)| at < first) {
                    failed = Some((container, code, at, ran));
                }
                if first_code == 0 && !is_sidecar(container) {
                    first_code = code;
                }
            }
        }
    }
    match failed {
        Some((Container { name, out_of_memory, .. }, code, at, ran)) => {
            let ran_s = ran.as_secs();
            let mut cause = format!("container '{name}' ended with exit code {code} after {ran_s} s");
            if let Some(why) = out_of_memory {
                cause = format!("{cause}, {why}");
            }
            PodStatus::Failed { cause, at, ran }
        }
        None if running => PodStatus::Running,
        None => PodStatus::Finished { code: first_code, lingers },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{model::order::OutOfMemory, tests::workload};
    use ContainerState::{Exited, Running, Stuck};

    const ENDED: SystemTime = SystemTime::UNIX_EPOCH;

    fn exited(code: i32) -> ContainerState {
        Exited { code, at: ENDED, ran: Duration::from_secs(3) }
    }

    fn judged(restart: RestartPolicy, states: &[ContainerState]) -> PodStatus {
        let mut workload = workload("w", states.len());
        workload.restart = restart;
        let containers = states.iter().zip('a'..).map(|(state, name)| Container {
            name: name.to_string(),
            state: state.clone(),
            out_of_memory: None,
            healthcheck: None,
        });
        judge(&workload, &Pod { containers: containers.collect(), ..Pod::default() })
    }

    #[test]
    fn each_policy_wants_back_what_it_says() {
        use RestartPolicy::{Always, Never, OnFailure};
        let failed = |verdict: &PodStatus| matches!(verdict, PodStatus::Failed { .. });
        for (restart, states, wanted_back, otherwise) in [
            (Always, vec![Running, Running], false, Some(PodStatus::Running)),
            (Always, vec![Running, exited(0)], true, None),
            (Always, vec![exited(1)], true, None),
            (OnFailure, vec![Running, exited(0)], false, Some(PodStatus::Running)),
            (OnFailure, vec![Running, exited(2)], true, None),
            (
                OnFailure,
                vec![exited(0), exited(0)],
                false,
                Some(PodStatus::Finished { code: 0, lingers: false }),
            ),
            (Never, vec![Running, exited(2)], false, Some(PodStatus::Running)),
            (Never, vec![exited(0), exited(2)], false, Some(PodStatus::Finished { code: 2, lingers: false })),
        ] {
            let verdict = judged(restart, &states);
            assert_eq!(failed(&verdict), wanted_back, "{restart:?} {states:?}: {verdict:?}");
            if let Some(otherwise) = otherwise {
                assert_eq!(verdict, otherwise, "{restart:?} {states:?}");
            }
        }
    }

    #[test]
    fn a_pod_is_as_finished_as_those_that_its_sidecars_are_for() {
        use RestartPolicy::{Always, Never, OnFailure};
        let finished = |code, lingers| PodStatus::Finished { code, lingers };
        // the sidecar's state is the first
        for (restart, states, expected) in [
            (Never, [Running, exited(3)], Some(finished(3, true))),
            (Never, [exited(1), exited(0)], Some(finished(0, false))),
            (Never, [exited(1), Running], Some(PodStatus::Running)),
            (OnFailure, [Running, exited(0)], Some(finished(0, true))),
            (OnFailure, [exited(0), exited(0)], Some(finished(0, false))),
            (OnFailure, [exited(0), Running], None), // it failed
            (Always, [exited(0), Running], None),
            (Always, [Running, Running], Some(PodStatus::Running)),
        ] {
            let mut workload = workload("w", 1);
            workload.restart = restart;
            workload.content.specification.edit(|it| {
                it["containers"][0]["name"] = "main".into();
                it["initContainers"] = serde_json::json!([{"name": "a", "restartPolicy": "Always"}]);
            });
            let containers = ["a", "main"].into_iter().zip(&states).map(|(name, state)| Container {
                name: name.into(),
                state: state.clone(),
                out_of_memory: None,
                healthcheck: None,
            });
            let status = judge(&workload, &Pod { containers: containers.collect(), ..Pod::default() });
            match expected {
                Some(expected) => assert_eq!(status, expected, "{restart:?} {states:?}"),
                None => {
                    assert!(matches!(status, PodStatus::Failed { .. }), "{restart:?} {states:?}: {status:?}")
                }
            }
        }
    }

    #[test]
    fn the_container_that_failed_first_speaks_for_the_pod() {
        let later = Exited { code: 9, at: ENDED + Duration::from_secs(1), ran: Duration::ZERO };
        let PodStatus::Failed { cause, .. } = judged(RestartPolicy::Always, &[later, exited(7)]) else {
            panic!()
        };
        assert_eq!(cause, "container 'b' ended with exit code 7 after 3 s");
    }

    #[test]
    fn want_of_memory_is_said_with_the_limit_where_there_is_one() {
        for (limit, said) in [(Some(24 << 20), "out of memory: its limit is 24Mi"), (None, "out of memory")] {
            let out_of_memory = Some(OutOfMemory { limit });
            let name = "a".to_owned();
            let container = Container { name, state: exited(137), out_of_memory, healthcheck: None };
            let pod = Pod { containers: vec![container], ..Pod::default() };
            let PodStatus::Failed { cause, .. } = judge(&workload("w", 1), &pod) else { panic!() };
            assert_eq!(cause, format!("container 'a' ended with exit code 137 after 3 s, {said}"));
        }
    }

    #[test]
    fn a_half_made_pod_and_one_with_a_stuck_container_are_broken() {
        let PodStatus::Broken { cause } = judge(&workload("w", 2), &Pod::default()) else { panic!() };
        assert_eq!(cause, "its pod has 0 of 2 containers");
        let mut half = workload("w", 1);
        half.content.specification.edit(|it| {
            it["initContainers"] = serde_json::json!([{"name": "side", "restartPolicy": "Always"}]);
        });
        let name = "side".to_owned();
        let sidecar = Container { name, state: Running, out_of_memory: None, healthcheck: None };
        let alone = Pod { containers: vec![sidecar], ..Pod::default() };
        assert!(matches!(judge(&half, &alone), PodStatus::Broken { .. }), "no end of the others");
        let PodStatus::Broken { cause } = judged(RestartPolicy::Never, &[Running, Stuck("created".into())])
        else {
            panic!()
        };
        assert_eq!(cause, "container 'b': created");
    }
}
