//! Graphics processors: on PCI, or part of a small board's chip.

use super::tree::{HostFs, MAX_LIST_ITEMS};
use crate::wire::edge_api::hardware::Gpu;

const PCI_DEVICES_DIR: &str = "sys/bus/pci/devices";
const DRM_DIR: &str = "sys/class/drm";
/// PCI's base class of display controllers.
const DISPLAY_CLASS_PREFIX: &str = "0x03";

pub(super) fn gpus(tree: &HostFs) -> Option<Vec<Gpu>> {
    let (cards, chips) = (tree.dir_entries(PCI_DEVICES_DIR), tree.dir_entries(DRM_DIR));
    if cards.is_none() && chips.is_none() {
        return None;
    }
    let cards = cards.into_iter().flatten().filter_map(|address| pci_gpu(tree, address));
    let mut gpus: Vec<Gpu> = cards.take(MAX_LIST_ITEMS).collect();
    for name in chips.into_iter().flatten() {
        let gpu =
            device_tree_gpu(tree, &name).filter(|gpu| !gpus.contains(gpu) && gpus.len() < MAX_LIST_ITEMS);
        gpus.extend(gpu);
    }
    Some(gpus)
}

fn pci_gpu(tree: &HostFs, address: String) -> Option<Gpu> {
    let line = |file: &str| tree.first_line(&format!("{PCI_DEVICES_DIR}/{address}/{file}"));
    if !line("class")?.starts_with(DISPLAY_CLASS_PREFIX) {
        return None;
    }
    let id = |file| line(file).map(|id| id.trim_start_matches("0x").to_owned());
    let vendor_id = id("vendor");
    Some(Gpu {
        vendor: vendor_id.as_deref().and_then(vendor).map(str::to_owned),
        vendor_id,
        name: None, // takes a data base of 1.4 MB
        device_id: id("device"),
        address: Some(address),
    })
}

/// Source: pci.ids.
fn vendor(id: &str) -> Option<&'static str> {
    match id {
        "1002" => Some("Advanced Micro Devices, Inc. [AMD/ATI]"),
        "102b" => Some("Matrox Electronics Systems Ltd."),
        "10de" => Some("NVIDIA Corporation"),
        "1234" => Some("QEMU"), // not registered
        "15ad" => Some("VMware"),
        "1a03" => Some("ASPEED Technology, Inc."),
        "1af4" => Some("Red Hat, Inc."),
        "1b36" => Some("Red Hat, Inc."),
        "8086" => Some("Intel Corporation"),
        _ => None,
    }
}

/// A `cardN` that the device tree describes, like "brcm,bcm2711-vc5".
fn device_tree_gpu(tree: &HostFs, name: &str) -> Option<Gpu> {
    name.strip_prefix("card")?.parse::<u32>().ok()?; // cardN-HDMI-A-1 is a connector
    let uevent = tree.text(&format!("{DRM_DIR}/{name}/device/uevent"))?;
    let compatible = uevent.lines().find_map(|line| line.strip_prefix("OF_COMPATIBLE_0="))?;
    let (vendor, name_of_chip) = compatible.split_once(',')?;
    Some(Gpu {
        vendor: super::tree::clean(vendor),
        name: super::tree::clean(name_of_chip),
        address: tree.link_target(&format!("{DRM_DIR}/{name}/device")),
        ..Gpu::default()
    })
}
