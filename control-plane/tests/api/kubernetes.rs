//! What people see with `kubectl`.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use crate::bed::{Bed, Client, Identity, until};

#[test]
fn a_workload_says_whether_devices_can_run_it_and_how_many_do() {
    let Some(bed) = Bed::in_cluster(&[]) else { return };
    let space = bed.space.as_ref().unwrap();
    bed.write(
        "w.yaml",
        "kind: EdgeWorkload\nmetadata: {name: good}\nspec: {type: pod, deviceSelector: {}, pod: {spec: {containers: [{name: a, image: x}]}}}\n\
         ---\nkind: EdgeWorkload\nmetadata: {name: bad}\nspec: {type: pod, device: two, pod: {spec: {containers: [{name: a, imag: x}]}}}\n\
         ---\nkind: EdgeWorkload\nmetadata: {name: short}\nspec: {type: pod, device: two, pod: {spec: {containers: [{name: a, image: x, envFrom: [{secretRef: {name: s}}]}]}}}\n",
    );
    let accepted = |name: &str| {
        let condition = &space.get("EdgeWorkload", name)["status"]["conditions"][0];
        (condition["status"].clone(), condition["reason"].clone(), condition["message"].to_string())
    };
    until("it is judged", || accepted("good").0 == "True");
    until("it is judged", || accepted("bad").0 == "False");
    let (_, reason, message) = accepted("bad");
    assert_eq!(reason, "Invalid");
    assert!(message.contains("spec.pod.spec.containers[0].imag: unknown field"), "{message}");
    until("it is judged", || accepted("short").1 == "Missing");
    assert!(accepted("short").2.contains("the Secret 's' is missing"));
    bed.write("s.yaml", "kind: Secret\nmetadata: {name: s}\nstringData: {A: b}\n");
    until("what was missing is there", || accepted("short").0 == "True");

    let client = bed.client(&bed.device("one"));
    let counts = || {
        let status = &space.get("EdgeWorkload", "good")["status"];
        ["desired", "running", "failing", "updated"].map(|key| status[key].as_i64().unwrap_or(-1))
    };
    until("it is counted", || counts() == [1, 0, 0, 0]);
    let version = client.configuration("one").json()["content"]["version"].clone();
    let say = |status: &str| {
        let workloads = json!([{"name": "good", "status": status}]);
        let content = json!({"status": "up", "version": version, "workloads": workloads});
        assert_eq!(client.say("one", "heartbeat", content).unwrap().status, 200);
    };
    say("Running");
    until("it runs", || counts() == [1, 1, 0, 1]);
    say("Crashed");
    until("it fails", || counts() == [1, 0, 1, 1]);
}

#[test]
fn a_device_shows_what_it_says_and_only_changes_are_written() {
    let Some(bed) = Bed::in_cluster(&[]) else { return };
    let space = bed.space.as_ref().unwrap();
    let client = bed.client(&bed.device("one"));
    let say = |content| assert_eq!(client.say("one", "heartbeat", content).unwrap().status, 200);
    let event = json!({"reason": "Failed", "message": "workload 'web' failed", "type": "warn"});
    say(json!({
        "status": "degraded", "version": "7", "events": [event],
        "workloads": [{"name": "web", "status": "Crashed"}],
        "hardware": {"hostname": "h", "system_vendor": {"product_name": "p"}},
    }));
    let status = || space.get("EdgeDevice", "one")["status"].clone();
    let is = status();
    assert_eq!(is["phase"], "Degraded");
    assert_eq!(is["lastSyncedResourceVersion"], "7");
    assert_eq!(is["running"], "0/1");
    assert_eq!(is["hardware"]["systemVendor"]["productName"], "p");
    assert_eq!(is["workloads"][0]["reason"], "Failed: workload 'web' failed");
    assert_eq!(is["conditions"][0]["type"], "Connected");
    let told = |count| ("Warning".to_owned(), "Failed".to_owned(), "workload 'web' failed".to_owned(), count);
    assert_eq!(space.events(), [told(1)]);

    let version = || space.get("EdgeDevice", "one")["metadata"]["resourceVersion"].clone();
    let same =
        json!({"status": "degraded", "version": "7", "workloads": [{"name": "web", "status": "Crashed"}]});
    // (until the server has seen its own last write)
    say(same.clone());
    let before = version();
    for _ in 0..5 {
        say(same.clone());
    }
    assert_eq!(version(), before, "nothing changed");
    say(json!({"status": "up", "version": "8", "events": [event]}));
    assert_eq!(status()["phase"], "Up");
    assert_eq!(space.events(), [told(2)], "what is said again is counted");
}

#[test]
fn a_set_wins_over_its_devices_own_settings() {
    let Some(bed) = Bed::in_cluster(&["--period", "9"]) else { return };
    let space = bed.space.as_ref().unwrap();
    let client = bed.client(&bed.device("one"));
    let period = || {
        let content = client.configuration("one").json()["content"].clone();
        content["configuration"]["heartbeat"]["period_seconds"].as_i64().unwrap()
    };
    assert_eq!(period(), 9);
    space.patch("EdgeDevice", "one", &json!({"spec": {"heartbeat": {"periodSeconds": 20}}}));
    until("its own counts", || period() == 20);
    bed.write(
        "set.yaml",
        "kind: EdgeDeviceSet\nmetadata: {name: s}\nspec: {heartbeat: {periodSeconds: 30}}\n",
    );
    space.patch("EdgeDevice", "one", &json!({"metadata": {"labels": {"flotta/member-of": "s"}}}));
    until("the set's counts", || period() == 30);
}

#[test]
fn the_certificate_of_a_deleted_device_is_not_its_namesakes() {
    let Some(bed) = Bed::in_cluster(&[]) else { return };
    let old = bed.client(&bed.device("one"));
    bed.disconnect("one");
    until("it leaves", || !old.control("one").text.is_empty());
    until("it is gone", || old.configuration("one").status == 404);
    let new = bed.client(&bed.device("one"));
    assert_eq!((new.configuration("one").status, new.beat("one")), (200, 200));
    assert_eq!((old.configuration("one").status, old.beat("one")), (404, 404));
    assert!(old.control("one").json()["content"]["command"] == "disconnect");
}

#[test]
fn values_of_a_device_are_filled_in_and_a_missing_one_keeps_its_configuration_back() {
    let Some(bed) = Bed::in_cluster(&[]) else { return };
    let space = bed.space.as_ref().unwrap();
    let client = bed.client(&bed.device("one"));
    let write = |argument: &str| {
        bed.write(
            "w.yaml",
            &format!(
                "kind: EdgeWorkload\nmetadata: {{name: w}}\nspec: {{type: pod, deviceSelector: {{}}, pod: {{spec: {{containers: \
                 [{{name: a, image: x, args: ['{argument}']}}]}}}}}}\n"
            ),
        );
    };
    write("${device.name} at ${device.labels.site} for ${device.annotations.owner}");
    let configured = || {
        let conditions = space.get("EdgeDevice", "one")["status"]["conditions"].clone();
        let found =
            conditions.as_array().into_iter().flatten().find(|it| it["type"] == "Configured").cloned();
        found
            .map(|it| (it["status"].as_str().unwrap().to_owned(), it["message"].as_str().unwrap().to_owned()))
    };
    until("it can't be sent", || client.configuration("one").status == 500);
    until("the device says so", || configured().is_some_and(|(status, _)| status == "False"));
    assert_eq!(configured().unwrap().1, "the workload 'w': the device has no ${device.annotations.owner}");
    space.patch(
        "EdgeDevice",
        "one",
        &json!({"metadata": {"labels": {"site": "north"}, "annotations": {"owner": "a b"}}}),
    );
    until("it is sent", || client.configuration("one").text.contains("- one at north for a b"));
    until("the device says so", || configured().is_some_and(|(status, _)| status == "True"));
    write("${device.color}");
    let accepted = || space.get("EdgeWorkload", "w")["status"]["conditions"][0].clone();
    until("it is refused", || accepted()["status"] == "False");
    assert!(accepted()["message"].as_str().unwrap().contains("${device.color}: there are name, namespace"));
}

#[test]
fn a_device_that_is_written_before_it_asks_is_let_in() {
    let Some(bed) = Bed::in_cluster(&["--approve", "never"]) else { return };
    bed.write("early.yaml", "kind: EdgeDevice\nmetadata: {name: early}\n");
    let client = bed.client(&bed.device("early"));
    assert_eq!((client.configuration("early").status, client.beat("early")), (200, 200));
    let space = bed.space.as_ref().unwrap();
    assert!(space.get("EdgeDeviceSignedRequest", "early").is_null());
    bed.disconnect("early");
    until("it hears of it", || !client.control("early").text.is_empty());
    until("it is gone", || space.get("EdgeDevice", "early").is_null());
}

#[test]
fn devices_of_a_batch_are_let_in_into_their_set_as_long_as_the_batch_is_there() {
    let Some(bed) = Bed::in_cluster(&["--approve", "never"]) else { return };
    let space = bed.space.as_ref().unwrap();
    let secret = bed.run(&["batch", "spring", "--namespace", &space.name, "--set", "doors", "--approve"]);
    let of = |key| space.secret(secret.trim(), key);
    let batch = Identity { certificate: of("bootstrap.pem"), key: of("bootstrap.key") };
    let client = bed.client(&batch);
    until("it is let in", || client.enrol("one") == 208);
    assert_eq!(space.get("EdgeDevice", "one")["metadata"]["labels"]["flotta/member-of"], "doors");
    let one = bed.registered(&client, "one");
    assert_eq!(bed.client(&bed.bootstrap()).enrol("two"), 200, "of no batch: it waits");
    space.delete("Secret", secret.trim());
    let (csr, _) = crate::bed::request(&rcgen::PKCS_ECDSA_P256_SHA256);
    assert_eq!((client.enrol("three"), client.register("one", &csr).status), (401, 401));
    assert_eq!(bed.client(&one).beat("one"), 200, "it is registered");
}

#[test]
fn a_set_lets_in_whom_its_names_and_labels_fit_and_a_person_has_the_last_word() {
    let Some(bed) = Bed::in_cluster(&["--approve", "never"]) else { return };
    let space = bed.space.as_ref().unwrap();
    bed.write(
        "sets.yaml",
        "kind: EdgeDeviceSet\nmetadata: {name: doors}\nspec: {approve: {names: ['door-*'], selector: {matchLabels: {device.cpu-architecture: arm}}}}\n\
         ---\nkind: EdgeDeviceSet\nmetadata: {name: trusted}\nspec: {approve: {selector: {matchLabels: {checked: 'yes'}}}}\n",
    );
    let client = bed.client(&bed.bootstrap());
    let enrol = |id: &str, architecture: &str| {
        let features = json!({"hardware": {"cpu": {"architecture": architecture}}});
        client
            .say(id, "enrolment", json!({"features": features, "target_namespace": space.name}))
            .unwrap()
            .status
    };
    assert_eq!([enrol("door-2", "x86"), enrol("gate-1", "arm"), enrol("gate-2", "arm")], [200; 3]);
    bed.refuse("gate-2");
    until("it is let in", || enrol("door-1", "ARM") == 208);
    let of = |id: &str| space.get("EdgeDevice", id)["metadata"]["labels"]["flotta/member-of"].clone();
    assert_eq!(of("door-1"), "doors");
    let request = space.get("EdgeDeviceSignedRequest", "door-1");
    assert_eq!(request["metadata"]["annotations"]["flotta/approved-by"], "doors");
    assert_eq!(request["metadata"]["labels"]["device.cpu-architecture"], "arm");
    // A label that a person gives counts as well, and so does a set that comes later.
    for id in ["gate-1", "gate-2"] {
        space.patch("EdgeDeviceSignedRequest", id, &json!({"metadata": {"labels": {"checked": "yes"}}}));
    }
    until("it is let in", || enrol("gate-1", "arm") == 208);
    assert_eq!(of("gate-1"), "trusted");
    assert_eq!([enrol("gate-2", "arm"), enrol("door-2", "x86")], [400, 200], "refused; no set takes it");
    bed.write(
        "more.yaml",
        "kind: EdgeDeviceSet\nmetadata: {name: more}\nspec: {approve: {names: ['door-?']}}\n",
    );
    until("it is let in", || enrol("door-2", "x86") == 208);
    assert_eq!(of("door-2"), "more");
}

/// A CA like the server's own: certificate and key, PEM.
fn fresh_ca() -> (String, String) {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "flotta-operator");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_new_ca_takes_over_while_the_former_one_is_trusted_until_all_have_renewed() {
    let Some(bed) = Bed::in_cluster(&[]) else { return };
    let of_former = bed.device("one");
    assert_eq!(bed.client(&of_former).beat("one"), 200);
    let ca = |bed: &Bed| {
        bed.space.as_ref().unwrap().get("EdgeDevice", "one")["status"]["certificate"]["ca"].clone()
    };
    let (before, old) = (ca(&bed), bed.space.as_ref().unwrap().secret("flotta-ca", "ca.pem"));
    let (new, key) = fresh_ca();
    let replace = |bed: Bed, pem: &str| {
        let space = bed.space.as_ref().unwrap();
        space.patch("Secret", "flotta-ca", &json!({"stringData": {"ca.pem": pem, "ca.key": key}}));
        space.delete("Secret", "flotta-bootstrap");
        bed.restart(&[])
    };
    let bed = replace(bed, &(new.clone() + &old));
    let client = bed.client(&of_former);
    assert_eq!((client.beat("one"), client.control("one").status), (200, 200), "the former one is trusted");
    let renewed = bed.registered(&client, "one");
    assert_ne!(ca(&bed), before);
    bed.device("two");
    let bed = replace(bed, &new);
    assert_eq!(bed.client(&renewed).beat("one"), 200, "it is of the new one");
    assert_eq!(bed.client(&of_former).beat("one"), 401, "which alone is trusted now");
}

#[test]
fn replicas_that_start_at_once_have_one_ca_and_a_device_one_chain_of_certificates() {
    let Some(first) = Bed::in_cluster(&[]) else { return };
    let second = first.replica();
    let bootstrap = first.bootstrap();
    let clients = [first.client(&bootstrap), second.client(&bootstrap)];
    until("it is let in", || clients.iter().all(|client| client.enrol("one") == 208));
    let identities = std::thread::scope(|scope| {
        let all = clients.each_ref().map(|client| scope.spawn(|| first.registered(client, "one")));
        all.map(|one| one.join().unwrap())
    });
    // Both are used at once, one here, one there; and then the other way round.
    for replicas in [[&first.url, &second.url], [&second.url, &first.url]] {
        let pairs = replicas.into_iter().zip(&identities);
        let used = pairs.map(|(url, identity)| first.client_at(url, identity)).collect::<Vec<_>>();
        let mut statuses = std::thread::scope(|scope| {
            let all: Vec<_> =
                used.iter().map(|client| scope.spawn(|| client.control("one").status)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
    }
}

/// What a device does until it is answered: it asks one replica, then the other.
fn insist(clients: &[Client; 2], device: &str, content: &serde_json::Value) {
    let began = Instant::now();
    for client in clients.iter().cycle() {
        match client.say(device, "heartbeat", content.clone()) {
            Ok(answer) if answer.status == 200 => return,
            _ => assert!(began.elapsed() < Duration::from_secs(20), "no replica answers {device}"),
        }
    }
}

#[test]
fn a_replica_that_is_killed_at_any_moment_loses_nothing_that_was_answered() {
    const DEVICES: usize = 6;
    const EVENTS: usize = 15;
    let Some(first) = Bed::in_cluster(&[]) else { return };
    let mut second = first.replica();
    let names: Vec<String> = (0..DEVICES).map(|n| format!("device-{n}")).collect();
    let identities: Vec<_> = names.iter().map(|name| first.device(name)).collect();
    // Where the second one is after each of its starts.
    let urls = Mutex::new(second.url.clone());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let talking: Vec<_> = names
            .iter()
            .zip(&identities)
            .map(|(name, identity)| {
                let (urls, first) = (&urls, &first);
                scope.spawn(move || {
                    for n in 0..EVENTS {
                        let url = urls.lock().unwrap().clone();
                        let clients = [first.client_at(&url, identity), first.client(identity)];
                        let event =
                            json!({"reason": "Test", "message": format!("{name} says {n}"), "type": "info"});
                        insist(&clients, name, &json!({"status": "up", "version": "1", "events": [event]}));
                    }
                })
            })
            .collect();
        let killing = scope.spawn(|| {
            while !done.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(250));
                second = second.restart(&[]);
                *urls.lock().unwrap() = second.url.clone();
            }
            second
        });
        talking.into_iter().for_each(|one| one.join().unwrap());
        done.store(true, Relaxed);
        killing.join().unwrap();
    });
    let mut stored: Vec<_> =
        first.space.as_ref().unwrap().events().into_iter().map(|(.., message, _)| message).collect();
    stored.sort();
    let mut said: Vec<_> =
        names.iter().flat_map(|name| (0..EVENTS).map(move |n| format!("{name} says {n}"))).collect();
    said.sort();
    assert_eq!(stored, said);
}
