//! What can become of a field, and how the table of them is laid out.

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldSupport {
    /// It does what it says.
    Obeyed,
    /// It has no effect; why.
    Ignored(&'static str),
    /// It means nothing on a single device; why.
    Meaningless(&'static str),
    /// It changes what its author relies on, and nothing here can do it; what to do instead.
    Refused(&'static str),
}

/// The fields of a mapping. Names stand in one text, with blanks between them: a list of texts takes several times the
/// room in the binary.
#[derive(Debug)]
pub struct FieldTable {
    /// Its type, by Kubernetes' name.
    pub kind: &'static str,
    /// Where it stands, for people.
    pub place: &'static str,
    /// Those that must be there; they stand below as well.
    pub required: &'static str,
    /// See [`FieldSupport::Obeyed`].
    pub obeyed: &'static str,
    /// See [`FieldSupport::Ignored`].
    pub ignored: Reasons,
    /// See [`FieldSupport::Meaningless`].
    pub meaningless: Reasons,
    /// See [`FieldSupport::Refused`].
    pub refused: Reasons,
}

/// Names, and why.
type Reasons = &'static [(&'static str, &'static str)];

impl FieldTable {
    /// Without fields.
    pub const EMPTY: Self =
        Self { kind: "", place: "", required: "", obeyed: "", ignored: &[], meaningless: &[], refused: &[] };

    /// What becomes of the field of this name, if there is one.
    pub fn field_support(&self, name: &str) -> Option<FieldSupport> {
        let is_in = |names: &str| names.split_ascii_whitespace().any(|known| known == name);
        let why = |reasons: Reasons| reasons.iter().find(|(names, _)| is_in(names)).map(|it| it.1);
        if is_in(self.obeyed) {
            return Some(FieldSupport::Obeyed);
        }
        let others = why(self.refused)
            .map(FieldSupport::Refused)
            .or_else(|| why(self.ignored).map(FieldSupport::Ignored));
        others.or_else(|| why(self.meaningless).map(FieldSupport::Meaningless))
    }

    /// The names of all its fields.
    pub fn field_names(&self) -> impl Iterator<Item = &'static str> {
        let others = self.ignored.iter().chain(self.meaningless).chain(self.refused).map(|it| it.0);
        [self.obeyed].into_iter().chain(others).flat_map(str::split_ascii_whitespace)
    }

    /// The names of those that must be there.
    pub fn required_fields(&self) -> impl Iterator<Item = &'static str> {
        self.required.split_ascii_whitespace()
    }
}
