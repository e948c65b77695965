//! Values that a text or a number alone doesn't check: quantities, modes, ports, names, paths.

use core::net::IpAddr;

#[cfg(test)]
use serde_json::json;
use serde_json::{Map, Value};

use super::reader::{FindingClass, Read, ReadContext};
#[cfg(test)]
use super::schema::Schema;
use crate::agent::model::quantity;
pub use crate::wire::dns_names::{Below, Filled, Key, Label, Shown, Subdomain};

/// A whole number within bounds; without one 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BoundedInt<const LEAST: i64, const MOST: i64>(pub i64);

impl<const LEAST: i64, const MOST: i64> Read for BoundedInt<LEAST, MOST> {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        Self(notes.integer(value, LEAST, MOST))
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// How often, or for how many seconds.
pub type Count = BoundedInt<0, 2_147_483_647>;
/// A user or a group.
pub type UnixId = BoundedInt<0, 2_147_483_647>;

/// The number of a port; 0 where none is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PortNumber<const LEAST: i64>(pub u16);

impl<const LEAST: i64> Read for PortNumber<LEAST> {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        Self(u16::try_from(notes.integer(value, LEAST, 65_535)).unwrap_or(0))
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "integer", "minimum": LEAST, "maximum": 65_535 })
    }
}

/// A port that must be given.
pub type Port = PortNumber<1>;
/// A port of the host: 0 says that there is none.
pub type HostPortNumber = PortNumber<0>;

/// A port by its number or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortNumberOrName {
    /// From 1; 0 where none stands.
    Number(u16),
    /// That of a port of the container.
    Name(String),
}

impl Default for PortNumberOrName {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Read for PortNumberOrName {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        match value {
            Value::Null => Self::default(),
            Value::String(name) => Self::Name(name.clone()),
            _ => match value.as_u64().and_then(|port| u16::try_from(port).ok()) {
                Some(port @ 1..) => Self::Number(port),
                _ => {
                    let message = format!("must be from 1 to 65535 or the name of a port, not {value}");
                    notes.add(FindingClass::Shape, message);
                    Self::default()
                }
            },
        }
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": ["integer", "string"], "minimum": 1, "maximum": 65_535 })
    }
}

/// An amount, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quantity(pub String);

impl Quantity {
    /// Rounded up.
    pub fn bytes(&self) -> Option<u64> {
        quantity::parse_bytes(&self.0)
    }

    /// Rounded up: of a core, for example.
    pub fn thousandths(&self) -> Option<u64> {
        quantity::parse_thousandths(&self.0)
    }
}

impl Read for Quantity {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let text = match value {
            Value::Null => return Self::default(),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => {
                notes.add_shape_error("a quantity", value);
                return Self::default();
            }
        };
        if quantity::parse_thousandths(&text).is_none() {
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let hint = match text.strip_prefix(number).unwrap_or_default() {
                _ if text.starts_with('-') => ": it can't be negative".to_owned(),
                "B" => format!(": write `{number}`"),
                "K" | "KB" => format!(": write `{number}k` or `{number}Ki`"),
                unit @ ("MB" | "GB" | "TB" | "mb" | "gb" | "MiB" | "GiB") => {
                    let letter = unit[..1].to_ascii_uppercase();
                    format!(": write `{number}{letter}` or `{number}{letter}i`")
                }
                "g" | "t" => format!(": write `{number}{}`", text[number.len()..].to_ascii_uppercase()),
                _ => ": it is a number with perhaps one of m, k, M, G, T, Ki, Mi, Gi, Ti".to_owned(),
            };
            notes.add(FindingClass::Value, format!("`{text}` is no quantity{hint}"));
            return Self::default();
        }
        Self(text)
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": ["string", "number"] })
    }
}

/// Resources and how much of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceList(pub Vec<(String, Quantity)>);

impl ResourceList {
    /// How much of this resource.
    pub fn get(&self, resource: &str) -> Option<&Quantity> {
        self.0.iter().find(|(name, _)| name == resource).map(|(_, amount)| amount)
    }
}

impl Read for ResourceList {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let fields = notes.expect_any_mapping(value);
        let names = fields.into_iter().flat_map(Map::keys);
        Self(names.map(|name| (name.clone(), notes.read_field(fields, name))).collect())
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "object", "additionalProperties": { "type": ["string", "number"] } })
    }
}

/// Permissions: a number, or text as people write it in YAML (`0400`).
pub(in crate::wire) fn parse_mode(value: &Value) -> Option<u32> {
    let mode = match value {
        Value::String(octal) => u32::from_str_radix(octal.trim_start_matches("0o"), 8).ok(),
        other => other.as_u64().and_then(|mode| u32::try_from(mode).ok()),
    };
    mode.filter(|mode| *mode <= 0o777)
}

/// The permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileMode(pub u32);

impl Read for FileMode {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        if value.is_null() {
            return Self(0);
        }
        Self(parse_mode(value).unwrap_or_else(|| {
            notes.add(FindingClass::Value, format!("must be from 0 to 0777 (511), not {value}"));
            0
        }))
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": ["integer", "string"], "minimum": 0, "maximum": 0o777, "pattern": "^(0o?)?[0-7]{1,3}$" })
    }
}

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpAddressText(pub IpAddr);

impl Default for IpAddressText {
    fn default() -> Self {
        Self(IpAddr::from([0; 4]))
    }
}

impl Read for IpAddressText {
    const CAN_BE_EMPTY: bool = true;

    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        notes.parse_text(value, |text| {
            text.parse()
                .map(Self)
                .map_err(|_| format!("must be an address, as 192.0.2.1 or fd00::1, not `{text}`"))
        })
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "string" })
    }
}

macro_rules! named {
    ($($name:ident),*) => { $(
        impl Read for $name {
            fn read(value: &Value, notes: &mut ReadContext) -> Self {
                let text = notes.expect_text(value);
                if !value.is_string() {
                    return Self::default();
                }
                Self::try_from(text.to_owned()).unwrap_or_else(|why| {
                    notes.add(FindingClass::Shape, why.to_string());
                    Self::default()
                })
            }

            #[cfg(test)]
            fn schema(_: &mut Schema) -> Value {
                json!({ "type": "string", "minLength": 1 })
            }
        }
    )* };
}

named!(Below, Filled, Key, Label, Shown, Subdomain);

/// The name of a port: of a service, as the IANA lists them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IanaServiceName(pub String);

impl Read for IanaServiceName {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        notes.parse_text(value, |text| {
            let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let is_name = text.len() <= 15
                && text.bytes().all(is_fine)
                && text.bytes().any(|byte| byte.is_ascii_lowercase())
                && !text.contains("--")
                && !text.starts_with('-')
                && !text.ends_with('-');
            if is_name || text.is_empty() {
                return Ok(Self(text.to_owned()));
            }
            Err(format!(
                "`{text}` can't name a port: it takes at most 15 lower-case letters, digits and single inner hyphens, \
                 and one letter at least"
            ))
        })
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "string", "maxLength": 15 })
    }
}

/// A path from the root on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbsolutePath(pub String);

impl Read for AbsolutePath {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        notes.parse_text(value, |text| match text {
            _ if !text.starts_with('/') => Err(format!("must be an absolute path, not `{text}`")),
            _ if text.contains('\0') => Err("holds a character that no path can hold".to_owned()),
            _ => Ok(Self(text.to_owned())),
        })
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "string", "pattern": "^/" })
    }
}
