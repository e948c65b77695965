//! One container of a pod is ended or started again, and the rest of the pod stays as it is.

use std::time::{Duration, SystemTime};

use device_worker_ng::agent::{
    Event,
    model::{
        order::{ContainerState, Fact, Pod, Task},
        workload::Workload,
    },
};
use serde_json::json;

use super::bed::{Bed, container, pod, states, workload};
use crate::support::SLEEP;

pub(super) fn ended(pod: &Pod, name: &str) -> SystemTime {
    match pod.containers.iter().find(|it| it.name == name).map(|it| &it.state) {
        Some(ContainerState::Exited { at, .. }) => *at,
        other => panic!("{other:?} has not ended"),
    }
}

pub(super) fn end(bed: &Bed, workload: &Workload, name: &str) -> Pod {
    let (id, container) = (workload.id.clone(), name.to_owned());
    let ticket = bed.submit(Task::End { id, container, grace: Duration::from_secs(5) });
    let (mut exited, mut done) = (false, false);
    while !(exited && done) {
        match bed.events.recv_timeout(Duration::from_secs(60)).expect("an exit and an outcome") {
            Event::Exited(..) => exited = true,
            Event::Done(outcome) => {
                assert_eq!((outcome.ticket, outcome.result), (ticket, Ok(Fact::Ended)));
                done = true;
            }
            other => panic!("{other:?}"),
        }
    }
    bed.look(workload)
}

pub(super) fn restart(bed: &Bed, workload: &Workload, name: &str, ended: SystemTime) -> Pod {
    pod(bed.order(Task::Restart { id: workload.id.clone(), container: name.into(), ended }))
}

#[test]
fn one_container_is_ended_and_started_again_and_the_other_runs_on() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload("two", json!({ "containers": [container("a", SLEEP), container("b", SLEEP)] }));
    bed.start(&workload);
    let pid = bed.state(&workload.id, "b")["Pid"].clone();
    let pod = end(&bed, &workload, "a");
    assert_eq!(states(&pod), ["a exited 0", "b running"]);
    let pod = restart(&bed, &workload, "a", ended(&pod, "a"));
    assert_eq!(states(&pod), ["a running", "b running"]);
    assert_eq!(bed.state(&workload.id, "b")["Pid"], pid);
    assert!(!pod.torn);
}

#[test]
fn what_runs_or_ended_at_another_time_is_left_as_it_is() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload("other", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&workload);
    let pid = bed.state(&workload.id, "a")["Pid"].clone();
    let pod = restart(&bed, &workload, "a", SystemTime::now());
    assert_eq!(states(&pod), ["a running"]);
    assert_eq!(bed.state(&workload.id, "a")["Pid"], pid);
    let pod = end(&bed, &workload, "a");
    let at = ended(&pod, "a");
    assert_eq!(states(&restart(&bed, &workload, "a", at - Duration::from_secs(60))), ["a exited 0"]);
    bed.remove(&workload).unwrap();
    let gone = Task::Restart { id: workload.id.clone(), container: "a".into(), ended: at };
    assert_eq!(bed.order(gone), Ok(Fact::Gone));
}

#[test]
fn the_limit_of_the_pod_binds_what_is_started_again_also_below_its_own() {
    let Some(bed) = Bed::with_cgroups() else { return };
    let mut half = container("half", SLEEP);
    half["resources"] = json!({ "limits": { "cpu": "500m" } });
    let workload = workload("bound", json!({ "containers": [half, container("b", SLEEP)] }));
    bed.start(&workload);
    let limit = Task::Limit { id: workload.id.clone(), cpu: Some(20_000) };
    assert_eq!(bed.order(limit), Ok(Fact::Limited));
    for name in ["half", "b"] {
        let pod = end(&bed, &workload, name);
        let pod = restart(&bed, &workload, name, ended(&pod, name));
        assert_eq!(states(&pod), ["half running", "b running"]);
        assert_eq!(pod.cpu, Some(20_000));
    }
}
