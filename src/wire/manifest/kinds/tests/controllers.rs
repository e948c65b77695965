//! Pods, and what runs without an end.

use serde_json::json;

use super::{assembled, assert_problems, deployment, only, problems, replaced};
use crate::{
    agent::model::{
        schedule::{Backoff, Cron, Schedule},
        workload::{Engine, RestartPolicy},
    },
    wire::manifest::{Budget, FileContents, Severity, UnknownFields},
};

const POD: &str = "apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: prod
  labels: {app: web, podman/tier: front}
  annotations:
    podman/priority: '5'
    note: hi
    flotta/profiles: 'perf: low=50000, mid'
    flotta/retry: '5'
    flotta/rootless: 'true'
    kubectl.kubernetes.io/last-applied-configuration: '{}'
spec:
  restartPolicy: OnFailure
  containers: [{name: c, image: i}]
";

#[test]
fn a_pod_is_a_workload_with_its_own_labels_and_annotations() {
    let web = only(POD);
    assert_eq!((web.name(), &*web.content.namespace, web.restart), ("web", "prod", RestartPolicy::OnFailure));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(web.content.labels, [pair("app", "web"), pair("tier", "front")]);
    assert_eq!(web.content.annotations, [pair("note", "hi"), pair("priority", "5")]);
    assert_eq!(web.content.engine, Engine::Podman { rootless: true });
    assert_eq!(web.schedule, Schedule::Service(Backoff::Constant(std::time::Duration::from_secs(5))));
    assert_eq!(web.profiles[0].conditions[0].cpu, Some(50_000));
    let specification = json!({"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "i"}]});
    assert_eq!(web.content.specification.value(), specification);
}

#[test]
fn what_is_said_to_the_agent_leaves_the_id_of_a_pod_alone() {
    let plain = POD.replace("    flotta/retry: '5'\n", "").replace("'perf: low=50000, mid'", "'other: x'");
    assert_eq!(only(POD).id, only(&plain).id);
    assert_ne!(only(POD).id, only(&POD.replace("note: hi", "note: ho")).id);
}

#[test]
fn a_pod_has_a_schedule_by_an_annotation() {
    let text = POD.replace("flotta/retry: '5'", "flotta/cron: '*/5 * * * *'");
    assert_eq!(only(&text).schedule, Schedule::Cron(Cron::parse("*/5 * * * *").unwrap(), Backoff::default()));
}

#[test]
fn a_deployment_has_the_labels_of_its_template_and_those_meant_for_the_pod() {
    let text = deployment("").replace("name: web\n", "name: web\n  labels: {team: red, podman/site: roof}\n");
    let web = only(&text);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(web.content.labels, [pair("app", "web"), pair("site", "roof")]);
    assert_eq!((web.name(), web.restart), ("web", RestartPolicy::Always));
}

#[test]
fn a_daemon_set_and_a_stateful_set_run_one_pod_too() {
    for kind in ["DaemonSet", "StatefulSet"] {
        let set = only(&deployment("").replace("Deployment", kind));
        assert_eq!(set.content.labels, only(&deployment("")).content.labels, "{kind}");
    }
}

#[test]
fn a_stateful_set_has_its_claims_and_the_names_of_its_pod() {
    let set = deployment(
        "  serviceName: db
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
",
    );
    let set = set.replace("Deployment", "StatefulSet");
    let set = set.replace("image: i", "image: i, volumeMounts: [{name: data, mountPath: /d}]");
    let (desired, found) = assembled(&set);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("requests.storage: isn't kept to"), "{found:?}");
    let web = &desired.workloads[0];
    let specification = web.content.specification.value();
    assert_eq!(
        specification["volumes"],
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])
    );
    assert_eq!(specification["hostname"], "web-0");
    for name in ["db", "db.default.svc.cluster.local", "web-0", "web-0.db"] {
        assert!(web.content.aliases.iter().any(|alias| alias == name), "{name}: {:?}", web.content.aliases);
    }
}

#[test]
fn a_stateful_set_takes_its_claim_where_a_volume_has_the_same_name() {
    let claims = "  volumeClaimTemplates: [{metadata: {name: a}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1}}}}]\n";
    let set = deployment(claims).replace("Deployment", "StatefulSet");
    let set = set.replace(
        "containers:",
        "volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {}}]\n      containers:",
    );
    let volumes = assembled(&set).0.workloads[0].content.specification.value()["volumes"].clone();
    assert_eq!(
        volumes,
        json!([
            {"name": "a", "persistentVolumeClaim": {"claimName": "a"}}, {"name": "b", "emptyDir": {}},
        ])
    );
}

#[test]
fn nothing_runs_of_a_deployment_without_replicas() {
    let (desired, found) = assembled(&deployment("  replicas: 0\n"));
    assert!(desired.workloads.is_empty() && desired.unreadable.is_empty(), "{desired:?}");
    assert!(found[0].ends_with("spec.replicas: is 0: nothing of it runs"), "{found:?}");
    assert_eq!(only(&deployment("  replicas: 1\n")).id, only(&deployment("")).id);
}

#[test]
fn each_kind_says_what_is_wrong_with_it_and_where() {
    assert_problems(
        &deployment("  # more\n"),
        &[
            "# more -> replicas: 3 => spec.replicas: a device runs one pod of it, not 3: write 1",
            "# more -> replcas: 1 => line 12: spec.replcas: unknown field: did you mean `replicas`?",
            "# more -> replicas: one => spec.replicas: must be a whole number, not a text",
            "# more -> paused: true => spec.paused: can't be obeyed here: what is saved takes effect",
            "# more -> strategy: {type: Recreate} => spec.strategy: means nothing on one device: a device runs one",
            "app: web}}\n  template -> app: x}}\n  template => line 6: spec.selector: doesn't match the labels of its template",
            "selector: {matchLabels: {app: web}} -> selector: {} => spec.selector: must name a label",
            "selector: {matchLabels: {app: web}} -> selector: {matchExpressions: [{key: app, operator: In}]} => spec.selector.matchExpressions[0].values: operator In needs values",
            "selector: {matchLabels: {app: web}} -> selector: {matchExpressions: [{key: app, operator: On}]} => spec.selector.matchExpressions[0].operator: must be `In`, `NotIn`, `Exists` or `DoesNotExist`, not `On`",
            "  selector: {matchLabels: {app: web}}\n ->  => spec.selector: is missing",
            "image: i -> image: i, comand: [x] => spec.template.spec.containers[0].comand: unknown field: did you mean `command`?",
            "containers: -> restartPolicy: Never\n      containers: => spec.template.spec.restartPolicy: must be `Always` in a Deployment: a Job or a Pod may end",
            "containers: -> activeDeadlineSeconds: 5\n      containers: => spec.template.spec.activeDeadlineSeconds: is not for a Deployment",
            "labels: {app: web} -> labels: {app: web}, annotations: {flotta/retry: '5'} => spec.template.metadata.annotations.flotta/retry: belongs to",
            "labels: {app: web} -> labels: {app: web}, annotation: {} => spec.template.metadata.annotation: unknown field: did you mean `annotations`?",
            "apps/v1 -> apps/v1beta1 => apiVersion: must be `apps/v1` for this kind, not `apps/v1beta1`",
            "name: web\n -> name: Web\n => metadata.name: `Web` can't be a name",
        ],
    );
    assert_problems(
        POD,
        &[
            "app: web -> app: 1 => metadata.labels.app: must be a text, not a number: put it in quotes",
            "app: web -> app: w/b => metadata.labels.app: `w/b` can't be a label's value",
            "app: web -> a b: web => metadata.labels[\"a b\"]: can't be a key",
            "note: hi -> note: 5 => metadata.annotations.note: must be a text",
            "flotta/retry: '5' -> flotta/retries: '5' => line 11: metadata.annotations.flotta/retries: unknown annotation: did you mean `flotta/retry`?",
            "mid' -> mid=7' => line 10: metadata.annotations.flotta/profiles: column 18: `7` must be",
            "restartPolicy -> restartPolcy => spec.restartPolcy: unknown field: did you mean `restartPolicy`?",
            "spec:\n -> status: {phase: Running}\nspec:\n => status: means nothing on one device: an API server keeps it",
            "spec:\n -> stats: {}\nspec:\n => stats: unknown field: did you mean `status`?",
            "containers: -> nodeName: other\n  containers: => spec.nodeName: is `other`, and this device is `pi`",
            "image: i -> image: i, envFrom: [{configMapRef: {name: m}}] => spec.containers[0].envFrom[0].configMapRef.name: there is no ConfigMap `m` in namespace `prod`",
            "containers: -> imagePullSecrets: [{name: s}]\n  containers: => spec.imagePullSecrets[0].name: there is no Secret `s`",
            "kind: Pod -> kind: Deploymnt => kind: `Deploymnt` is unknown here: did you mean `Deployment`?",
            "kind: Pod -> kind: Widget => kind: `Widget` is unknown here: EdgeDevice, EdgeWorkload, ",
            "kind: Pod -> kind: Ingress => kind: `Ingress` can't be obeyed here: a container's `hostPort`",
            "kind: Pod -> kind: Namespace => kind: `Namespace` means nothing on one device: ",
        ],
    );
}

#[test]
fn a_secret_for_pulls_has_the_credentials() {
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: prod}\nstringData: {.dockerconfigjson: '{\"auths\": {}}'}\n";
    let text = replaced(POD, "containers:", "imagePullSecrets: [{name: s}]\n  containers:") + secret;
    let web = only(&text);
    assert_eq!(web.content.auth.0, "{\"auths\": {}}");
    let two = text.replace("{name: s}]", "{name: s}, {name: t}]");
    assert!(
        problems(&two)[0].contains("spec.imagePullSecrets: has no effect")
            || problems(&two)[0].contains("the first one counts"),
        "{:?}",
        problems(&two)
    );
}

#[test]
fn a_name_that_two_kinds_have_is_an_error_with_both_places() {
    let (desired, found) =
        assembled(&(deployment("") + "---\n" + &POD.replace("namespace: prod\n", "namespace: other\n")));
    assert_eq!(desired.workloads.len(), 1);
    assert_eq!(
        found,
        [
            "f.yaml, document 2, line 16: metadata.name: Pod `web` has no effect: f.yaml, line 2 has the Deployment `web`, and a \
          device runs one workload of a name"
        ]
    );
}

#[test]
fn a_broken_object_holds_its_workload_back() {
    let (desired, _) = assembled(&deployment("  replicas: 3\n"));
    assert_eq!(desired.unreadable, ["web"]);
}

#[test]
fn other_programs_files_get_a_sentence_that_helps() {
    for (text, said) in [
        ("services: {web: {image: i}}\n", "this is a compose file, which isn't read here."),
        ("version: '3'\nservices:\n  web:\n    image: i\n", "`podman generate kube POD > FILE`"),
        ("# comment\n[Container]\nImage=i\n", "is a Quadlet, which systemd reads"),
        ("[Unit]\nDescription=x: y\n\n[Container]\nImage=i\n", "is a Quadlet, which systemd reads"),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
    }
    assert!(!problems("[a, b\n")[0].contains("Quadlet"));
}

#[test]
fn a_field_that_nothing_knows_is_a_warning_where_the_settings_say_so() {
    let edge = "---\napiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {name: e}\n\
                spec: {type: pod, pod: {spec: {newField: x, containers: [{name: c, image: i}]}}}\n";
    let text = deployment("  newField: x\n") + edge;
    let read = |unknown| {
        let budget = Budget::default().with_unknown_fields(unknown);
        let contents = FileContents::read(&"f.yaml".into(), text.as_bytes(), &budget);
        let severities: Vec<_> = contents.problems.iter().map(|it| it.severity).collect();
        (contents.documents.len(), severities)
    };
    assert_eq!(read(UnknownFields::Refuse), (0, vec![Severity::Error; 2]));
    assert_eq!(read(UnknownFields::Warn), (2, vec![Severity::Warning; 2]));
}
