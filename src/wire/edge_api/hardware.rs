//! What the edge API wants to know of a device: its `hardware-info`, as far as this agent can tell.
//!
//! `None` is "not known" and left out; an empty list is "there is none" and sent. The swagger's `bootable`,
//! `is_installation_media`, `smart`, `io_perf`, `biosdevname` and `client_id` have no field here: finding them
//! out takes helper programs or reading disks.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// The longest label on Kubernetes.
const MAX_LABEL_BYTES: usize = 63;

/// A device's hardware. An empty one must not be sent: it overwrites what the server knew.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)] // the swagger's names
pub struct Hardware {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_as_label")]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_vendor: Option<SystemVendor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disks: Option<Vec<Disk>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<Interface>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Vec<Gpu>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_devices: Option<Vec<HostDevice>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
}

/// How the device was booted.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Boot {
    /// `uefi` or `bios`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_boot_mode: Option<String>,
    /// The interface it was booted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pxe_interface: Option<String>,
}

/// Who made the device.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct SystemVendor {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_as_label")]
    pub manufacturer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_as_label")]
    pub product_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_as_label")]
    pub serial_number: Option<String>,
    /// Whether it is a virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#virtual: Option<bool>,
}

/// The processors.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Cpu {
    /// As `uname -m` says.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_as_label")]
    pub architecture: Option<String>,
    /// Those online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_as_label")]
    pub model_name: Option<String>,
    /// The highest, in MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<f64>,
    /// Always sent: the server's own store refuses a device without.
    pub flags: Vec<String>,
}

/// The memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Memory {
    /// What is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical_bytes: Option<u64>,
    /// What the kernel can give out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usable_bytes: Option<u64>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Disk {
    /// `by_id`, else `by_path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_path: Option<String>,
    /// `HDD`, `SSD`, `ODD` (optical) or `FDD` (floppy).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drive_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// SCSI host, channel, target and LUN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hctl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Interface {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// With prefix length, like `192.0.2.2/24`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv4_addresses: Vec<String>,
    /// With prefix length, without link-local ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv6_addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_carrier: Option<bool>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_mbps: Option<u32>,
    /// Always sent, as in [`Cpu`].
    pub flags: Vec<String>,
    /// The bus's id of the vendor, like `0x8086`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The bus's id of the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
}

/// A graphics processor.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Gpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// PCI id without `0x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// PCI id without `0x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// On its bus, like `0000:00:02.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct HostDevice {
    pub path: String,
    /// `block` or `char`.
    pub device_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<i32>,
    pub major: u32,
    pub minor: u32,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Mount {
    pub device: String,
    pub directory: String,
    pub r#type: String,
    pub options: String,
}

/// The edge API makes labels of some fields: it lower-cases them, takes out what no label may have, and fails if the rest
/// is too long, or has letters of other alphabets at its ends. What becomes no label is cleaned here; the rest is for
/// people and stays as it is.
fn sanitize_label(text: &str) -> Cow<'_, str> {
    let kept: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let is_end = |c: char| !c.is_ascii_alphanumeric();
    let kept = kept.trim_matches(is_end);
    if text.is_ascii() && kept.len() <= MAX_LABEL_BYTES {
        return text.into();
    }
    kept[..kept.len().min(MAX_LABEL_BYTES)].trim_end_matches(is_end).to_owned().into()
}

#[allow(clippy::ref_option)] // as serde calls it
fn serialize_as_label<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().map(sanitize_label).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_a_label_is_cut_and_cleaned_as_far_as_the_server_would_fail() {
        let long = format!("{}.{}", "a".repeat(62), "b".repeat(40));
        let cases = [
            ("shop-7", "shop-7"),
            ("Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz"),
            (&*long, &"a".repeat(62)),
            ("\u{e9}-box \u{e9}", "box"),
            ("\u{65e5}\u{672c}", ""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(sanitize_label(text), expected);
        }
        let words = "AMD Ryzen Embedded (tm) V1605B with Radeon Vega Gfx and a few more words than will do";
        assert_eq!(sanitize_label(words), "AMDRyzenEmbeddedtmV1605BwithRadeonVegaGfxandafewmorewordsthanwi");
        let cpu = Cpu { model_name: Some("x".repeat(100)), ..Cpu::default() };
        assert_eq!(serde_json::to_value(cpu).unwrap()["model_name"], "x".repeat(63));
    }
}
