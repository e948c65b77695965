//! The machine as a whole: who made it, how it was booted, what it is called.

use super::tree::{HostFs, clean};
use crate::wire::edge_api::hardware::{Boot, Cpu, SystemVendor};

/// The firmware's own description, on PCs and servers.
const DMI_DIR: &str = "sys/class/dmi/id";
/// The board's description, on nearly everything else.
const DEVICE_TREE_DIR: &str = "sys/firmware/devicetree/base";

pub(super) fn hostname(tree: &HostFs) -> Option<String> {
    tree.first_line("proc/sys/kernel/hostname").filter(|name| name != "(none)")
}

/// Without EFI only a machine with DMI was booted by a BIOS: others have neither.
pub(super) fn boot_info(tree: &HostFs) -> Option<Boot> {
    let mode = match tree.has("sys/firmware/efi") {
        true => Some("uefi"),
        false => tree.has(DMI_DIR).then_some("bios"),
    };
    let boot = Boot { current_boot_mode: mode.map(str::to_owned), pxe_interface: pxe_interface(tree) };
    (boot != Boot::default()).then_some(boot)
}

/// PXELINUX adds `BOOTIF=01-` and the interface's address to the kernel's arguments.
fn pxe_interface(tree: &HostFs) -> Option<String> {
    let arguments = tree.text("proc/cmdline")?;
    let address =
        arguments.split_whitespace().find_map(|it| it.strip_prefix("BOOTIF=01-"))?.replace('-', ":");
    let is_it = |name: &String| {
        tree.first_line(&format!("sys/class/net/{name}/address"))
            .is_some_and(|it| it.eq_ignore_ascii_case(&address))
    };
    tree.dir_entries("sys/class/net")?.into_iter().find(is_it)
}

pub(super) fn vendor(tree: &HostFs, cpu: &Cpu) -> Option<SystemVendor> {
    let dmi =
        |name: &str| tree.first_line(&format!("{DMI_DIR}/{name}")).filter(|value| !is_placeholder(value));
    let board = |name: &str| tree.text(&format!("{DEVICE_TREE_DIR}/{name}")).and_then(|value| clean(&value));
    // like "raspberrypi,4-model-b", the most exact one first
    let compatible = || {
        let list = tree.text(&format!("{DEVICE_TREE_DIR}/compatible"))?;
        clean(list.split('\0').next()?.split_once(',')?.0)
    };
    let mut vendor = SystemVendor {
        manufacturer: dmi("sys_vendor").or_else(compatible),
        product_name: dmi("product_name").or_else(|| board("model")),
        serial_number: dmi("product_serial").or_else(|| board("serial-number")),
        r#virtual: None,
    };
    vendor.r#virtual = is_virtual(tree, cpu, &vendor);
    (vendor != SystemVendor::default()).then_some(vendor)
}

/// Board makers leave their firmware's form blank.
fn is_placeholder(value: &str) -> bool {
    const PLACEHOLDERS: [&str; 11] = [
        "to be filled by o.e.m.",
        "default string",
        "not specified",
        "not applicable",
        "system manufacturer",
        "system product name",
        "system serial number",
        "none",
        "unknown",
        "n/a",
        "0123456789",
    ];
    PLACEHOLDERS.iter().any(|it| value.eq_ignore_ascii_case(it))
}

/// A virtual machine says so somewhere; a machine that says something else is a real one.
fn is_virtual(tree: &HostFs, cpu: &Cpu, vendor: &SystemVendor) -> Option<bool> {
    const VIRTUAL_VENDORS: [&str; 13] = [
        "QEMU",
        "KVM",
        "VMware",
        "VirtualBox",
        "Virtual Machine",
        "HVM domU",
        "Xen",
        "AHV",
        "Bochs",
        "BHYVE",
        "Parallels",
        "Google Compute Engine",
        "linux,dummy-virt",
    ];
    let names = [&vendor.manufacturer, &vendor.product_name];
    let by_name =
        names.into_iter().flatten().any(|name| VIRTUAL_VENDORS.iter().any(|maker| name.contains(maker)));
    let by_hypervisor = tree.has("sys/hypervisor/type") || tree.has(&format!("{DEVICE_TREE_DIR}/hypervisor"));
    let flagged = |name: &str| cpu.flags.iter().any(|flag| flag == name);
    if by_name || by_hypervisor || flagged("hypervisor") {
        return Some(true);
    }
    // a PC without DMI has at least this flag
    let is_known = vendor.product_name.is_some() || flagged("fpu");
    is_known.then_some(false)
}
