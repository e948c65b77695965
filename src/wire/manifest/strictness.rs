//! How strictly a document is judged.

/// What a field that nothing knows does to its workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownFields {
    /// It is an error: what its author relies on would be missing.
    #[default]
    Refuse,
    /// It has no effect, with a warning: for specifications from a newer Kubernetes.
    Warn,
}

/// How strictly a document is judged.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::wire) struct Strictness {
    /// It was accepted before, perhaps by a version that judged less: it isn't judged anew.
    pub(in crate::wire) was_accepted: bool,
    pub(in crate::wire) unknown: UnknownFields,
}
