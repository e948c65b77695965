//! What runs without an end: `Deployment`, `StatefulSet`, `DaemonSet`; and the `Pod` alone.

use serde_json::{Value, json};

use super::{
    claim,
    pods::PodDescription,
    types::{
        CheckedPodSpec, DaemonSetSpec, DeploymentSpec, LabelSelector, Labels, Object, ObjectMeta, Operator,
        PodTemplate, StatefulSetSpec,
    },
};
use crate::{
    agent::model::workload::{DEFAULT_NAMESPACE, RestartPolicy},
    wire::{
        dns_names::is_dns_label,
        manifest::{
            agent_part,
            select::{self, Selector},
            services,
        },
        podspec::{
            reader::{FindingClass, Read, ReadContext},
            values::Count,
        },
    },
};

/// `v1` `Pod`
pub(super) fn lone_pod(document: &Value, notes: &mut ReadContext) -> PodDescription {
    let Object { metadata, spec } = Object::<CheckedPodSpec>::read(document, notes);
    let (labels, annotations) = (metadata.labels.0.clone(), metadata.annotations.0.clone());
    PodDescription::new("Pod", metadata, labels, annotations, spec.0, &["spec"])
}

/// `apps/v1` `Deployment`
pub(super) fn deployment(document: &Value, notes: &mut ReadContext) -> PodDescription {
    let Object { metadata, spec } = Object::<DeploymentSpec>::read(document, notes);
    let is_off = is_scaled_to_zero(spec.replicas, notes);
    check_selector(&spec.selector, &spec.template, "a Deployment", notes);
    PodDescription { is_off, ..from_pod_template("Deployment", metadata, spec.template) }
}

/// `apps/v1` `DaemonSet`
pub(super) fn daemon_set(document: &Value, notes: &mut ReadContext) -> PodDescription {
    let Object { metadata, spec } = Object::<DaemonSetSpec>::read(document, notes);
    check_selector(&spec.selector, &spec.template, "a DaemonSet", notes);
    from_pod_template("DaemonSet", metadata, spec.template)
}

/// `apps/v1` `StatefulSet`. Its claims are volumes of its pod, and its pod is number 0.
pub(super) fn stateful_set(document: &mut Value, notes: &mut ReadContext) -> PodDescription {
    add_claims(document);
    add_hostname(document);
    let Object { metadata, spec } = Object::<StatefulSetSpec>::read(document, notes);
    let is_off = is_scaled_to_zero(spec.replicas, notes);
    check_selector(&spec.selector, &spec.template, "a StatefulSet", notes);
    for (index, claim) in spec.volume_claim_templates.iter().enumerate() {
        notes.at_path(["spec".into(), "volumeClaimTemplates".into(), index.into()], |notes| {
            claim::check(&claim.spec, notes);
        });
    }
    let mut aliases = Vec::new();
    if let Some(service) = spec.service_name {
        let namespace = metadata.namespace.as_ref().map_or(DEFAULT_NAMESPACE, |it| &*it.0);
        aliases.extend(services::service_dns_names(&service.0, namespace));
        aliases.push(format!("{}-0", metadata.name.0));
        aliases.push(format!("{}-0.{}", metadata.name.0, service.0));
    }
    PodDescription { is_off, aliases, ..from_pod_template("StatefulSet", metadata, spec.template) }
}

/// Of an object whose pod is described by `spec.template`.
fn from_pod_template(kind: &'static str, metadata: ObjectMeta, template: PodTemplate) -> PodDescription {
    let PodTemplate { metadata: own, spec } = template;
    let at = &["spec", "template", "spec"];
    PodDescription::new(kind, metadata, own.labels.0, own.annotations.0, spec.0, at)
}

/// Whether nothing is to run.
fn is_scaled_to_zero(replicas: Option<Count>, notes: &mut ReadContext) -> bool {
    let count = replicas.map_or(1, |it| it.0);
    notes.at_path(["spec".into(), "replicas".into()], |notes| match count {
        0 if replicas.is_some() => notes.add(FindingClass::Meaningless, "is 0: nothing of it runs"),
        2.. => notes.add(FindingClass::Refused, format!("a device runs one pod of it, not {count}: write 1")),
        _ => {}
    });
    count == 0
}

/// What the API server asks of what runs without an end.
fn check_selector(selector: &LabelSelector, template: &PodTemplate, what: &str, notes: &mut ReadContext) {
    let labels = &template.metadata.labels;
    notes.at_path(["spec".into(), "selector".into()], |notes| {
        if let Some(selector) = to_selector(selector, notes)
            && !selector.matches(&labels.0)
            && !notes.has_any_below(&[])
        {
            notes.add(FindingClass::Value, "doesn't match the labels of its template");
        }
    });
    let spec = &template.spec.0;
    notes.at_path(["spec".into(), "template".into(), "spec".into()], |notes| {
        if agent_part::to_restart_policy(spec) != RestartPolicy::Always {
            let message = format!("must be `Always` in {what}: a Job or a Pod may end");
            notes.add_at("restartPolicy", FindingClass::Value, message);
        }
        if spec.active_deadline_seconds.is_some() {
            let message = format!("is not for {what}: a Job or a Pod takes it");
            notes.add_at("activeDeadlineSeconds", FindingClass::Value, message);
        }
    });
}

/// As the agent compares labels; none, where something is wrong with it.
fn to_selector(selector: &LabelSelector, notes: &mut ReadContext) -> Option<Selector> {
    let LabelSelector { match_labels: Labels(labels), match_expressions } = selector;
    if labels.is_empty() && match_expressions.is_empty() {
        if !notes.has_any_below(&[]) {
            notes.add(FindingClass::Value, "must name a label: `matchLabels: {app: NAME}`");
        }
        return None;
    }
    let mut requirements = Vec::new();
    for (index, it) in match_expressions.iter().enumerate() {
        let operator = match it.operator {
            Operator::In => select::Operator::In,
            Operator::NotIn => select::Operator::NotIn,
            Operator::Exists => select::Operator::Exists,
            Operator::DoesNotExist => select::Operator::DoesNotExist,
        };
        match select::Requirement::new(it.key.clone(), operator, it.values.clone()) {
            Ok(requirement) => requirements.push(requirement),
            Err(why) => notes.at_path(["matchExpressions".into(), index.into()], |notes| {
                notes.add_at("values", FindingClass::Value, why);
            }),
        }
    }
    Some(Selector::new(labels.clone(), requirements))
}

/// A mount names a claim of the set as it names a volume; a volume of the same name gives way, as on Kubernetes.
fn add_claims(document: &mut Value) {
    let claims = document["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    let names: Vec<Value> = claims.map(|claim| claim["metadata"]["name"].clone()).collect();
    let Some(spec) = document.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) else {
        return;
    };
    let volumes = spec.entry("volumes").or_insert(Value::Null);
    if volumes.is_null() {
        *volumes = json!([]);
    }
    let Some(volumes) = volumes.as_array_mut() else { return };
    for name in names.into_iter().filter(Value::is_string) {
        let claim = json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
        match volumes.iter_mut().find(|volume| volume["name"] == name) {
            Some(volume) => *volume = claim,
            None => volumes.push(claim),
        }
    }
}

/// A program in the set may look for its number there.
fn add_hostname(document: &mut Value) {
    let Some(name) = document["metadata"]["name"].as_str().map(|name| format!("{name}-0")) else { return };
    let Some(spec) = document.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) else {
        return;
    };
    if is_dns_label(&name) {
        spec.entry("hostname").or_insert(name.into());
    }
}
