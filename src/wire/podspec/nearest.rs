//! What was meant by a word that isn't known.

use super::{field_support::FieldTable, field_tables};

/// The word that is most like the given one, if any is like it at all.
pub fn nearest_word<'a>(given: &str, mut words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    nearest_word_dyn(given, &mut words)
}

/// The same, there once.
fn nearest_word_dyn<'a>(given: &str, words: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = given.to_ascii_lowercase();
    let most = match plain.len() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let measured = words.map(|word| {
        let other = word.to_ascii_lowercase();
        // `enviroment` is `env`, however long it is
        let is_longer = other.len() >= 3 && plain.starts_with(&other);
        (if is_longer { 1 } else { distance(&plain, &other) }, word)
    });
    measured.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|it| it.1)
}

/// How many letters must be added, left out, changed, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // no field has a name half as long
    if a.len() > 60 || b.len() > 60 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// What to say of a field that a mapping doesn't have.
pub(super) fn unknown_field_message(table: &FieldTable, key: &str) -> String {
    if let Some(near) = nearest_word(key, table.field_names()) {
        return format!("unknown field: did you mean `{near}`?");
    }
    match field_tables::table_with_field(key) {
        Some(other) => format!("unknown field: it stands in {}", other.place),
        None => "unknown field".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_and_another_word_finds_none() {
        let fields = ["hostNetwork", "env", "volumeMounts", "resources", "securityContext", "image"];
        for (slip, name) in [
            ("hostNetwrok", "hostNetwork"),
            ("enviroment", "env"),
            ("volumeMount", "volumeMounts"),
            ("resource", "resources"),
            ("securitycontext", "securityContext"),
            ("imgae", "image"),
        ] {
            assert_eq!(nearest_word(slip, fields.into_iter()), Some(name), "{slip}");
        }
        for other in ["", "x", "replicas", "selector", &"x".repeat(10_000)] {
            assert_eq!(nearest_word(other, fields.into_iter()), None, "{other}");
        }
    }
}
