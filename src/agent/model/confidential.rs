//! What must not be read by accident.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A value that is kept and passed on like any other, but never shown: not even a debugger's dump has it.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidential(pub Value);

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_null() { "nothing" } else { "(confidential)" })
    }
}

impl Confidential {
    /// Keys with base64 values of one of several `Secret`s.
    pub fn data_of(&self, secret: &str) -> Option<&Map<String, Value>> {
        self.0.get(secret)?.as_object()
    }

    /// The names of the `Secret`s in it: these are no secret.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.0.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_down_whole_and_shown_nowhere() {
        let whole = Confidential(json!({ "s": { "password": "aHVudGVyMg==" } }));
        assert_eq!(format!("{whole:?} {whole:#?}"), "(confidential) (confidential)");
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<Confidential>(&text).unwrap(), whole);
        assert_eq!(whole.secret_names().collect::<Vec<_>>(), ["s"]);
    }
}
