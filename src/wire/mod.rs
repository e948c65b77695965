//! The formats. Raw serde structures become the agent's valid types here, and nothing else does: an error names the
//! field and, in a file, the line.
//!
//! | look in | for |
//! |---|---|
//! | [`edge_api`] | what the control plane is told and answers, the configuration in it, the device's hardware |
//! | [`own`] | the agent's own: frames between its processes, what it keeps, its metrics page |
//! | [`manifest`] | the files that people write: `EdgeDevice`, `EdgeWorkload`, `ConfigMap`, `Secret` |
//! | [`podspec`] | pod specifications, whole, and what becomes of each of their fields |
//! | [`podman`] | what podman is given (pods, volumes, credentials of registries) and what it answers |
//! | [`kubernetes`] | Deployments and what a cluster says of them, kubeconfig files |
//! | [`ownership`] | the labels and names that say whose something is, on every engine |
//! | [`strict`], `yaml`, `field` | the readers: JSON to types, YAML to JSON, and where something stands |
//! | [`dns_names`], `json`, `text`, `base64` | small helpers of them all |
//! | `grpc` | the question of a gRPC probe, and its answer |
//!
//! Imports go down this list only.

pub mod edge_api;
pub mod kubernetes;
pub mod manifest;
pub mod own;
pub mod ownership;
pub mod podman;
pub mod podspec;

pub(crate) mod base64;
pub mod dns_names;
pub(crate) mod field;
pub(crate) mod grpc;
mod json;
pub mod strict;
pub(crate) mod text;
pub(crate) mod yaml;
