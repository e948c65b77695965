//! Ports.

use serde_json::json;

use super::*;

#[test]
fn what_podman_binds_is_what_has_a_port_of_the_host_of_its_own() {
    let of = |on_host: &str| {
        let init = json!({ "ports": [{ "containerPort": 1, "hostPort": 2, "hostIP": "0.0.0.0" }] });
        let main = json!({ "ports": [{ "containerPort": 3 }, { "containerPort": 4, "hostPort": 5, "protocol": "UDP" },
            { "containerPort": 6, "hostPort": 7, "protocol": "SCTP" }] });
        let whole = json!({ "hostNetwork": on_host, "initContainers": [init], "containers": [main] });
        host_ports(&PodSpec::read_accepted(&whole)).iter().map(HostPort::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("no"), ["2/tcp", "5/udp"]);
    assert_eq!(of("yes"), [""; 0], "it takes them itself");
}
