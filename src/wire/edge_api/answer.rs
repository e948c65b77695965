//! What the edge API answers.

use serde::Deserialize;
use serde_json::Value;

use crate::wire::strict;

/// What this agent looks at in an answer.
#[derive(Deserialize)]
pub(super) struct ServerMessage {
    content: Option<Value>,
}

impl ServerMessage {
    pub(super) fn content(body: &[u8]) -> Result<Value, String> {
        let answer: Self = strict::from_json(body).map_err(|error| format!("is no message: {error}"))?;
        answer.content.ok_or_else(|| "is a message without content".to_owned())
    }
}

/// The certificate in the answer to a registration, as PEM.
///
/// # Errors
/// What makes no sense in it.
pub fn certificate(body: &[u8]) -> Result<String, String> {
    match ServerMessage::content(body)?["certificate"].as_str() {
        Some(pem) if !pem.is_empty() => Ok(pem.to_owned()),
        _ => Err("has no content.certificate".to_owned()),
    }
}

/// Whether a control message says that this device was unregistered. No body means that there is no message.
///
/// # Errors
/// What makes no sense in it.
pub fn is_disconnect_command(body: &[u8]) -> Result<bool, String> {
    if body.trim_ascii().is_empty() {
        return Ok(false);
    }
    let answer: ServerMessage = strict::from_json(body).map_err(|error| format!("is no message: {error}"))?;
    Ok(answer.content.is_some_and(|content| content["command"] == "disconnect"))
}
