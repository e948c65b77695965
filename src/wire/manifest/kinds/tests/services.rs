//! Services and claims.

use serde_json::json;

use super::{assembled, assert_problems, deployment, problems, replaced};

const SERVICE: &str = "---
apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  selector: {app: web}
  ports: [{port: 80}]
";

/// The ports of the container, once this is done to the Service.
fn ports(container: &str, change: (&str, &str)) -> serde_json::Value {
    let text = replaced(&deployment(""), "image: i", &format!("image: i{container}"));
    let (desired, found) = assembled(&(text + &replaced(SERVICE, change.0, change.1)));
    assert_eq!(desired.workloads.len(), 1, "{found:?}");
    desired.workloads[0].content.specification.value()["containers"][0]["ports"].clone()
}

#[test]
fn the_name_of_a_service_leads_to_the_pods_that_it_selects() {
    let (desired, found) = assembled(&(deployment("") + SERVICE));
    assert_eq!(found, [""; 0]);
    let names = ["front", "front.default", "front.default.svc", "front.default.svc.cluster.local"];
    assert_eq!(desired.workloads[0].content.aliases, names);
    assert_ne!(desired.workloads[0].id, assembled(&deployment("")).0.workloads[0].id);
    let edge = "---\napiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\n\
                metadata: {name: e, labels: {podman/app: web}}\n\
                spec: {type: pod, pod: {spec: {containers: [{name: c, image: i}]}}}\n";
    let (desired, found) = assembled(&(edge.to_owned() + SERVICE));
    assert_eq!((&desired.workloads[0].content.aliases[..], found), (&names.map(str::to_owned)[..], vec![]));
}

#[test]
fn a_service_of_another_namespace_or_label_leads_nowhere_and_says_so() {
    for service in [
        SERVICE.replace("{name: front}", "{name: front, namespace: other}"),
        SERVICE.replace("app: web", "app: web, tier: x"),
    ] {
        let (desired, found) = assembled(&(deployment("") + &service));
        assert!(desired.workloads[0].content.aliases.is_empty());
        assert!(found.len() == 1 && found[0].contains("spec.selector: selects no workload"), "{found:?}");
    }
}

#[test]
fn a_port_of_the_device_leads_to_the_port_that_is_meant() {
    let node = "type: NodePort\n  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]";
    let published = json!([{"containerPort": 8080, "hostPort": 30080, "protocol": "TCP"}]);
    assert_eq!(ports("", ("ports: [{port: 80}]", node)), published);
    let named = &node.replace("8080,", "http,");
    let declared = ", ports: [{name: http, containerPort: 8080}]";
    let expected = json!([{"name": "http", "containerPort": 8080, "hostPort": 30080}]);
    assert_eq!(ports(declared, ("ports: [{port: 80}]", named)), expected);
    assert_eq!(ports(declared, ("ports: [{port: 80}]", node)), expected);
    let balancer = "type: LoadBalancer\n  ports: [{port: 80, targetPort: 8080}]";
    let expected = json!([{"name": "http", "containerPort": 8080, "hostPort": 80}]);
    assert_eq!(ports(declared, ("ports: [{port: 80}]", balancer)), expected);
    let other = json!([
        {"containerPort": 8080, "hostPort": 1}, {"containerPort": 8080, "hostPort": 80, "protocol": "TCP"},
    ]);
    assert_eq!(
        ports(", ports: [{containerPort: 8080, hostPort: 1}]", ("ports: [{port: 80}]", balancer)),
        other
    );
    assert_eq!(ports("", ("app: web", "app: web")), json!(null), "a ClusterIP publishes nothing");
}

#[test]
fn a_service_and_a_claim_say_what_is_wrong_with_them() {
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\n\
                 spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    assert_problems(
        &(deployment("") + SERVICE),
        &[
            "{port: 80} -> {port: 80, targetPort: 8080} => line 18: spec.ports[0].port: nothing leads from port 80 to 8080 here: other pods ask for `front:8080`",
            "{port: 80} -> {port: 80, targetPort: http} => spec.ports[0]: workload `web` has no TCP port named `http`",
            "selector: {app: web} -> type: NodePort\n  selector: {app: web} => spec.ports[0].nodePort: is missing: nothing here chooses a port",
            "{port: 80} -> {port: 80, nodePort: 80} => spec.ports[0].nodePort: is for the types `NodePort` and `LoadBalancer`",
            "{port: 80} -> {prt: 80} => spec.ports[0].port: is missing",
            "  selector: {app: web}\n ->  => spec.selector: is missing: without one",
            "  ports: [{port: 80}]\n ->  => spec.ports: must list at least one port",
            "ports: -> type: ExternalName\n  ports: => spec.type: `ExternalName` can't be obeyed here",
            "ports: -> type: Nodeport\n  ports: => spec.type: must be `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`, not `Nodeport`: did you mean `NodePort`?",
            "ports: -> clusterIP: 10.0.0.1\n  ports: => spec.clusterIP: means nothing on one device",
            "ports: -> sessionAffinity: ClientIP\n  ports: => spec.sessionAffinity: means nothing on one device",
            "name: front -> name: front.x => metadata.name: `front.x` can't name a Service",
        ],
    );
    let text = deployment("") + claim;
    assert_problems(
        &text,
        &[
            "requests: {storage: 1Gi} -> requests: {} => spec.resources.requests.storage: is missing",
            "1Gi -> 1GB => spec.resources.requests.storage: `1GB` is no quantity",
            "ReadWriteOnce -> Often => spec.accessModes[0]: must be `ReadWriteOnce`,",
            "accessModes -> volumeMode: Block, accessModes => spec.volumeMode: must be `Filesystem`",
            "accessModes -> storageClassName: fast, accessModes => spec.storageClassName: means nothing on one device",
            "accessModes -> volumeName: pv, accessModes => spec.volumeName: can't be obeyed here",
        ],
    );
    assert!(problems(&text)[0].contains("spec.resources.requests.storage: isn't kept to"));
    let other = deployment("").replace("name: web", "name: front").replace("app: web", "app: x");
    let found = problems(&(deployment("") + SERVICE + "---\n" + &other));
    assert!(found[0].contains("metadata.name: workload `front` has this name, too"), "{found:?}");
}

#[test]
fn in_the_devices_network_a_service_has_no_name_but_the_device_has_its_port() {
    let text = replaced(&deployment(""), "containers:", "hostNetwork: true\n      containers:");
    let found = problems(&(text.clone() + SERVICE));
    assert!(found[0].contains("workload `web` is in the device's network"), "{found:?}");
    let balancer = replaced(SERVICE, "ports:", "type: LoadBalancer\n  ports:");
    assert_eq!(problems(&(text.clone() + &balancer)).len(), 1);
    let found = problems(&(text + &replaced(&balancer, "{port: 80}", "{port: 80, targetPort: 8080}")));
    assert!(found.iter().any(|it| it.contains("nothing leads from port 80 to 8080")), "{found:?}");
}
