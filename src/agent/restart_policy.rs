//! What a pod's containers mean for its workload: the restart policies.

use std::time::{Duration, SystemTime};

use super::{
    containers::{ContainerRestarts, ContainerToRestart},
    model::{
        order::{Container, ContainerState, Pod},
        run::KILLED_EXIT_CODE,
        workload::Workload,
    },
};

/// What is to be thought of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodStatus {
    /// It goes on.
    Running {
        /// Those of its containers that ended and that the policy wants back.
        missed: Vec<ContainerToRestart>,
    },
    /// All but sidecars ended, and the policy wants none back.
    Finished {
        /// The first one that isn't 0, or 0.
        code: i32,
        /// Sidecars run on, and have to go.
        lingers: bool,
        /// A container is wanted back, and there are no more tries.
        gives_up: bool,
    },
    /// The pod is in no state that a start leads to: the whole of it is to be replaced.
    Broken {
        /// What is wrong with it.
        cause: String,
    },
}

/// Judges a pod by its workload's restart policy, and what is known of its containers. Sidecars, which are init
/// containers that go on, are there for the others: a pod is as finished as these are, and a sidecar that ended is missed
/// only as long as something is to run on. `tries`: so many more ends may be followed by another start; with the next one
/// that fails the pod is finished, whatever else runs in it.
pub(super) fn evaluate_pod(
    workload: &Workload,
    pod: &Pod,
    known: &ContainerRestarts,
    mut tries: u32,
) -> PodStatus {
    let outline = workload.content.specification.outline();
    let expected = outline.containers.len() + outline.sidecars.len();
    let is_sidecar = |container: &Container| outline.is_sidecar(&container.name);
    if pod.containers.len() < expected {
        return PodStatus::Broken {
            cause: format!("its pod has {} of {expected} containers", pod.containers.len()),
        };
    }
    let (mut missed, mut first_code) = (Vec::new(), 0);
    let (sidecars, main): (Vec<_>, Vec<_>) = pod.containers.iter().partition(|it| is_sidecar(it));
    let (mut runs, mut gives_up) = (false, false);
    for container in main {
        match &container.state {
            ContainerState::Running => runs = true,
            ContainerState::Stuck(_) if known.has_failed_start(&container.name) => {
                missed.push(missed_unstarted(container))
            }
            ContainerState::Stuck(state) => return broken_status(container, state),
            &ContainerState::Exited { code, at, ran } => {
                let is_unhealthy = known.is_unhealthy(&container.name);
                let code = if is_unhealthy && code == 0 { KILLED_EXIT_CODE } else { code };
                let again = workload.restarts_after_exit(&container.name, code);
                let is_new = !known.is_to_start(&container.name, at);
                if again && !(is_new && tries == 0) {
                    tries -= u32::from(is_new);
                    missed.push(missed_ended(container, code, at, ran));
                } else {
                    gives_up |= again;
                    first_code = if first_code == 0 { code } else { first_code };
                }
            }
        }
    }
    let goes_on = !gives_up && (runs || !missed.is_empty());
    let mut lingers = gives_up && runs;
    for container in sidecars {
        match &container.state {
            ContainerState::Running => lingers = true,
            ContainerState::Stuck(_) if known.has_failed_start(&container.name) => {
                missed.push(missed_unstarted(container))
            }
            ContainerState::Stuck(state) => return broken_status(container, state),
            &ContainerState::Exited { code, at, ran } if goes_on => {
                missed.push(missed_ended(container, code, at, ran));
            }
            ContainerState::Exited { .. } => {}
        }
    }
    match goes_on {
        true if pod.torn => PodStatus::Broken { cause: "what held the pod's network has ended".into() },
        true => PodStatus::Running { missed },
        false => PodStatus::Finished { code: first_code, lingers, gives_up },
    }
}

fn broken_status(container: &Container, state: &str) -> PodStatus {
    PodStatus::Broken { cause: format!("container '{}': {state}", container.name) }
}

fn missed_unstarted(container: &Container) -> ContainerToRestart {
    let (container, cause) = (container.name.clone(), String::new()); // as told already
    ContainerToRestart { container, cause, at: None, ran: Duration::ZERO }
}

fn missed_ended(container: &Container, code: i32, at: SystemTime, ran: Duration) -> ContainerToRestart {
    let Container { name, out_of_memory, .. } = container;
    let mut cause = format!("container '{name}' ended with exit code {code} after {} s", ran.as_secs());
    if let Some(why) = out_of_memory {
        cause = format!("{cause}, {why}");
    }
    ContainerToRestart { container: name.clone(), cause, at: Some(at), ran }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{
        model::{order::OutOfMemory, schedule::Backoff, workload::RestartPolicy},
        tests::workload,
    };
    use ContainerState::{Exited, Running, Stuck};

    const ENDED: SystemTime = SystemTime::UNIX_EPOCH;

    fn exited(code: i32) -> ContainerState {
        Exited { code, at: ENDED, ran: Duration::from_secs(3) }
    }

    const RUNS: PodStatus = PodStatus::Running { missed: Vec::new() };

    fn missed(verdict: &PodStatus) -> &[ContainerToRestart] {
        if let PodStatus::Running { missed } = verdict { missed } else { &[] }
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
        evaluate_pod(
            &workload,
            &Pod { containers: containers.collect(), ..Pod::default() },
            &ContainerRestarts::default(),
            u32::MAX,
        )
    }

    #[test]
    fn each_policy_wants_back_what_it_says() {
        use RestartPolicy::{Always, Never, OnFailure};
        let failed = |verdict: &PodStatus| !missed(verdict).is_empty();
        for (restart, states, wanted_back, otherwise) in [
            (Always, vec![Running, Running], false, Some(RUNS)),
            (Always, vec![Running, exited(0)], true, None),
            (Always, vec![exited(1)], true, None),
            (OnFailure, vec![Running, exited(0)], false, Some(RUNS)),
            (OnFailure, vec![Running, exited(2)], true, None),
            (
                OnFailure,
                vec![exited(0), exited(0)],
                false,
                Some(PodStatus::Finished { code: 0, lingers: false, gives_up: false }),
            ),
            (Never, vec![Running, exited(2)], false, Some(RUNS)),
            (
                Never,
                vec![exited(0), exited(2)],
                false,
                Some(PodStatus::Finished { code: 2, lingers: false, gives_up: false }),
            ),
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
        let finished = |code, lingers| PodStatus::Finished { code, lingers, gives_up: false };
        // the sidecar's state is the first
        for (restart, states, expected) in [
            (Never, [Running, exited(3)], Some(finished(3, true))),
            (Never, [exited(1), exited(0)], Some(finished(0, false))),
            (Never, [exited(1), Running], None), // its own policy is Always
            (OnFailure, [Running, exited(0)], Some(finished(0, true))),
            (OnFailure, [exited(0), exited(0)], Some(finished(0, false))),
            (OnFailure, [exited(0), Running], None), // it failed
            (Always, [exited(0), Running], None),
            (Always, [Running, Running], Some(RUNS)),
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
            let status = evaluate_pod(
                &workload,
                &Pod { containers: containers.collect(), ..Pod::default() },
                &ContainerRestarts::default(),
                u32::MAX,
            );
            match expected {
                Some(expected) => assert_eq!(status, expected, "{restart:?} {states:?}"),
                None => assert_eq!(missed(&status).len(), 1, "{restart:?} {states:?}: {status:?}"),
            }
        }
    }

    #[test]
    fn each_container_that_ended_is_missed_with_what_became_of_it() {
        let later = Exited { code: 9, at: ENDED + Duration::from_secs(1), ran: Duration::ZERO };
        let verdict = judged(RestartPolicy::Always, &[later, Running, exited(7)]);
        let causes: Vec<_> = missed(&verdict).iter().map(|it| &*it.cause).collect();
        let [a, c] = causes[..] else { panic!("{causes:?}") };
        assert_eq!(a, "container 'a' ended with exit code 9 after 0 s");
        assert_eq!(c, "container 'c' ended with exit code 7 after 3 s");
    }

    #[test]
    fn with_the_end_after_the_last_try_a_pod_has_failed_and_what_runs_on_in_it_has_to_go() {
        let lives = |states: [ContainerState; 2], tries| {
            let containers = states.into_iter().zip(["a", "b"]).map(|(state, name)| Container {
                name: name.into(),
                state,
                out_of_memory: None,
                healthcheck: None,
            });
            let pod = Pod { containers: containers.collect(), ..Pod::default() };
            let w = Workload { restart: RestartPolicy::OnFailure, ..workload("w", 2) };
            let mut known = ContainerRestarts::default();
            let missed = ContainerToRestart {
                container: "b".into(),
                cause: String::new(),
                at: Some(ENDED),
                ran: Duration::ZERO,
            };
            known.schedule_restart(missed, &Backoff::default(), Duration::ZERO, Duration::ZERO, 0.0); // it waits already
            evaluate_pod(&w, &pod, &known, tries)
        };
        let finished = |code, lingers| PodStatus::Finished { code, lingers, gives_up: true };
        assert_eq!(missed(&lives([exited(3), exited(4)], 1)).len(), 2);
        assert_eq!(missed(&lives([Running, exited(4)], 0)).len(), 1, "it was a try");
        assert_eq!(lives([exited(3), exited(4)], 0), finished(3, false));
        let since = Exited { code: 5, at: ENDED + Duration::from_secs(9), ran: Duration::ZERO };
        assert_eq!(lives([Running, since], 0), finished(5, true));
        assert_eq!(lives([Running, exited(0)], 0), RUNS, "it ended well");
    }

    #[test]
    fn what_was_ended_for_being_unhealthy_is_missed_whatever_it_said_but_not_under_never() {
        use RestartPolicy::{Never, OnFailure};
        let mut known = ContainerRestarts::default();
        known.mark_unhealthy("a", "it is unhealthy", Duration::ZERO);
        let name = "a".to_owned();
        let container = Container { name, state: exited(0), out_of_memory: None, healthcheck: None };
        let pod = Pod { containers: vec![container], ..Pod::default() };
        let verdict =
            |restart| evaluate_pod(&Workload { restart, ..workload("w", 1) }, &pod, &known, u32::MAX);
        assert_eq!(missed(&verdict(OnFailure)).len(), 1);
        assert_eq!(
            verdict(Never),
            PodStatus::Finished { code: KILLED_EXIT_CODE, lingers: false, gives_up: false }
        );
    }

    #[test]
    fn a_pod_without_its_namespaces_is_broken_unless_it_has_finished() {
        let pod = |state: &ContainerState| {
            let name = "a".to_owned();
            let container = Container { name, state: state.clone(), out_of_memory: None, healthcheck: None };
            Pod { containers: vec![container], torn: true, ..Pod::default() }
        };
        let w = workload("w", 1);
        for state in [Running, exited(0)] {
            let verdict = evaluate_pod(&w, &pod(&state), &ContainerRestarts::default(), u32::MAX);
            assert!(matches!(verdict, PodStatus::Broken { .. }), "{state:?}: {verdict:?}");
        }
        let never = Workload { restart: RestartPolicy::Never, ..w };
        let verdict = evaluate_pod(&never, &pod(&exited(0)), &ContainerRestarts::default(), u32::MAX);
        assert_eq!(verdict, PodStatus::Finished { code: 0, lingers: false, gives_up: false });
    }

    #[test]
    fn want_of_memory_is_said_with_the_limit_where_there_is_one() {
        for (limit, said) in [(Some(24 << 20), "out of memory: its limit is 24Mi"), (None, "out of memory")] {
            let out_of_memory = Some(OutOfMemory { limit });
            let name = "a".to_owned();
            let container = Container { name, state: exited(137), out_of_memory, healthcheck: None };
            let pod = Pod { containers: vec![container], ..Pod::default() };
            let verdict = evaluate_pod(&workload("w", 1), &pod, &ContainerRestarts::default(), u32::MAX);
            assert_eq!(
                missed(&verdict)[0].cause,
                format!("container 'a' ended with exit code 137 after 3 s, {said}")
            );
        }
    }

    #[test]
    fn a_half_made_pod_and_one_with_a_stuck_container_are_broken() {
        let PodStatus::Broken { cause } =
            evaluate_pod(&workload("w", 2), &Pod::default(), &ContainerRestarts::default(), u32::MAX)
        else {
            panic!()
        };
        assert_eq!(cause, "its pod has 0 of 2 containers");
        let mut half = workload("w", 1);
        half.content.specification.edit(|it| {
            it["initContainers"] = serde_json::json!([{"name": "side", "restartPolicy": "Always"}]);
        });
        let name = "side".to_owned();
        let sidecar = Container { name, state: Running, out_of_memory: None, healthcheck: None };
        let alone = Pod { containers: vec![sidecar], ..Pod::default() };
        assert!(
            matches!(
                evaluate_pod(&half, &alone, &ContainerRestarts::default(), u32::MAX),
                PodStatus::Broken { .. }
            ),
            "no end of the others"
        );
        let PodStatus::Broken { cause } = judged(RestartPolicy::Never, &[Running, Stuck("created".into())])
        else {
            panic!()
        };
        assert_eq!(cause, "container 'b': created");
    }
}
