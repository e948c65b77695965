//! How much each pod uses, as the kernel and podman say.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use device_worker_ng::{
    agent::{
        Event,
        model::{
            order::{Fact, Task},
            pressure::Resource,
            workload::{Workload, WorkloadId},
        },
    },
    wire::podman::limits::pids_limit_annotation,
};
use serde_json::json;

use super::bed::{Bed, container, workload};
use crate::support::{SLEEP, poll};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// What each uses, as soon as it is as expected.
fn usage(bed: &Bed, resource: Resource, expected: impl Fn(&BTreeMap<WorkloadId, u64>) -> bool) {
    let mut last = None;
    let seen = poll(|| {
        // podman fails to measure while containers of other tests go
        let uses = match bed.order(Task::Usage(resource)) {
            Ok(Fact::Usage(uses)) => Ok(uses.into_iter().collect()),
            other => Err(other),
        };
        let found = uses.as_ref().is_ok_and(&expected);
        last = Some(uses);
        found.then_some(())
    });
    assert!(seen.is_some(), "{last:?}");
}

#[test]
fn memory_that_a_container_holds_is_its_pods_and_the_file_cache_is_no_pods() {
    let Some(bed) = Bed::new() else { return };
    let hold = format!("x=$(head -c 40000000 /dev/zero | tr '\\0' a); {SLEEP}");
    let write = format!("dd if=/dev/zero of=/x bs=1M count=40; {SLEEP}");
    let eater = workload("eater", json!({ "containers": [container("a", &hold), container("b", SLEEP)] }));
    let modest = workload("modest", json!({ "containers": [container("a", &write)] }));
    bed.start(&eater);
    bed.start(&modest);
    usage(&bed, Resource::Memory, |uses| {
        assert_eq!(uses.len(), 2);
        (40_000_000..120 * MIB).contains(&uses[&eater.id]) && uses[&modest.id] < 20 * MIB
    });
}

#[test]
fn processor_time_is_counted_from_a_pods_begin() {
    let Some(bed) = Bed::with_cgroups() else { return };
    let busy = workload("busy", json!({ "containers": [container("a", "while :; do :; done")] }));
    let modest = workload("lazy", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&busy);
    bed.start(&modest);
    usage(&bed, Resource::Cpu, |uses| uses[&busy.id] > 1_000_000 && uses[&modest.id] < uses[&busy.id] / 4);
}

#[test]
fn a_pod_that_wants_more_processes_than_it_may_have_is_told_once() {
    let Some(bed) = Bed::with_cgroups() else { return };
    // until it is refused one: podman 4 gets to know the limit after the start
    let sleeps = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.2 & done; wait";
    let forks = format!("while sh -c '{sleeps}'; do :; done; exec sleep 1000");
    let mut content = workload("forks", json!({ "containers": [container("a", &forks)] })).content.clone();
    content.annotations.push((pids_limit_annotation("a"), "8".into()));
    let forks = Arc::new(Workload::new(content));
    bed.start(&forks);
    let mut look = || {
        bed.submit(Task::List); // where the kernel wakes nothing this sees it
        let mut told = None;
        loop {
            match bed.events.recv_timeout(PATIENCE).expect("an event") {
                Event::Refused(_, id, limit) => told = Some((id, limit)),
                _ => return told,
            }
        }
    };
    assert_eq!(poll(&mut look), Some((forks.id.clone(), Some(8))));
    assert_eq!([look(), look(), look()], [const { None }; 3]);
}

#[test]
fn disk_space_is_what_containers_wrote_and_volumes_hold() {
    let Some(bed) = Bed::new() else { return };
    let write = |path: &str, mib: u32| format!("dd if=/dev/zero of={path} bs=1M count={mib}");
    let both = format!("{}; {}; {SLEEP}", write("/x", 3), write("/tmp/data/x", 5));
    let mut filler = container("a", &both);
    filler["volumeMounts"] = json!([{ "name": "data", "mountPath": "/tmp/data" }]);
    let volumes = json!([{ "name": "data", "emptyDir": {} }]);
    let filler = workload("filler", json!({ "containers": [filler], "volumes": volumes }));
    let modest = workload("modest", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&filler);
    bed.start(&modest);
    usage(&bed, Resource::Disk, |uses| {
        (8 * MIB..9 * MIB).contains(&uses[&filler.id]) && uses[&modest.id] < MIB
    });
}
