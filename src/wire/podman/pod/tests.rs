//! Names and ports.

use serde_json::json;

use super::*;

#[test]
fn what_podman_binds_is_what_has_a_port_of_the_host_of_its_own() {
    let of = |on_host: &str| {
        let init = json!({ "ports": [{ "containerPort": 1, "hostPort": 2, "hostIP": "0.0.0.0" }] });
        let main = json!({ "ports": [{ "containerPort": 3 }, { "containerPort": 4, "hostPort": 5, "protocol": "UDP" },
            { "containerPort": 6, "hostPort": 7, "protocol": "SCTP" }] });
        let whole = json!({ "hostNetwork": on_host, "initContainers": [init], "containers": [main] });
        host_ports(&PodSpec::of(&whole)).iter().map(HostPort::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("no"), ["2/tcp", "5/udp"]);
    assert_eq!(of("yes"), [""; 0], "it takes them itself");
}

#[test]
fn a_container_gets_a_name_that_podman_allows_and_no_two_the_same() {
    for fine in ["web", "nginx_1", "Main_1", "a.b"] {
        assert_eq!(container_name(fine), fine);
    }
    let odd = ["a b", "a_b ", "-a", "_", "ä", &"x".repeat(64), &"x".repeat(65)]
        .map(|it| container_name(it).into_owned());
    for name in &odd {
        assert_eq!(&container_name(name), name, "it is one that fits");
        assert_eq!(odd.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
}
