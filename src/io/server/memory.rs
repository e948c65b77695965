//! The last good configuration, for a device that starts without a network.

use log::warn;
use serde_json::{Value, json};

use crate::{
    agent::call::ServerConfiguration,
    io::state::Store,
    wire::message::{self, Configuration},
};

const NAME: &str = "configuration";

/// Writes the configuration down, if it says something new.
pub(super) fn keep(state: &Store, configuration: &Configuration) {
    let kept = state.load(NAME).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let content = kept.as_ref().map(|kept| &kept["content"]);
    if let Some(content) = configuration.worth_keeping(content)
        && let Err(error) = state.save(NAME, json!({ "content": content }).to_string().as_bytes())
    {
        warn!("{error}"); // it is still carried out
    }
}

/// What was written down. The same device may have another name by now.
pub(super) fn load(state: &Store, device_id: &str) -> Option<Box<ServerConfiguration>> {
    let configuration = message::configuration(&state.load(NAME)?, device_id);
    match configuration {
        Ok(configuration) => Some(Box::new(configuration.meaning)),
        Err(cause) => {
            warn!("the server's last configuration is not used: it {cause}");
            None
        }
    }
}
