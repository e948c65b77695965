//! The table of rows and the table of fates hold together.

use device_worker_ng::wire::podspec::{
    field_support::{FieldSupport, FieldTable},
    field_tables::POD_SPEC_TABLES,
};

use super::{
    rows,
    table::{Ask, Pod, Row},
};

#[test]
fn each_field_that_is_obeyed_or_refused_has_a_row() {
    let pods = Pod::all();
    let rows = rows(&pods);
    let is_shown = |field: &str, is_refusal: bool| {
        let of_kind = |row: &&&Row| matches!(row.ask(), Ask::Refused(_)) == is_refusal;
        rows.iter().filter(of_kind).any(|row| row.fields().any(|it| it == field))
    };
    // what stands below a field without effect has none either
    let has_effect = |table: &&FieldTable| !table.place.ends_with("which has no effect");
    let mut missing = Vec::new();
    for table in POD_SPEC_TABLES.iter().filter(has_effect) {
        for name in table.field_names() {
            let field = format!("{}.{name}", table.kind);
            let (is_missing, what) = match table.field_support(name) {
                Some(FieldSupport::Obeyed) => (!is_shown(&field, false), "obeyed"),
                Some(FieldSupport::Refused(_)) => (!is_shown(&field, true), "refused"),
                _ => continue,
            };
            missing.extend(is_missing.then(|| format!("{field} is {what}")));
        }
    }
    assert!(missing.is_empty(), "no row shows that\n{}", missing.join("\n"));
}
