//! The reader of YAML, for the harnesses in `fuzz/`.

use serde_json::Value;

use crate::wire::yaml;

/// One document's text as JSON, or why not.
///
/// # Errors
/// The reader's words.
pub fn document(text: &str) -> Result<Value, String> {
    yaml::parse(text).map_err(|error| error.to_string())
}

/// A stream cut into documents: how many lines stand before each, and its text.
pub fn documents(stream: &[u8]) -> Vec<(usize, &[u8])> {
    yaml::split_documents(stream).into_iter().map(|chunk| (chunk.lines_before, chunk.text)).collect()
}
