//! A container's variables, in the order of Kubernetes: `envFrom` before `env`, and what comes later wins.

use std::collections::BTreeMap;

use super::{
    fields::PodContext,
    problem::SpecProblem,
    sources::{self, ObjectKind},
};
use crate::wire::{
    field::FieldPath,
    ownership::DEVICE_ID_VARIABLE,
    podspec::{container::Container, env::EnvVarSource},
};

/// The variables of a container.
pub(super) type Variables = BTreeMap<String, String>;

pub(super) fn variables(
    container: &Container,
    at: &FieldPath,
    context: &PodContext,
) -> Result<Variables, SpecProblem> {
    let mut all = Variables::new();
    let content = &context.workload.content;
    for (index, source) in container.env_from.iter().enumerate() {
        let sources =
            [(ObjectKind::ConfigMap, &source.config_map_ref), (ObjectKind::Secret, &source.secret_ref)];
        for (kind, reference) in sources {
            let Some(reference) = reference else { continue };
            let name = &*reference.name.0;
            for (key, value) in sources::object_data(content, kind, name).into_iter().flatten() {
                let text = sources::value_as_text(kind, name, &key, value);
                let text = text.map_err(|why| (at.child("envFrom").child(index), why))?;
                all.insert(format!("{}{key}", source.prefix), text);
            }
        }
    }
    for (index, variable) in container.env.iter().enumerate() {
        let value = match &variable.value_from {
            None => Some(expand_variables(variable.value.as_deref().unwrap_or_default(), &all)),
            Some(from) => {
                let referred = resolve_value_from(from, container, context);
                let place = |key| at.child("env").child(index).child("valueFrom").child(key);
                referred.map_err(|(key, why)| (place(key), why))?
            }
        };
        if let Some(value) = value {
            all.insert(variable.name.0.clone(), value);
        }
    }
    all.entry(DEVICE_ID_VARIABLE.to_owned()).or_insert_with(|| context.agent.device_id.to_owned());
    Ok(all)
}

/// An error is said with the key of the reference.
fn resolve_value_from(
    from: &EnvVarSource,
    container: &Container,
    context: &PodContext,
) -> Result<Option<String>, (&'static str, String)> {
    let content = &context.workload.content;
    let named = [
        ("configMapKeyRef", ObjectKind::ConfigMap, &from.config_map_key_ref),
        ("secretKeyRef", ObjectKind::Secret, &from.secret_key_ref),
    ];
    for (key, kind, reference) in named {
        if let Some(reference) = reference {
            return sources::resolve_key_ref(content, kind, reference).map_err(|why| (key, why));
        }
    }
    if let Some(reference) = &from.field_ref {
        return context.resolve_field_ref(reference).map(Some).map_err(|why| ("fieldRef", why));
    }
    let Some(reference) = &from.resource_field_ref else {
        return Err(("fieldRef", "is missing".to_owned()));
    };
    context
        .resolve_resource_ref(reference, Some(container))
        .map(Some)
        .map_err(|why| ("resourceFieldRef", why))
}

/// The text with the values of the variables that it names by `$(NAME)`; a name without a value stays as it is
/// written, and `$$` is one `$` that begins no name.
pub(super) fn expand_variables(text: &str, variables: &Variables) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        whole.push_str(before);
        let after = &from[1..];
        rest = if let Some(after) = after.strip_prefix('$') {
            whole.push('$');
            after
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|name| name.split_once(')')) {
            match variables.get(name) {
                Some(value) => whole.push_str(value),
                None => whole.extend(["$(", name, ")"]),
            }
            after
        } else {
            whole.push('$');
            after
        };
    }
    whole.push_str(rest);
    whole
}
