//! What can become of a field, and how the table of them is laid out.

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does what it says.
    Obeyed,
    /// It has no effect; why.
    Ignored(&'static str),
    /// It means nothing on a single device; why.
    Meaningless(&'static str),
    /// It changes what its author relies on, and nothing here can do it; what to do instead.
    Refused(&'static str),
}

/// The fields of a mapping.
#[derive(Debug)]
pub struct Table {
    /// Its type, by Kubernetes' name.
    pub kind: &'static str,
    /// Where it stands, for people.
    pub place: &'static str,
    /// Those that must be there; they stand below as well.
    pub required: &'static [&'static str],
    /// See [`Fate::Obeyed`].
    pub obeyed: &'static [&'static str],
    /// See [`Fate::Ignored`].
    pub ignored: &'static [(&'static str, &'static str)],
    /// See [`Fate::Meaningless`].
    pub meaningless: &'static [(&'static str, &'static str)],
    /// See [`Fate::Refused`].
    pub refused: &'static [(&'static str, &'static str)],
}

impl Table {
    /// What becomes of the field of this name, if there is one.
    pub fn fate(&self, name: &str) -> Option<Fate> {
        let why = |list: &[(&str, &'static str)]| list.iter().find(|it| it.0 == name).map(|it| it.1);
        if self.obeyed.contains(&name) {
            return Some(Fate::Obeyed);
        }
        let others = why(self.refused).map(Fate::Refused).or_else(|| why(self.ignored).map(Fate::Ignored));
        others.or_else(|| why(self.meaningless).map(Fate::Meaningless))
    }

    /// The names of all its fields.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let others = self.ignored.iter().chain(self.meaningless).chain(self.refused).map(|it| it.0);
        self.obeyed.iter().copied().chain(others)
    }
}
