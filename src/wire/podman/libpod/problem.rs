//! What can't be done, and where that stands in the specification.

use crate::wire::field::Field;

/// Its place, and why.
pub(in crate::wire) type Problem = (Field, String);

/// As people read it.
pub(super) fn told((field, message): Problem) -> String {
    format!("{field}: {message}")
}
