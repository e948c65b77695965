//! The names that hardware has in expressions: which there are, as `grammar/condition.pest` says.

use crate::agent::sanitize::is_hidden;

const PREFIX: &str = "device.present(\"";
/// The longest, in bytes.
const MAX_LENGTH: usize = 255;

/// What an expression asks for by this name.
pub fn parse_hardware_metric(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)?.strip_suffix("\")")
}

/// By which name an expression asks for it.
pub(super) fn hardware_metric_name(hardware: &str) -> String {
    [PREFIX, hardware, "\")"].concat()
}

/// Why there can't be such a thing, and behind how many bytes that is seen.
pub(super) fn check_hardware_name(hardware: &str) -> Result<(), (usize, &'static str)> {
    if hardware.len() > MAX_LENGTH {
        return Err((0, "the name of a device has at most 255 bytes"));
    }
    if let Some(at) = hardware.find(|c: char| c.is_whitespace() || is_hidden(c)) {
        return Err((at, "the name of a device has no blank or invisible characters"));
    }
    let is_number = |text: &str| text.len() == 4 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let reason = if let Some(ids) = hardware.strip_prefix("usb:") {
        match ids.split_once(':') {
            Some((vendor, product)) if is_number(vendor) && is_number(product) => return Ok(()),
            _ => "expected vendor and product of four hexadecimal digits each: usb:1a86:7523",
        }
    } else if let Some(interface) = hardware.strip_prefix("net:") {
        match interface {
            "" | "." | ".." => "expected a network interface: net:eth1",
            _ if interface.len() > 15 || interface.contains(['/', ':']) => {
                "a network interface has at most 15 bytes, without a slash or a colon"
            }
            _ => return Ok(()),
        }
    } else if let Some(path) = hardware.strip_prefix("/dev/") {
        let first = path.split('/').next().unwrap_or_default();
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            "a path below /dev has neither `.`, `..` nor nothing between its slashes"
        } else if matches!(first, "shm" | "pts" | "fd" | "mqueue") {
            "the kernel doesn't announce what comes and goes here"
        } else {
            return Ok(());
        }
    } else {
        "expected a path below /dev, usb: with vendor and product, or net: with an interface"
    };
    Err((0, reason))
}
