//! `logs`: what containers printed, read of a real podman.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::support::{Device, Gate, IMAGE, SLEEP, workload};

fn logs(device: &Device, arguments: &[&str]) -> (i32, String) {
    let output = device.run(&[&["logs"], arguments].concat());
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Waits until `logs` with these arguments says this.
fn wait_for(device: &Device, arguments: &[&str], code: i32, expected: &str) {
    let mut last = (0, String::new());
    device.wait_for(&format!("logs {arguments:?} to say {expected:?}"), || {
        let said = logs(device, arguments);
        if said != last {
            println!("logs {arguments:?}: {said:?}");
            last = said;
        }
        (last.0 == code && last.1 == expected).then_some(())
    });
}

#[test]
fn the_output_of_several_containers_has_their_names_and_moves_no_cursor() {
    let Some(mut device) = Device::new("logs") else { return };
    let mut w = workload("pair", &format!("printf 'one\\n\\033[31mred\\033[0m\\033[2J\\ttab\\n'; {SLEEP}"));
    let second = format!("echo bad >&2; printf unfinished; {SLEEP}");
    w["spec"]["pod"]["spec"]["containers"].as_array_mut().unwrap().push(
        json!({"name": "second", "image": IMAGE, "command": ["sh", "-c", second], "imagePullPolicy": "IfNotPresent"}),
    );
    device.manifest("pair.json", &w.to_string());
    device.start();
    device.wait_for_running(&["pair"]);
    let main = "one\nred\\u001b[2J  tab\n";
    wait_for(&device, &["pair", "--container", "main"], 0, main);
    assert_eq!(
        logs(&device, &["pair", "--container=main", "--tail", "1"]),
        (0, "red\\u001b[2J  tab\n".into())
    );
    wait_for(
        &device,
        &["pair"],
        0,
        "main | one\nmain | red\\u001b[2J  tab\nsecond | bad\nsecond | unfinished\n",
    );
    let json = logs(&device, &["pair", "--container", "second", "--json"]).1;
    let line: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(line, json!({"container": "second", "stream": "stderr", "line": "bad"}));
    let other = (2, "'pair' has no container 'third', but: main, second\n".to_owned());
    assert_eq!(logs(&device, &["pair", "--container", "third"]), other);
    let slip = (2, "'pair' has no container 'mian': did you mean 'main'?\n".to_owned());
    assert_eq!(logs(&device, &["pair", "--container", "mian"]), slip);
    for (slip, meant) in [
        (&["lgos", "pair"][..], "there is no command 'lgos': did you mean 'logs'?\n"),
        (&["logs", "pair", "--folow"], "there is no flag '--folow': did you mean '--follow'?\n"),
        (&["zzzzzz"], "there is no command 'zzzzzz' (see --help)\n"),
    ] {
        let output = device.run(slip);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(78) && said.ends_with(meant), "{said}");
    }
    assert_eq!(logs(&device, &["nobody"]), (2, "there is no workload 'nobody'\n".into()));
    let (code, said) = logs(&device, &["pair", "--since", "often"]);
    assert!(code == 78 && said.contains("--since must be an age like 30s, 10m or 2h, not 'often'"), "{said}");
    let said = String::from_utf8(device.run(&["status", "--follow"]).stderr).unwrap();
    assert!(said.contains("--follow is a flag of 'logs'"), "{said}");
}

#[test]
fn what_comes_is_followed_until_nothing_is_left_to_start() {
    let Some(mut device) = Device::new("follow") else { return };
    let gate = Gate::new();
    let mut w = workload("teller", &format!("echo first; {}; echo last", Gate::WAIT));
    w["spec"]["pod"]["spec"]["restartPolicy"] = "Never".into();
    gate.mount(&mut w["spec"]["pod"]["spec"]);
    device.manifest("teller.json", &w.to_string());
    device.start();
    device.wait_for_running(&["teller"]);
    let mut follower = device.spawn(&["logs", "teller", "-f"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    gate.open();
    assert_eq!(lines.next().unwrap().unwrap(), "last");
    assert!(lines.next().is_none(), "the container has ended");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn the_previous_run_in_its_pod_is_shown_apart_and_what_no_pod_is_left_of_is_said() {
    let Some(mut device) = Device::new("previous") else { return };
    let script = format!(
        "n=$(cat /data/n 2>/dev/null || echo 0); echo $((n + 1)) > /data/n; echo run $n; [ $n = 2 ] || exit 3; {SLEEP}"
    );
    let mut w = workload("again", &script);
    let spec = &mut w["spec"]["pod"]["spec"];
    spec["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 1}});
    device.manifest("again.json", &w.to_string());
    device.start();
    wait_for(&device, &["again"], 0, "run 0\nrun 1\nrun 2\n");
    device.wait_for_running(&["again"]);
    assert_eq!(logs(&device, &["again", "--previous"]), (0, "run 1\n".into()));
    assert_eq!(logs(&device, &["again", "--previous", "--tail", "1"]), (0, "run 1\n".into()));
    assert_eq!(logs(&device, &["again", "--since", "1h", "--tail", "2"]).1, "run 1\nrun 2\n");
    let never =
        "no container of 'steady' ran before in this pod; what an earlier pod printed went with that pod\n";
    device.workload("steady", SLEEP);
    wait_for(&device, &["steady", "--previous"], 1, never);
    device.gated("shy", "low");
    assert_eq!(device.post("x", 12), 200);
    let gone = "'shy' has no pod at present, and podman keeps what containers print only as long as their pod: \
                profile 'p' doesn't hold: low is false: x < 3% || x == nil, and x is 12\n";
    wait_for(&device, &["shy"], 1, gone);
}

#[test]
fn a_workload_that_was_refused_has_no_output_and_uses_nothing() {
    let Some(mut device) = Device::new("refused") else { return };
    let mut w = workload("slip", SLEEP);
    w["spec"]["pod"]["spec"]["containers"][0]["comand"] = json!(["true"]);
    device.manifest("slip.json", &w.to_string());
    device.start();
    let said = device.wait_for("the agent to tell of 'slip'", || {
        let (code, said) = logs(&device, &["slip"]);
        (code == 1).then_some(said)
    });
    assert!(said.starts_with("'slip' has no pod at present"), "{said}");
    assert!(said.contains("comand: unknown field"), "{said}");
    let used = device.run(&["top", "slip"]);
    assert!(used.status.success() && used.stdout == b"nothing runs\n", "{used:?}");
    let described: Value =
        serde_json::from_slice(&device.run(&["describe", "slip", "--json"]).stdout).unwrap();
    assert_eq!((&described["addresses"], &described["containers"]), (&json!([]), &json!([])));
}

#[test]
fn a_value_of_a_secret_is_not_shown() {
    let Some(mut device) = Device::new("confide") else { return };
    let mut w = workload("spy", &format!("echo the password is $PASSWORD; {SLEEP}"));
    w["spec"]["pod"]["spec"]["containers"][0]["env"] =
        json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}}]);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "hunter2000"}});
    device.manifest("s.json", &secret.to_string());
    device.manifest("spy.json", &w.to_string());
    device.start();
    device.wait_for_running(&["spy"]);
    wait_for(&device, &["spy"], 0, "the password is (confidential)\n");
}

#[test]
fn what_is_followed_goes_on_with_the_next_start_and_the_next_pod() {
    let Some(mut device) = Device::new("goes-on") else { return };
    let gate = Gate::new();
    let mut w = workload("crasher", &format!("echo up; {}; exit 3", Gate::WAIT));
    gate.mount(&mut w["spec"]["pod"]["spec"]);
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 1}});
    device.manifest("crasher.json", &w.to_string());
    device.start();
    device.wait_for_running(&["crasher"]);
    let mut follower = device.spawn(&["logs", "crasher", "-f"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "up");
    gate.open();
    for _ in 0..3 {
        assert_eq!(lines.next().unwrap().unwrap(), "up", "each start prints it once");
    }
    device.workload("crasher", &format!("echo other; {SLEEP}"));
    let next = lines.find(|line| line.as_ref().unwrap() != "up");
    assert_eq!(next.unwrap().unwrap(), "other", "of another pod");
    device.remove_manifest("crasher.json");
    assert!(lines.next().is_none(), "the workload is gone");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn what_an_init_container_printed_that_failed_is_shown_between_its_tries() {
    let Some(mut device) = Device::new("init-output") else { return };
    let mut w = workload("prepared", SLEEP);
    let script = "for n in $(seq 300); do echo line $n; done; echo no database >&2; exit 4";
    w["spec"]["pod"]["spec"]["initContainers"] = json!([
        {"name": "first", "image": IMAGE, "command": ["true"], "imagePullPolicy": "IfNotPresent"},
        {"name": "migrate", "image": IMAGE, "command": ["sh", "-c", script], "imagePullPolicy": "IfNotPresent"},
    ]);
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    device.manifest("prepared.json", &w.to_string());
    device.start();
    wait_for(&device, &["prepared", "--tail", "2"], 0, "line 300\nno database\n");
    let (code, all) = logs(&device, &["prepared", "--container", "migrate"]);
    assert!(code == 0 && all.lines().count() == 200 && all.starts_with("line 102\n"), "{all}");
    assert_eq!(logs(&device, &["prepared", "--container", "migrat"]).0, 2);
    device.wait_for("its output to be named", || {
        super::say(&device, &["explain", "prepared"])
            .1
            .contains("'device-worker-ng logs prepared'")
            .then_some(())
    });
    w["spec"]["pod"]["spec"]["initContainers"].as_array_mut().unwrap().pop();
    device.manifest("prepared.json", &w.to_string());
    device.wait_for_running(&["prepared"]);
    assert_eq!(logs(&device, &["prepared"]), (0, String::new()), "it has started");
}

#[test]
fn each_line_of_a_secret_is_left_out_wherever_it_is_printed() {
    let Some(mut device) = Device::new("secret-lines") else { return };
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"key": "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\nxyz=\n-----END KEY-----\n"}});
    device.manifest("s.json", &secret.to_string());
    let script = format!(
        "printf '%s' \"$KEY\"; echo; printf '%s' \"$KEY\" | tr '\\n' ' '; echo; printf '%s' \"$KEY\" | base64; \
         printf '%s' \"$KEY\" | tail -n 3 | head -n 1; {SLEEP}"
    );
    let mut w = workload("leaky", &script);
    w["spec"]["pod"]["spec"]["containers"][0]["env"] =
        json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}]);
    device.manifest("leaky.json", &w.to_string());
    device.start();
    device.wait_for_running(&["leaky"]);
    let said = device.wait_for("its output", || {
        let (_, said) = logs(&device, &["leaky"]);
        (said.lines().count() >= 8).then_some(said)
    });
    for part in ["MIIE", "hkiG", "xyz", "TUlJ"] {
        assert!(!said.contains(part), "{part}: {said}");
    }
    assert!(said.starts_with(&"(confidential)\n".repeat(5)), "{said}");
}
