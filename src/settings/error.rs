//! Why the settings can't be used.

use std::fmt;

use crate::agent::sanitize;

/// Why the settings can't be used: names key, source and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub(super) String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

/// `what`: the key, and where it was given, unless the cause says that. What looks like the login in a URL is not shown.
pub(super) fn settings_error(what: &str, items: &[String], cause: &str) -> SettingsError {
    let shown: Vec<_> = items
        .iter()
        .map(|item| sanitize::sanitize_line(&sanitize::without_login(item)).into_owned())
        .collect();
    SettingsError(format!("{what}, '{}'{cause}", shown.join(", ")))
}
