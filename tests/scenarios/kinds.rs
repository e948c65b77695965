//! Objects of Kubernetes as they are.

use std::time::Duration;

use crate::support::{Device, IMAGE, SLEEP, free_port, http, podman};

/// Answers on port 8080.
const SERVE: &str = "mkdir /www && echo hello >/www/index.html && exec httpd -f -p 8080 -h /www";

/// With this script, and so many columns in.
fn containers(script: &str) -> String {
    format!(
        "[{{name: main, image: {IMAGE}, imagePullPolicy: IfNotPresent, command: [sh, -c, {}]}}]",
        serde_json::json!(script)
    )
}

fn output(device: &Device, pod: &podman::Pod, lines: usize) -> String {
    device.wait_for("output", || {
        Some(podman::logs(&pod.containers[0].0)).filter(|text| text.lines().count() >= lines)
    })
}

#[test]
fn a_deployment_is_reached_by_the_names_of_its_service_and_at_a_port_of_the_device() {
    let Some(mut device) = Device::new("service") else { return };
    let port = free_port();
    device.manifest(
        "web.yaml",
        &format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: {}
---
apiVersion: v1
kind: Service
metadata: {{name: front}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{port: 8080, nodePort: {port}}}]
",
            containers(SERVE)
        ),
    );
    let ask = format!(
        "until wget -qO- http://front:8080/ 2>/dev/null; do sleep 0.2; done; \
         wget -qO- http://front.default.svc.cluster.local:8080/; {SLEEP}"
    );
    device.manifest(
        "asker.yaml",
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: asker}}\nspec: {{terminationGracePeriodSeconds: 1, containers: {}}}\n",
            containers(&ask)
        ),
    );
    device.start();
    let pods = device.wait_for_running(&["asker", "web"]);
    assert_eq!(output(&device, &pods[0], 2), "hello\nhello\n");
    let ask = || http::exchange(([127, 0, 0, 1], port).into(), "GET / HTTP/1.0\r\n\r\n").ok();
    assert_eq!(device.wait_for("an answer", ask).0, 200);
    device.remove_manifest("web.yaml");
    device.wait_for_running(&["asker"]);
}

#[test]
fn a_job_is_tried_again_as_often_as_it_says_and_a_cron_job_runs_unless_it_is_suspended() {
    let Some(mut device) = Device::new("jobs") else { return };
    let job = |script: &str| {
        format!(
            "backoffLimit: 1, template: {{spec: {{restartPolicy: Never, containers: {}}}}}",
            containers(script)
        )
    };
    let cron = |name: &str, suspend: bool| {
        let job = job("echo ran");
        format!(
            "- {{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, \
             spec: {{schedule: '* * * * *', suspend: {suspend}, jobTemplate: {{spec: {{{job}}}}}}}}}\n"
        )
    };
    let failing = job("exit 3");
    let good = job("exit 0");
    device.manifest(
        "all.yaml",
        &format!(
            "apiVersion: v1\nkind: List\nitems:\n{}{}\
             - {{apiVersion: batch/v1, kind: Job, metadata: {{name: failing, annotations: {{flotta/retry: '1'}}}}, spec: {{{failing}}}}}\n\
             - {{apiVersion: batch/v1, kind: Job, metadata: {{name: good}}, spec: {{{good}}}}}\n",
            cron("awake", false),
            cron("asleep", true),
        ),
    );
    device.start();
    device.wait_for_log("workload 'good' has finished with exit code 0");
    device.wait_for_log(
        "workload 'failing': its run ended with exit code 3 (try 1 of 1 follows); tried again in 1 s",
    );
    device.wait_for_log("workload 'failing' has finished with exit code 3");
    device.wait_within(Duration::from_secs(90), "the slot", || {
        device.log().contains("workload 'awake' has finished with exit code 0").then_some(())
    });
    let log = device.log();
    assert_eq!(log.matches("workload 'failing' is started").count(), 2, "{log}");
    assert!(!log.contains("workload 'asleep' is started"), "{log}");
}
