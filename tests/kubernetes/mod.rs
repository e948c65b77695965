//! Workloads of type k8s on a real API server, with the real agent.
//!
//! | module | what it shows |
//! |---|---|
//! | [`cluster`] | an API server for tests: its users, its requests, its end |
//! | [`life`] | from a manifest to a Deployment and its status, and back |
//! | [`trouble`] | what belongs to others, what is forbidden, credentials that end, a server that is busy or away |
//! | [`many`] | two hundred of them |

mod cluster;
mod life;
mod many;
mod trouble;
