//! The variables of a container.

use super::{
    reader::mapping,
    values::{Filled, Key, Quantity, Subdomain},
};

mapping! {
    /// A variable.
    EnvVar {
        name: Filled = "name",
        value: Option<String> = "value",
        value_from: Option<Box<EnvVarSource>> = "valueFrom",
    }
}

mapping! {
    /// Where the value of a variable comes from: exactly one.
    EnvVarSource {
        config_map_key_ref: Option<KeySelector> = "configMapKeyRef",
        secret_key_ref: Option<KeySelector> = "secretKeyRef",
        field_ref: Option<ObjectFieldSelector> = "fieldRef",
        resource_field_ref: Option<ResourceFieldSelector> = "resourceFieldRef",
    }
}

mapping! {
    /// A value of a `ConfigMap` or `Secret`.
    KeySelector {
        name: Subdomain = "name",
        key: Key = "key",
        optional: bool = "optional",
    }
}

mapping! {
    /// A field of the pod: `metadata.name`, for example.
    ObjectFieldSelector {
        api_version: String = "apiVersion",
        field_path: String = "fieldPath",
    }
}

mapping! {
    /// A limit or request of a container: `limits.memory`, for example.
    ResourceFieldSelector {
        container_name: String = "containerName",
        divisor: Option<Quantity> = "divisor",
        resource: String = "resource",
    }
}

mapping! {
    /// All values of a `ConfigMap` or `Secret`: exactly one of both.
    EnvFromSource {
        prefix: String = "prefix",
        config_map_ref: Option<NameReference> = "configMapRef",
        secret_ref: Option<NameReference> = "secretRef",
    }
}

mapping! {
    /// A `ConfigMap` or `Secret`.
    NameReference {
        name: Subdomain = "name",
        optional: bool = "optional",
    }
}

mapping! {
    /// A `Secret` in the workload's namespace.
    LocalReference {
        name: Subdomain = "name",
    }
}
