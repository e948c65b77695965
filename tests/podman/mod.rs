//! The podman executor on a real podman, without the rest of the agent.
//!
//! | module | what it shows |
//! |---|---|
//! | [`bed`] | orders, and what is asked of podman beside the executor |
//! | [`orders`] | start, look, list, remove, and what stays behind when they fail |
//! | [`conformance`] | what was written is what runs: a table, read from inside the containers, by the whole agent |
//! | [`pods`] | what the device doesn't have is refused, and leaves nothing |
//! | [`rehearsals`] | what can be known of a start before anything has to go for it |
//! | [`exits`] | ends of processes are noticed at once, and podman is left alone otherwise |
//! | [`limits`] | CPU limits of whole pods, as the kernel has them |
//! | [`probes`] | containers are asked whether they are well, and what hangs is cut |
//! | [`secrets`] | Secrets reach containers, and nothing of them stays |
//! | [`registries`] | images of a registry with TLS and a password |
//! | [`lanes`] | slow orders don't hold up others |
//! | [`usage`] | how much memory, disk space and processor time each pod uses, and who wants too many processes |

mod bed;
mod conformance;
mod exits;
mod hooks;
mod lanes;
mod limits;
mod mending;
mod orders;
mod pods;
mod probes;
mod registries;
mod rehearsals;
mod secrets;
mod usage;
