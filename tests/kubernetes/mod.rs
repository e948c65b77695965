//! The real agent and a real API server: workloads of type k8s, and a control plane that keeps everything in a cluster.
//!
//! | module | what it shows |
//! |---|---|
//! | [`cluster`] | an API server for tests: its users, its requests, its end |
//! | [`life`] | from a manifest to a Deployment and its status, and back |
//! | [`trouble`] | what belongs to others, what is forbidden, credentials that end, a server that is busy or away |
//! | [`many`] | two hundred of them |
//! | [`control`] | the life of a device that is managed with `kubectl`, its workloads on real podman |

mod cluster;
mod control;
mod life;
mod many;
mod trouble;
