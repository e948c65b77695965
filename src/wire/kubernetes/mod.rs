//! A cluster: what is applied there and what it says of it, and how to reach it.

mod deployment;
pub mod kubeconfig;

pub use deployment::{
    DependentObject, dependent_objects, deployment, has_no_dependents, is_ours, obsolete_dependents,
    parse_deployment_list, read, resource_version,
};
