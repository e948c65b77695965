//! What holds for a workload that was accepted, whoever sent it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path},
    sync::Arc,
};

use crate::scratch;
use device_worker_ng::{
    agent::model::{
        fallback::{Fallback, Fallbacks},
        workload::{Engine, Workload, WorkloadId},
    },
    io::podman::fuzzing::write_volumes,
    wire::{
        dns_names, kubernetes,
        own::fallback,
        podman::{
            libpod::{self, ImageUser, PodMaker, PodPlan, Surroundings},
            limits::DefaultLimits,
        },
    },
};

pub(super) fn holds(workload: &Arc<Workload>) {
    assert_eq!(WorkloadId::from_pod_name(workload.id.as_str()), workload.id);
    engines(workload);
    volumes(workload);
    let fallbacks: Fallbacks =
        [(workload.name().into(), Fallback { good: Arc::clone(workload), failed: None })].into();
    let bytes = fallback::to_bytes(&fallbacks).expect("content from a manifest can be kept");
    let back = fallback::from_bytes(&bytes).expect("what was kept is read");
    let (back, kept) = (&back[workload.name()].good, workload);
    assert_eq!((&back.content, &back.id), (&kept.content, &kept.id), "what was kept is another");
}

/// Both engines get what they can read.
fn engines(workload: &Workload) {
    if matches!(workload.content.engine, Engine::Podman { .. }) {
        let agent = PodMaker {
            owner: "owner",
            device_id: "demo",
            limits: &DefaultLimits::default(),
            trees_dir: Some("/volumes"),
        };
        let plan =
            PodPlan::new(workload, agent, Surroundings::default()).unwrap_or_else(|error| panic!("{error}"));
        let pod = serde_json::to_string(&plan.pod_request(Some(1000))).expect("JSON");
        assert!(pod.contains(workload.id.as_str()));
        let image = ImageUser { user: "1".into() };
        for step in plan.planned_containers() {
            let place = |name: &str| format!("/place/{name}");
            let made = plan.container_plan(step, Surroundings::default(), &image, &place);
            let made = made.unwrap_or_else(|error| panic!("{error}"));
            assert!(made.parts.iter().all(|part| is_below(&part.path)), "a part leads out of its volume");
        }
    }
    let deployment = kubernetes::deployment(workload, 1, "owner", "demo", true, &[]);
    assert_eq!(deployment["metadata"]["name"], workload.name());
    assert!(kubernetes::read(&deployment).hash == workload.hash, "its own mark is not read");
    let dependents = kubernetes::dependent_objects(workload, "owner", "uid");
    assert_eq!(dependents.is_empty(), kubernetes::has_no_dependents(workload));
    let mut seen = BTreeSet::new();
    for dependent in &dependents {
        assert!(dependent.name.starts_with(&format!("{}.", workload.name())), "{}", dependent.name);
        assert!(dns_names::is_dns_subdomain(&dependent.name), "a cluster refuses '{}'", dependent.name);
        assert!(seen.insert((dependent.plural, &dependent.name)), "'{}' stands twice", dependent.name);
        assert!(kubernetes::is_ours(&dependent.object, "owner"));
    }
    let dependents = kubernetes::read(&deployment).dependents;
    assert_eq!(
        kubernetes::obsolete_dependents(workload, &dependents),
        [""; 0],
        "what is needed would be removed"
    );
}

/// What is written stays where it belongs.
fn volumes(workload: &Workload) {
    let volumes = libpod::file_volumes(workload);
    for volume in &volumes {
        assert!(is_below(&volume.name) && !volume.name.contains('/'), "volume '{}'", volume.name);
        let mut seen = BTreeSet::new();
        for file in &volume.files {
            assert!(is_below(&file.path), "volume '{}', file '{}'", volume.name, file.path);
            assert!(seen.insert(&file.path), "volume '{}': '{}' stands twice", volume.name, file.path);
            assert!(file.mode <= 0o777, "mode {:o}", file.mode);
        }
    }
    if volumes.is_empty() {
        return;
    }
    let scratch = scratch::directory();
    let mut before = scratch::everything(scratch.path());
    let own = scratch.path().join("volumes");
    if write_volumes(workload, &own).is_ok() {
        for volume in &volumes {
            for file in &volume.files {
                let path = own.join(workload.id.as_str()).join(&volume.name).join(&file.path);
                assert!(
                    fs::read(&path).ok().as_ref() == Some(&file.content),
                    "'{}' is another",
                    path.display()
                );
            }
        }
    }
    let mut after = scratch::everything(scratch.path());
    after.retain(|path, _| !path.starts_with(&own));
    for files in [&mut before, &mut after] {
        files.values_mut().for_each(|file| file.1.clear());
    }
    assert_eq!(after, before, "something changed outside the volumes");
}

fn is_below(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
