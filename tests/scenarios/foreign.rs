//! What people write in manifests, seen from outside: by what `--check` says and costs, and by what runs on.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Device, SLEEP, pause, workload};

const HEAD: &str = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\n";

/// The exit code of `--check` of one manifest, and what it says.
fn check(name: &str, manifest: &str, flags: &[&str]) -> (Option<i32>, String) {
    let device = Device::without_podman("foreign");
    device.manifest(name, manifest);
    let output = device.run(&[&["--check"], flags].concat());
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}

#[test]
fn a_list_where_a_mapping_belongs_is_an_error_with_its_place_and_stops_nothing() {
    let pod = "{containers: [{name: c, image: i}]}";
    for (manifest, line) in [
        (format!("{HEAD}metadata: {{name: w}}\nspec:\n  type: pod\n  pod:\n  - spec: {pod}\n"), "line 6"),
        (format!("{HEAD}metadata: {{name: w}}\nspec: [pod, null, null, {{}}]\n"), "line 4"),
        (format!("{HEAD}metadata: [w, null]\nspec: {{type: pod, pod: {{spec: {pod}}}}}\n"), "line 3"),
    ] {
        let (code, said) = check("stray.yaml", &manifest, &[]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("stray.yaml") && said.contains(line), "'{line}' is missing: {said}");
        assert!(said.contains("must be a mapping"), "{said}");
    }
    let mut device = Device::without_podman("stray");
    device.manifest(
        "stray.yaml",
        &format!("{HEAD}metadata: {{name: w}}\nspec:\n  type: pod\n  pod:\n  - spec: {pod}\n"),
    );
    device.start_taking_metrics();
    assert_eq!(device.post("x", 1), 200);
    device.wait_for_log("must be a mapping");
}

#[test]
fn no_key_of_a_volume_leads_out_of_it() {
    for path in ["/abs/path", "../../x", ".."] {
        let mut w = workload("w", SLEEP);
        let source = json!({"configMap": {"name": "c"}});
        w["spec"]["pod"]["spec"]["volumes"] = json!([{"name": "v", "projected": {"sources": [source]}}]);
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {path: "x"}});
        let (code, said) = check("w.yaml", &format!("{w}\n---\n{map}\n"), &[]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(path), "{said}");
    }
}

/// Of a manifest that costs too much: refused within seconds, and within a memory.
fn costs_little(manifest: &str) -> String {
    let device = Device::without_podman("costly");
    device.manifest("costly.yaml", manifest);
    let runtime = device.path("run").display().to_string();
    let settings = [
        ("MANIFESTS", device.manifests().display().to_string()),
        ("DEVICE_ID", "d".into()),
        ("RUNTIME_DIR", runtime),
    ];
    // what takes more is ended by the kernel; processor time, as the machine may have much else to do
    let program = crate::support::binary();
    let mut command = Command::new("prlimit");
    command.args(["--cpu=30", "--data=268435456"]).arg(program.get_program()).arg("--check").env_clear();
    command.envs(settings.map(|(key, value)| (format!("EDGE_DEVICE_{key}"), value)));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{:?}: {said:.2000}", output.status);
    said.into_owned()
}

#[test]
fn a_file_of_directives_or_of_open_lists_takes_no_minutes_and_no_memory() {
    costs_little(&((0..40_000).map(|n| format!("%TAG !a{n}! tag:b,2000:\n")).collect::<String>() + "a: 1\n"));
    let said = costs_little(&"? ".repeat(520_000));
    assert!(said.contains("lists and mappings"), "{said:.2000}");
}

#[test]
fn empty_lines_before_many_broken_documents_cost_no_time() {
    let said = costs_little(&("\n".repeat(1_000_000) + &"---\na: [\n".repeat(999)));
    assert!(said.lines().count() < 300, "{} lines", said.lines().count());
}

#[test]
fn many_bad_expressions_are_told_in_seconds_and_not_one_by_one() {
    let conditions: Vec<Value> =
        (0..20_000).map(|n| json!({"name": format!("c{n}"), "expression": "a <"})).collect();
    let device = json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice", "metadata": {"name": "d"},
        "spec": {"profiles": [{"name": "p", "conditions": conditions}]},
    });
    let said = costs_little(&device.to_string());
    assert!(said.lines().count() < 300, "{} lines", said.lines().count());
}

#[test]
fn what_will_never_run_here_is_said_and_strictly_an_error() {
    let mut elsewhere = workload("elsewhere", SLEEP);
    elsewhere["spec"]["device"] = "another".into();
    let mut never = workload("never", SLEEP);
    never["spec"]["cron"] = "0 0 31 2 *".into();
    let mut without = workload("without", SLEEP);
    without["spec"]["profiles"] = json!([{"name": "unknown", "conditions": ["c"]}]);
    for (manifest, word) in
        [(elsewhere, "for other devices: elsewhere"), (never, "never"), (without, "unknown")]
    {
        let (code, said) = check("w.json", &manifest.to_string(), &[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(word), "'{word}' is missing: {said}");
        let (code, said) = check("w.json", &manifest.to_string(), &["--strict"]);
        assert_eq!(code, Some(78), "{said}");
    }
}

#[test]
fn names_that_a_control_plane_takes_are_taken() {
    for name in ["my.app", &"long".repeat(16), &format!("{}ab", "long".repeat(16))] {
        let mut w = workload(name, SLEEP);
        w["spec"]["pod"]["spec"]["containers"][0]["name"] = "nginx_1".into();
        let (code, said) = check("w.json", &w.to_string(), &[]);
        assert_eq!((code, said.contains(&name[..6])), (Some(0), true), "{said}");
    }
}

#[test]
fn the_removal_of_a_file_is_an_order_although_another_file_is_broken() {
    let Some(mut device) = Device::new("order") else { return };
    device.workload("stays", SLEEP);
    device.workload("goes", SLEEP);
    device.start();
    let before = device.wait_for_running(&["goes", "stays"]);
    device.manifest("broken.yaml", "kind: EdgeWorkload\nmetadata: [\n");
    device.wait_for_log("broken.yaml");
    device.remove_manifest("goes.json");
    let after = device.wait_for_running(&["stays"]);
    assert_eq!(before[1], after[0]);
}

#[test]
fn a_restart_that_the_device_can_not_afford_is_refused_and_the_pod_stays() {
    let Some(mut device) = Device::new("afford") else { return };
    device.workload("steady", SLEEP);
    device.config(&[], "DISK_RESERVE: 0\n");
    device.start();
    let before = device.wait_for_running(&["steady"]);
    device.config(&[], "DISK_RESERVE: 100%\n");
    device.signal(rustix::process::Signal::HUP);
    device.wait_for_log("disk space is short: ");
    device.wait_for_log("runs already");
    let output = device.run(&["restart", "steady"]);
    pause(2000); // in which it would have gone
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("disk"), "{said}");
    assert_eq!(device.pods(), before);
}
