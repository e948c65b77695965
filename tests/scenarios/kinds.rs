//! Objects of Kubernetes as they are.

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
