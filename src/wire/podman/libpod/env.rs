//! A container's variables, in the order of Kubernetes: `envFrom` before `env`, and what comes later wins.

use std::collections::BTreeMap;

use super::{
    fields::Asking,
    part::{Part, Problem},
    sources::{self, Kind},
};

/// The variables of a container.
pub(super) type Variables = BTreeMap<String, String>;

const DEVICE_ID: &str = "DEVICE_ID";

pub(super) fn variables(container: &Part, asking: &Asking) -> Result<Variables, Problem> {
    let mut all = Variables::new();
    let content = &asking.workload.content;
    for source in container.get("envFrom").items() {
        let prefix = source.get("prefix").text()?.unwrap_or_default();
        for (key, kind) in [("configMapRef", Kind::ConfigMap), ("secretRef", Kind::Secret)] {
            let reference = source.get(key);
            if reference.is_absent() {
                continue;
            }
            let name = reference.get("name").needed()?;
            for (key, value) in sources::data(content, kind, name).into_iter().flatten() {
                all.insert(format!("{prefix}{key}"), sources::text(kind, name, &key, value, &source)?);
            }
        }
    }
    for variable in container.get("env").items() {
        let name = variable.get("name").needed()?;
        let from = variable.get("valueFrom");
        let value = if from.is_absent() {
            Some(expanded(variable.get("value").text()?.unwrap_or_default(), &all))
        } else {
            referred(&from, container, asking)?
        };
        if let Some(value) = value {
            all.insert(name.to_owned(), value);
        }
    }
    all.entry(DEVICE_ID.to_owned()).or_insert_with(|| asking.agent.device_id.to_owned());
    Ok(all)
}

fn referred(from: &Part, container: &Part, asking: &Asking) -> Result<Option<String>, Problem> {
    let content = &asking.workload.content;
    let of = |key: &str| Some(from.get(key)).filter(|reference| !reference.is_absent());
    if let Some(reference) = of("configMapKeyRef") {
        return sources::value(content, Kind::ConfigMap, &reference);
    }
    if let Some(reference) = of("secretKeyRef") {
        return sources::value(content, Kind::Secret, &reference);
    }
    if let Some(reference) = of("fieldRef") {
        return asking.field(&reference).map(Some);
    }
    if let Some(reference) = of("resourceFieldRef") {
        return asking.resource(&reference, Some(container)).map(Some);
    }
    from.problem("must name a fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef")
}

/// The text with the values of the variables that it names by `$(NAME)`; a name without a value stays as it is
/// written, and `$$` is one `$` that begins no name.
pub(super) fn expanded(text: &str, variables: &Variables) -> String {
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
