//! The metrics endpoint. Foreign bytes are parsed by an unprivileged [`receiver`] process, and the agent, which
//! may be root with podman's socket in hand, sees only short frames that it checks again.
//!
//! ```text
//!  curl ──► listener ──► frontend ──► tiny_http ──► body ──┐ frames  ┌──► store ──► Event::Metrics ──► the loop
//!           (bound by    (bounds every byte                ├────────►│
//!  curl ◄── the agent) ◄─ and every wait)    ◄──── ack ◄───┘  acks   └◄── in RUNTIME_DIR, one write a batch
//!           └────────────────── receiver ──────────────────┘       └────────── agent_side ──────────┘
//! ```
//!
//! tiny_http 0.12 allocates what a `Content-Length` says, aborts when a client resets early, never times out
//! and ends with the first failed accept. So it never meets a client: the frontend reads a request whole, within
//! limits, and hands it on over one of a few private connections. Should it die nevertheless, the agent starts
//! another receiver while new connections wait in the listeners' backlogs.
//!
//! A post is answered with 200 only after the agent has stored it and has handed it to the loop.
//!
//! A client that reads (`GET /metrics`, and the status page where the settings turn it on) is answered by the frontend,
//! with a report that a thread of the agent's sends over a socket pair of its own:
//!
//! ```text
//!  browser ──► frontend ── kind of report ──► report_server ──► query ──► the loop
//!  browser ◄── frontend ◄───── report ────────┘  (may read, and nothing else)
//! ```
//!
//! | folder | whose code it is |
//! |---|---|
//! | `agent_side` | the agent's: it binds addresses, supervises the receiver, stores posts, serves reports |
//! | `receiver` | the receiver process's |
//! | `shared` | both |

mod agent_side;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod receiver;
mod shared;

pub use agent_side::{EndpointConfig, Handover, SUBCOMMAND, inherited_receivers_env, start};
