//! The variables of a container.

use super::{
    types::mapping,
    values::{Filled, Key, Quantity, Subdomain},
};

mapping! {
    /// A variable.
    EnvVar { name: Filled, value: Option<String>, value_from: Option<Box<EnvVarSource>> }
}

mapping! {
    /// Where the value of a variable comes from: exactly one.
    EnvVarSource {
        config_map_key_ref: Option<KeySelector>,
        secret_key_ref: Option<KeySelector>,
        field_ref: Option<ObjectFieldSelector>,
        resource_field_ref: Option<ResourceFieldSelector>,
    }
}

mapping! {
    /// A value of a `ConfigMap` or `Secret`.
    KeySelector { name: Subdomain, key: Key, optional: bool }
}

mapping! {
    /// A field of the pod: `metadata.name`, for example.
    ObjectFieldSelector { api_version: String, field_path: String }
}

mapping! {
    /// A limit or request of a container: `limits.memory`, for example.
    ResourceFieldSelector { container_name: String, divisor: Option<Quantity>, resource: String }
}

mapping! {
    /// All values of a `ConfigMap` or `Secret`: exactly one of both.
    EnvFromSource {
        prefix: String,
        config_map_ref: Option<NameReference>,
        secret_ref: Option<NameReference>,
    }
}

mapping! {
    /// A `ConfigMap` or `Secret`.
    NameReference { name: Subdomain, optional: bool }
}

mapping! {
    /// A `Secret` in the workload's namespace.
    LocalReference { name: Subdomain }
}
