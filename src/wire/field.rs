//! Where in a document something stands, and what is wrong with it there.

use std::fmt;

/// A step from a value into one of its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathSegment {
    /// Into a mapping.
    Key(String),
    /// Into a sequence, from 0.
    Index(usize),
}

impl From<&str> for PathSegment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for PathSegment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Where in a document a value stands: `spec.containers[0].image`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct FieldPath(pub(crate) Vec<PathSegment>);

impl FieldPath {
    /// One step further in.
    pub(crate) fn child(&self, step: impl Into<PathSegment>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }
}

impl<const N: usize> From<[&str; N]> for FieldPath {
    fn from(keys: [&str; N]) -> Self {
        Self(keys.map(PathSegment::from).into())
    }
}

impl From<&[&str]> for FieldPath {
    fn from(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| PathSegment::from(*key)).collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                PathSegment::Index(index) => write!(f, "[{index}]")?,
                PathSegment::Key(key) if key.contains(['.', '[', ' ']) => write!(f, "[{key:?}]")?,
                PathSegment::Key(key) if position == 0 => f.write_str(key)?,
                PathSegment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// What is wrong with a field of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) field: FieldPath,
    pub(super) message: String,
}

impl From<Finding> for Vec<Finding> {
    fn from(finding: Finding) -> Self {
        vec![finding]
    }
}

impl Finding {
    /// The same, with the path of the field that it is within.
    pub(super) fn with_path_prefix(mut self, at: &FieldPath) -> Self {
        self.field.0.splice(0..0, at.0.iter().cloned());
        self
    }

    pub(super) fn new<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self { field: FieldPath::from(path), message: message.into() }
    }
}
