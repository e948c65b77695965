//! A pod specification, kept as text.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outline::Outline;

/// A pod specification as its author wrote it. Kept as text, as most of it is read only when a pod is made: a tree of
/// maps takes several times the memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct Specification {
    text: Box<str>,
    /// Of one whose pod was looked at.
    outline: OnceLock<Box<Outline>>,
}

impl PartialEq for Specification {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl From<Value> for Specification {
    fn from(value: Value) -> Self {
        Self { text: value.to_string().into(), outline: OnceLock::new() }
    }
}

impl From<Specification> for Value {
    fn from(specification: Specification) -> Self {
        specification.value()
    }
}

impl Specification {
    /// What it says.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default() // it came from a value
    }

    /// The little of it that rules need, read the first time.
    pub fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| Box::new(Outline::of(&self.value())))
    }

    /// Whether these words are in it somewhere: it need not be read for what they would say if not.
    pub fn mentions(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    /// The same with a change.
    #[cfg(test)]
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value = self.value();
        change(&mut value);
        *self = value.into();
    }
}
