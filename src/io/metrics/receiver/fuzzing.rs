//! The readers of posts and heads, for the harnesses in `fuzz/`.

use super::{answer, body, origin, request};
use crate::agent::Sample;

/// As [`request`] understood the head of a request.
pub struct Head {
    /// What goes on.
    pub head: Vec<u8>,
    /// In bytes, as the client counts them.
    pub head_length: usize,
    /// In bytes.
    pub body_length: usize,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// What is read, as its answer's head begins.
    pub get: Option<Vec<u8>>,
}

/// Reads the body of a post.
///
/// # Errors
/// What is answered.
pub fn body(bytes: &[u8]) -> Result<Vec<Sample>, String> {
    body::read(bytes)
}

/// Reads the head of a request; `None`: it isn't whole yet.
///
/// # Errors
/// The answer.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Vec<u8>> {
    let request = request::parse(bytes).map_err(|refusal| refusal.to_response_bytes())?;
    Ok(request.map(|request| Head {
        get: request.get.map(|get| get.response_head(b"", request.keep_alive)),
        head: request.head,
        head_length: request.head_length,
        body_length: request.body_length,
        keep_alive: request.keep_alive,
    }))
}

/// How long an answer is; the inner `None`: its head isn't whole yet.
pub fn answer_length(bytes: &[u8], bodiless: bool) -> Option<Option<usize>> {
    answer::response_length(bytes, bodiless).ok()
}

/// Whether a `Host` is a name.
pub fn is_name(host: &[u8]) -> bool {
    origin::is_foreign_host(host)
}
