//! Names as Kubernetes allows them (RFC 1123), checked where they are read.

use serde::Deserialize;

use crate::agent::legible;

/// Whether this is a lower-case DNS-1123 label: letters, digits and inner hyphens, at most 63 of them.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

/// Whether this is a lower-case DNS-1123 subdomain: at most 253 characters, the parts between its dots like
/// labels. Kubernetes doesn't bound the parts on their own.
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_of_any_length)
}

fn is_label_of_any_length(name: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') && name.as_bytes().iter().all(is_inner)
}

/// A DNS-1123 label: what workloads and containers are named by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Label(pub String);

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if is_dns_label(&name) {
            return Ok(Self(name));
        }
        Err(format!(
            "`{name}` can't be a name: it takes 1 to 63 lower-case letters, digits and inner hyphens"
        ))
    }
}

/// A DNS-1123 subdomain: what most Kubernetes resources are named by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Subdomain(pub String);

impl TryFrom<String> for Subdomain {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if is_dns_subdomain(&name) {
            return Ok(Self(name));
        }
        Err(format!(
            "`{name}` can't be a name: it takes lower-case letters, digits, inner hyphens and inner dots"
        ))
    }
}

/// A key of a `ConfigMap` or `Secret`, which may become the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Key(pub String);

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(key: String) -> Result<Self, String> {
        if is_key(&key) { Ok(Self(key)) } else { Err(format!("{key:?} {NO_KEY}")) }
    }
}

pub(super) const NO_KEY: &str = "is no key: it takes letters, digits, `-`, `_` and `.`";

/// As Kubernetes has it.
pub(super) fn is_key(key: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&key.len()) && key != "." && !key.starts_with("..") && key.bytes().all(is_fine)
}

/// A path below a volume, as Kubernetes has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Below(pub String);

impl TryFrom<String> for Below {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        let is_bad = path.is_empty() || path.starts_with('/') || path.starts_with("..");
        if is_bad || path.contains('\0') || path.split('/').any(|part| part == "..") {
            return Err("must be a relative path without `..`");
        }
        Ok(Self(path))
    }
}

/// What a container may be called: anything that can be shown. Each engine gets a name that it allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Shown(pub String);

impl TryFrom<String> for Shown {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        check_shown(&name).map(|()| Self(name))
    }
}

/// Whether this can be a name that is only compared and shown: of a profile or a condition.
///
/// # Errors
/// Why not, without the name.
pub(super) fn check_shown(name: &str) -> Result<(), &'static str> {
    match name {
        _ if name.trim().is_empty() => Err("must not be empty"),
        _ if name.len() > 253 => Err("is longer than 253 bytes"),
        _ if name.contains(is_hidden) => Err("holds characters that can't be shown on a line"),
        _ => Ok(()),
    }
}

/// What can't be shown, and what stands for it.
pub(super) fn is_hidden(c: char) -> bool {
    legible::is_hidden(c) || matches!(c, '\u{fffc}' | '\u{fffd}')
}

/// A text in which something stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Filled(pub String);

impl TryFrom<String> for Filled {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() { Err("must not be empty") } else { Ok(Self(text)) }
    }
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
