//! Posts from inside a pod, by the socket whose directory it mounts.

use std::{io::Write, os::unix::net::UnixStream};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Device, SLEEP, http, podman, workload};

/// Through the container's own mounts.
fn post_from(device: &Device, pid: &Value, value: u32) {
    let socket = format!("/proc/{pid}/root/run/posts/metrics.sock");
    let body = json!({"name": "from_pod", "value": value}).to_string();
    device.wait_for("a post from the pod to be taken", || {
        let mut stream = UnixStream::connect(&socket).ok()?;
        stream.write_all(http::request(&body).as_bytes()).ok()?;
        (http::answer(&mut stream).ok()?.0 == 200).then_some(())
    });
}

#[test]
fn a_pod_with_the_directory_of_the_socket_posts_after_restart_reload_and_kill_of_the_agent() {
    let Some(mut device) = Device::new("posts") else { return };
    let posts = device.path("posts");
    device.set(
        "METRICS_LISTEN",
        format!("{}, unix:{}", device.address(), posts.join("metrics.sock").display()),
    );
    let mut workload = workload("poster", SLEEP);
    let specification = &mut workload["spec"]["pod"]["spec"];
    specification["volumes"] = json!([{"name": "posts", "hostPath": {"path": posts}}]);
    specification["containers"][0]["volumeMounts"] =
        json!([{"name": "posts", "mountPath": "/run/posts", "readOnly": true}]);
    device.start_taking_metrics();
    device.manifest("poster.json", &workload.to_string());
    let pod = device.wait_for_running(&["poster"]).remove(0);
    let (_, container, _) = &pod.containers[0];
    let pid =
        podman::call(&device.socket, "GET", &format!("containers/{container}/json"), "").1["State"]["Pid"]
            .take();
    post_from(&device, &pid, 1);
    assert!(device.end(Signal::TERM).success());
    device.start_taking_metrics();
    post_from(&device, &pid, 2);
    let before = device.log().matches("metrics are taken at unix:").count();
    device.signal(Signal::HUP);
    device.wait_for("the reloaded agent to listen", || {
        (device.log().matches("metrics are taken at unix:").count() > before).then_some(())
    });
    post_from(&device, &pid, 3);
    device.kill();
    device.start_taking_metrics();
    post_from(&device, &pid, 4);
    let now = device.wait_for_running(&["poster"]).remove(0);
    assert_eq!((now.id, now.containers), (pod.id, pod.containers));
}
