//! Names as Kubernetes allows them (RFC 1123), checked where they are read.

use serde::Deserialize;

use crate::agent::sanitize;

/// Whether this is a lower-case DNS-1123 label: letters, digits and inner hyphens, at most 63 of them.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

/// Whether this is a lower-case DNS-1123 subdomain: at most 253 characters, the parts between its dots like
/// labels. Kubernetes doesn't bound the parts on their own.
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_of_any_length)
}

/// Whether this can be a label's value, or the end of its key.
pub(super) fn is_label_value(text: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && is_outer(bytes.first()) && is_outer(bytes.last()) && bytes.iter().all(is_inner)
}

fn is_label_of_any_length(name: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') && name.as_bytes().iter().all(is_inner)
}

/// The types of texts of a certain form, each with what tells why another text isn't one.
macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident: $check:expr,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(pub String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let problem: Option<String> = $check(&text);
                problem.map_or(Ok(Self(text)), Err)
            }
        }
    )*};
}

forms! {
    /// A DNS-1123 label: what namespaces and volumes are named by.
    Label: |name| (!is_dns_label(name)).then(|| {
        match name.len() {
            64.. => format!("a name of {} bytes is too long: at most 63", name.len()),
            _ => format!("`{name}` can't be a name: it takes 1 to 63 lower-case letters, digits and inner hyphens"),
        }
    }),
    /// A DNS-1123 subdomain: what most Kubernetes resources are named by.
    Subdomain: |name| (!is_dns_subdomain(name)).then(|| {
        match name.len() {
            254.. => format!("a name of {} bytes is too long: at most 253", name.len()),
            _ => format!("`{name}` can't be a name: it takes lower-case letters, digits, inner hyphens and inner dots"),
        }
    }),
    /// A key of a `ConfigMap` or `Secret`, which may become the name of a file.
    Key: |key| (!is_config_map_key(key)).then(|| format!("{key:?} {KEY_ERROR}")),
    /// A path below a volume, as Kubernetes has it.
    Below: |path| (!is_relative_below(path)).then(|| "must be a relative path without `..`".to_owned()),
    /// What a container may be called: anything that can be shown. Each engine gets a name that it allows.
    Shown: |name| check_display_name(name).err().map(str::to_owned),
    /// A text in which something stands.
    Filled: |text: &str| text.trim().is_empty().then(|| "must not be empty".to_owned()),
}

pub(super) const KEY_ERROR: &str = "is no key: it takes letters, digits, `-`, `_` and `.`";

/// As Kubernetes has it.
pub(super) fn is_config_map_key(key: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&key.len()) && key != "." && !key.starts_with("..") && key.bytes().all(is_fine)
}

fn is_relative_below(path: &str) -> bool {
    let is_relative = !path.is_empty() && !path.starts_with('/') && !path.starts_with("..");
    is_relative && !path.contains('\0') && path.split('/').all(|part| part != "..")
}

/// Whether this can be a name that is only compared and shown: of a profile or a condition.
///
/// # Errors
/// Why not, without the name.
pub(super) fn check_display_name(name: &str) -> Result<(), &'static str> {
    match name {
        _ if name.trim().is_empty() => Err("must not be empty"),
        _ if name.len() > 253 => Err("is longer than 253 bytes"),
        _ if name.contains(is_unprintable) => Err("holds characters that can't be shown on a line"),
        _ => Ok(()),
    }
}

/// What can't be shown, and what stands for it.
pub(super) fn is_unprintable(c: char) -> bool {
    sanitize::is_hidden(c) || matches!(c, '\u{fffc}' | '\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_letters_digits_and_inner_hyphens_make_a_label() {
        for good in ["a", "0", "web-1", "x".repeat(63).as_str()] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", "a b", "x".repeat(64).as_str()] {
            assert!(!is_dns_label(bad), "{bad}");
        }
    }

    #[test]
    fn a_subdomain_is_labels_joined_by_dots() {
        assert!(is_dns_subdomain("kube-root-ca.crt") && is_dns_subdomain("pi"));
        for bad in ["", ".", "a.", ".a", "a..b", "A.b", "x.".repeat(127).as_str()] {
            assert!(!is_dns_subdomain(bad), "{bad}");
        }
    }
}
