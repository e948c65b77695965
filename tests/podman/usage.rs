//! How much each pod uses, as the kernel and podman say.

use std::collections::BTreeMap;

use device_worker_ng::agent::{
    order::{Fact, Task},
    shed::Resource,
    workload::WorkloadId,
};
use serde_json::json;

use super::bed::{Bed, container, workload};
use crate::support::{SLEEP, poll};

const MIB: u64 = 1 << 20;

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
fn memory_that_a_container_holds_is_its_pods_and_the_file_cache_is_nobodys() {
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
