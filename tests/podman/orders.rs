//! Start, look, list, remove, and what stays behind when they fail.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use device_worker_ng::{
    agent::{
        Event,
        model::{
            order::{Fact, Failure, Grace, Task},
            workload::Workload,
        },
    },
    wire::{ownership::OWNER_LABEL, podman::names::podman_safe_name},
};
use serde_json::{Value, json};

use super::bed::{Bed, container, states, workload, workload_with};
use crate::support::{IMAGE, SLEEP, podman, poll, skip};

const PATIENCE: Duration = Duration::from_secs(60);

fn refused(result: Result<Fact, Failure>) -> String {
    match result {
        Err(Failure::Workload(reason)) => reason,
        other => panic!("{other:?} instead of a refusal"),
    }
}

/// One that gives these answers: to each part of an address its own, empty lists, and 404 to the rest.
fn fake_podman(answers: Value) -> (Bed, Arc<Mutex<Value>>) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("podman.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answers = Arc::new(Mutex::new(answers));
    let given = answers.clone();
    thread::spawn(move || {
        let _socket = directory;
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), [0; 4096]);
            let read = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]);
            let line = head.lines().next().unwrap_or_default();
            let answers = given.lock().unwrap();
            let answer = answers.as_object().unwrap().iter().find(|(part, _)| line.contains(&**part));
            let (status, body) = match answer {
                Some((_, body)) => ("200 OK", body.to_string()),
                None if line.contains("s/json") => ("200 OK", "[]".to_owned()),
                None => ("404 Not Found", "{}".to_owned()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
            let _ =
                stream.write_all(format!("{head}Content-Type: application/json\r\n\r\n{body}").as_bytes());
        }
    });
    (Bed::at(socket), answers)
}

#[test]
fn pods_of_others_that_a_podman_lists_all_the_same_are_not_seen() {
    let (bed, answers) = fake_podman(json!({}));
    let pod = |name: &str, labels: Value| json!({ "Id": name, "Name": name, "Labels": labels });
    answers.lock().unwrap()["/pods/json"] = json!([
        pod("theirs-1", json!({ OWNER_LABEL: "another" })),
        pod("ours-1", json!({ OWNER_LABEL: bed.owner })),
        pod("bare-1", json!(null)),
    ]);
    let seen: Vec<_> = bed.list().into_iter().map(|pod| pod.id.to_string()).collect();
    assert_eq!(seen, ["ours-1"]);
}

#[test]
fn what_ran_when_the_power_failed_has_not_ended_though_an_earlier_run_has() {
    let workload = workload("cut", json!({ "containers": [container("a", "true")] }));
    let (bed, answers) = fake_podman(json!({}));
    let seen = |code: i32, exited: bool| {
        *answers.lock().unwrap() = json!({
            format!("/pods/{}/json", workload.id): {
                "Id": "p", "Labels": { OWNER_LABEL: bed.owner },
                "Containers": [{ "Id": "c", "Name": format!("{}-a", workload.id) }],
            },
            // (podman 5.4.2, after the boot)
            "/containers/c/json": { "State": {
                "Status": "exited", "ExitCode": code,
                "StartedAt": "2026-12-01T15:32:47.842613067Z", "FinishedAt": "2026-12-01T15:32:45.453919104Z",
            } },
            "/containers/json": [{ "Exited": exited, "ExitCode": code }],
        });
        states(&bed.look(&workload))
    };
    assert_eq!(seen(0, false), ["a stuck: it ran when the device went down"]);
    // or the clock was set back while it ran
    assert_eq!(seen(0, true), ["a exited 0"]);
    assert_eq!(seen(3, true), ["a exited 3"]);
}

#[test]
fn a_pod_starts_is_seen_and_goes() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload(
        "whole",
        json!({
            "initContainers": [container("zero", "true")],
            "containers": [container("two", SLEEP), container("one", SLEEP)],
        }),
    );
    assert_eq!(bed.order(Task::Look(workload.id.clone())), Ok(Fact::Gone));
    assert_eq!(bed.order(Task::Pull(workload.clone())), Ok(Fact::Pulled { fetched: vec![], stale: vec![] }));
    assert_eq!(states(&bed.start(&workload)), ["two running", "one running"]);
    assert_eq!(states(&bed.look(&workload)), ["two running", "one running"]);
    let listed = bed.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].id, listed[0].workload.as_str(), listed[0].running),
        (&workload.id, "whole", true)
    );

    let inspected = bed.get(&format!("containers/{}-one/json", workload.id));
    assert_eq!(inspected["HostConfig"]["LogConfig"]["Size"], "10MB");
    assert_eq!(inspected["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert!(inspected["Config"]["Env"].as_array().unwrap().contains(&json!("DEVICE_ID=dev1")));
    assert_eq!(inspected["Config"]["Labels"]["app"], "whole");
    let pid = &inspected["State"]["Pid"];
    if !bed.lacks_cgroups() {
        assert_eq!(pids_limit(pid.as_i64().unwrap()), Some("512\n".into()));
    }

    assert_eq!(bed.remove(&workload), Ok(Fact::Gone));
    assert_eq!(bed.remove(&workload), Ok(Fact::Gone));
    assert_eq!(bed.remains(&workload.id), [""; 0]);
    assert_eq!(bed.list(), []);
}

#[test]
fn a_pod_that_was_replaced_counts_as_one_that_does_not_run_until_it_is_looked_at() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload("replaced", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&workload);
    let runs = || bed.list().first().map(|pod| pod.running);
    assert_eq!(runs(), Some(true));
    let other = bed.another(); // as an order of an agent that is dead by now, carried out late
    assert_eq!(other.remove(&workload), Ok(Fact::Gone));
    other.start(&workload);
    assert!(matches!(bed.events.recv_timeout(PATIENCE), Ok(Event::Exited(..))));
    assert_eq!([runs(), runs()], [Some(false); 2]);
    assert_eq!(states(&bed.look(&workload)), ["a running"]);
    assert_eq!(runs(), Some(true));
    assert_eq!(bed.remove(&workload), Ok(Fact::Gone));
    assert!(matches!(other.events.recv_timeout(PATIENCE), Ok(Event::Exited(..))));
}

/// What the kernel says of the process's cgroup, of either version.
fn pids_limit(pid: i64) -> Option<String> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = |line: &str| -> Option<String> {
        let mut fields = line.splitn(3, ':').skip(1);
        match (fields.next()?, fields.next()?) {
            ("pids", path) => Some(format!("/sys/fs/cgroup/pids{path}/pids.max")),
            ("", path) => Some(format!("/sys/fs/cgroup{path}/pids.max")),
            _ => None,
        }
    };
    groups.lines().filter_map(path).find_map(|path| std::fs::read_to_string(path).ok())
}

#[test]
fn a_container_that_cannot_start_is_named_and_leaves_nothing() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload_with(
        "nope",
        json!({
            "containers": [{
                "name": "bad", "image": IMAGE, "command": ["/nope"],
                "volumeMounts": [{ "name": "conf", "mountPath": "/conf" }, { "name": "data", "mountPath": "/d" }],
            }],
            "volumes": [{ "name": "conf", "configMap": { "name": "cm" } }, { "name": "data", "emptyDir": {} }],
        }),
        vec![
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cm" }, "data": { "k": "v" } }),
        ],
    );
    let reason = refused(bed.order(Task::Start(workload.clone(), None)));
    assert!(reason.contains("container 'bad'") && reason.contains("/nope"), "{reason}");
    assert_eq!(bed.remains(&workload.id), [""; 0]);
}

#[test]
fn a_failing_init_container_is_named_with_its_code_and_leaves_nothing() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload(
        "init",
        json!({ "initContainers": [container("first", "exit 7")], "containers": [container("a", SLEEP)] }),
    );
    let reason = refused(bed.order(Task::Start(workload.clone(), None)));
    assert_eq!(reason, "init container 'first' exited with code 7");
    assert_eq!(bed.remains(&workload.id), [""; 0]);
}

#[test]
fn a_taken_port_is_named_and_leaves_nothing() {
    let Some(bed) = Bed::new() else { return };
    let mut greedy = container("a", SLEEP);
    greedy["ports"] = json!([{ "containerPort": 80, "hostPort": 3999 }]);
    let first = workload("first", json!({ "containers": [greedy] }));
    let second = workload("second", json!({ "containers": [greedy] }));
    bed.start(&first);
    let reason = refused(bed.order(Task::Start(second.clone(), None)));
    assert_eq!(reason, "host port 3999/tcp is taken by workload 'first'");
    assert_eq!(bed.remains(&second.id), [""; 0]);
}

#[test]
fn a_missing_image_is_named_and_leaves_nothing() {
    let Some(bed) = Bed::new() else { return };
    let mut missing = container("b", "true");
    missing["image"] = "localhost/missing:1".into();
    let workload = workload("missing", json!({ "containers": [container("a", SLEEP), missing] }));
    for task in [Task::Pull(workload.clone()), Task::Start(workload.clone(), None)] {
        let reason = refused(bed.order(task));
        assert!(reason.contains("localhost/missing:1"), "{reason}");
    }
    assert_eq!(bed.remains(&workload.id), [""; 0]);
}

#[test]
fn a_pull_that_breaks_off_does_as_one_that_is_refused_where_the_image_is_here() {
    let mut always = container("a", "true");
    (always["image"], always["imagePullPolicy"]) = ("b:1".into(), "Always".into());
    let workload = workload("broken", json!({ "containers": [always] }));
    let pull = json!({ "stream": "Trying to pull b:1..." });
    let (bed, answers) = fake_podman(json!({ "/images/pull": pull, "/images/b:1/": { "Id": "0" } }));
    let why = "podman hung up in the middle of a pull";
    let stale = vec![format!("failed to pull image 'b:1', so the one that is here is used: {why}")];
    assert_eq!(bed.order(Task::Pull(workload.clone())), Ok(Fact::Pulled { fetched: vec![], stale }));
    *answers.lock().unwrap() = json!({ "/images/pull": pull });
    assert_eq!(bed.order(Task::Pull(workload)), Err(Failure::Engine(why.into())));
}

#[test]
fn a_failed_pull_of_a_present_image_is_told_and_no_failure() {
    let Some(bed) = Bed::new() else { return };
    let mut always = container("a", "true");
    always["imagePullPolicy"] = "Always".into();
    let workload = workload("stale", json!({ "containers": [always] }));
    let Ok(Fact::Pulled { stale, .. }) = bed.order(Task::Pull(workload)) else { panic!("not pulled") };
    assert_eq!(stale.len(), 1);
    assert!(stale[0].contains(IMAGE), "{stale:?}");
}

#[test]
fn an_image_comes_from_a_registry() {
    let Some(bed) = Bed::new() else { return };
    let Ok(image) = std::env::var("REGISTRY_IMAGE") else {
        return skip("REGISTRY_IMAGE names no image that podman may pull");
    };
    let mut remote = container("a", SLEEP);
    remote["image"] = image.as_str().into();
    remote["imagePullPolicy"] = "Always".into();
    let workload = workload("remote", json!({ "containers": [remote] }));
    assert_eq!(bed.order(Task::Pull(workload.clone())), Ok(Fact::Pulled { fetched: vec![], stale: vec![] }));
    assert_eq!(states(&bed.start(&workload)), ["a running"]);
}

#[test]
fn a_pod_whose_workload_is_not_known_has_its_own_time_to_end() {
    let Some((bed, proxy)) = Bed::behind_proxy() else { return };
    let known = workload("own", json!({ "containers": [container("a", SLEEP)] }));
    let known = Arc::new(Workload { grace: Duration::from_secs(33), ..Workload::clone(&known) });
    let before = bed.another();
    before.start(&known);
    std::mem::forget(before); // it hears of what the next one does
    bed.list();
    let found = Task::Remove { id: known.id.clone(), grace: Grace::Own };
    assert_eq!(bed.order(found), Ok(Fact::Gone));
    let stops: Vec<_> = proxy.requests("/stop").into_iter().map(|(_, line)| line).collect();
    assert!(stops.len() == 1 && stops[0].contains("/stop?t=33"), "{stops:?}");
}

#[test]
fn containers_may_be_named_as_the_agent_names_its_own() {
    let Some(bed) = Bed::new() else { return };
    let mut files = container("files_", SLEEP);
    files["volumeMounts"] = json!([{ "name": "conf", "mountPath": "/conf" }]);
    let workload = workload_with(
        "named",
        json!({
            "containers": [container("infra", SLEEP), files],
            "volumes": [{ "name": "conf", "configMap": { "name": "cm" } }],
        }),
        vec![
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cm" }, "data": { "k": "v" } }),
        ],
    );
    let run = ["infra", "files_"].map(|name| format!("{} running", podman_safe_name(name)));
    assert_eq!(states(&bed.start(&workload)), run);
    assert_eq!(bed.remove(&workload), Ok(Fact::Gone));
}

#[test]
fn a_half_made_pod_of_ours_is_made_anew() {
    let Some(bed) = Bed::new() else { return };
    let workload = workload("half", json!({ "containers": [container("a", SLEEP)] }));
    let half = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": workload.id.as_str(), "labels": { "project-flotta.io/owner": bed.owner } },
        "spec": { "containers": [{ "name": "other", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "1000"] }] },
    });
    let (status, answer) = podman::call(&podman::socket(), "POST", "play/kube", &half.to_string());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(states(&bed.start(&workload)), ["a running"]);
}

#[test]
fn a_foreign_pod_is_refused_and_stays() {
    let (Some(theirs), Some(ours)) = (Bed::new(), Bed::new()) else { return };
    let workload = workload("foreign", json!({ "containers": [container("a", SLEEP)] }));
    theirs.start(&workload);
    let before = ours.state(&workload.id, "a");
    for task in [
        Task::Start(workload.clone(), None),
        Task::Look(workload.id.clone()),
        Task::Remove { id: workload.id.clone(), grace: Grace::Given(std::time::Duration::from_secs(1)) },
    ] {
        let reason = refused(ours.order(task));
        assert!(reason.contains(workload.id.as_str()), "{reason}");
    }
    assert_eq!(ours.list(), []);
    assert_eq!(ours.state(&workload.id, "a"), before);
    assert_eq!(states(&theirs.look(&workload)), ["a running"]);
}

#[test]
fn two_workloads_with_the_same_volume_names_do_not_see_each_other() {
    let Some(bed) = Bed::new() else { return };
    let make = |name: &str| {
        let mut init = container("i", "echo $DEVICE_ID > /d/init");
        let mut main = container(
            "a",
            &format!("echo {name} >> /d/me; echo {name} >> /p/me; cat /d/me /d/init /c/k; echo $K; {SLEEP}"),
        );
        let mounts = json!([
            { "name": "data", "mountPath": "/d" },
            { "name": "conf", "mountPath": "/c" },
            { "name": "claim", "mountPath": "/p" },
        ]);
        init["volumeMounts"] = mounts.clone();
        main["volumeMounts"] = mounts;
        main["env"] =
            json!([{ "name": "K", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "k" } } }]);
        workload_with(
            name,
            json!({
                "initContainers": [init],
                "containers": [main],
                "volumes": [
                    { "name": "data", "emptyDir": {} },
                    { "name": "conf", "configMap": { "name": "cm" } },
                    { "name": "claim", "persistentVolumeClaim": { "claimName": "keep" } },
                ],
            }),
            vec![
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cm" }, "data": { "k": format!("of {name}\n") } }),
            ],
        )
    };
    let (one, two) = (make("one"), make("two"));
    bed.start(&one);
    bed.start(&two);
    for (workload, expected) in [(&one, "one\ndev1\nof one\nof one\n"), (&two, "two\ndev1\nof two\nof two\n")]
    {
        let container = format!("{}-a", workload.id);
        let said = poll(|| Some(podman::logs(&container)).filter(|said| said.len() >= expected.len()));
        assert_eq!(said.as_deref(), Some(expected));
        assert_eq!(bed.remove(workload), Ok(Fact::Gone));
        assert_eq!(bed.remains(&workload.id), [""; 0]);
    }
    // what was claimed outlives the pod, and is no other's
    let volumes = bed.get("volumes/json").to_string();
    assert!(volumes.contains("\"one_keep\"") && volumes.contains("\"two_keep\""), "{volumes}");
}

#[test]
fn a_missing_podman_is_the_engines_failure() {
    let dir = tempfile::tempdir().unwrap();
    let bed = std::mem::ManuallyDrop::new(Bed::at(dir.path().join("no.sock")));
    let workload = workload("x", json!({ "containers": [] }));
    for task in [
        Task::List,
        Task::Look(workload.id.clone()),
        Task::Start(workload.clone(), None),
        Task::Pull(Arc::clone(&workload)),
    ] {
        let result = bed.order(task.clone());
        let expects_podman = !matches!(task, Task::Pull(_)); // no container, no image, nothing to ask
        assert_eq!(matches!(result, Err(Failure::Engine(_))), expects_podman, "{task:?}: {result:?}");
    }
}

#[test]
fn an_image_that_a_container_uses_stays_and_one_that_none_uses_goes() {
    let Some(bed) = Bed::new() else { return };
    // an image of its own, and not just another name for the one of all tests
    let tag = format!("localhost/discarded-{}:1", bed.owner);
    let model = workload("model", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&model);
    let query = format!("container={}-a&repo={}&tag=1", model.id, tag.trim_end_matches(":1"));
    let (status, answer) = podman::call(&podman::socket(), "POST", &format!("commit?{query}"), "");
    assert_eq!(status, 200, "{answer}");
    bed.remove(&model).unwrap();

    let mut sleeper = container("a", SLEEP);
    sleeper["image"] = json!(tag);
    let workload = workload("discard", json!({ "containers": [sleeper] }));
    bed.start(&workload);
    let reason = refused(bed.order(Task::Discard(tag.clone())));
    assert!(reason.contains("in use"), "{reason}");
    bed.remove(&workload).unwrap();
    assert_eq!(bed.order(Task::Discard(tag.clone())), Ok(Fact::Gone));
    assert_eq!(bed.order(Task::Discard(tag)), Ok(Fact::Gone));
}
