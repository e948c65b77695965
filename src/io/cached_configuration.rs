//! The last good configuration, for a device that starts without a network.

use std::sync::Arc;

use log::warn;
use serde_json::{Value, json};

use crate::{
    agent::model::call::ServerConfiguration,
    io::state::Store,
    wire::edge_api::{self, Configuration},
};

/// The name under which a [`ServerConfiguration::raw`] is kept in the state directory.
pub(super) const STORE_KEY: &str = "configuration";

/// What is to be kept of a configuration once it is applied: this, but what was kept before of each workload that
/// could not be understood this time.
pub(super) fn content_to_cache(state: &Store, configuration: &Configuration) -> Arc<[u8]> {
    let before = || serde_json::from_slice::<Value>(&state.load(STORE_KEY)?).ok();
    let before = if configuration.meaning.desired.unreadable.is_empty() { None } else { before() };
    let content = configuration.to_cached(before.as_ref().map(|kept| &kept["content"]));
    json!({ "content": content }).to_string().into_bytes().into()
}

/// What was written down. The same device may have another name by now.
pub(super) fn load(state: &Store, device_id: &str) -> Option<Box<ServerConfiguration>> {
    let configuration = edge_api::cached_configuration(&state.load(STORE_KEY)?, device_id);
    match configuration {
        Ok(configuration) => Some(Box::new(configuration.meaning)),
        Err(cause) => {
            warn!("the server's last configuration is not used: it {cause}");
            None
        }
    }
}
