//! What can't be done, and where that stands in the specification.

use crate::wire::field::FieldPath;

/// Its place, and why.
pub(in crate::wire) type SpecProblem = (FieldPath, String);

/// As people read it.
pub(super) fn format_problem((field, message): SpecProblem) -> String {
    format!("{field}: {message}")
}
