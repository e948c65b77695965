//! What every HTTP client of the agent has in common.

use ureq::{Agent, config::ConfigBuilder, typestate::AgentScope};

/// An answer of any status is an answer, and one that points elsewhere is not followed: what it points to may be
/// under another's control. No proxy is taken from the environment: the setting `PROXY` names the edge API's.
pub(crate) fn config() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .input_buffer_size(8 * 1024)
        .output_buffer_size(8 * 1024)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
}
