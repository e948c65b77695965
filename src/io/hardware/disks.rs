//! Disks: what can be opened as a block device and has hardware below it.

use super::tree::{HostFs, MAX_LIST_ITEMS, checked_byte_count, clean};
use crate::wire::edge_api::hardware::Disk;

/// /sys counts in these, whatever the disk's own sectors are.
const SECTOR: u64 = 512;

pub(super) fn disks(tree: &HostFs) -> Option<Vec<Disk>> {
    let by_id = links(tree, "dev/disk/by-id");
    let by_path = links(tree, "dev/disk/by-path");
    let disk = |name: &String| disk(tree, name, &by_id, &by_path);
    Some(tree.dir_entries("sys/block")?.iter().filter_map(disk).take(MAX_LIST_ITEMS).collect())
}

fn disk(tree: &HostFs, name: &str, by_id: &[Link], by_path: &[Link]) -> Option<Disk> {
    let base = format!("sys/block/{name}");
    let line = |file: &str| tree.first_line(&format!("{base}/{file}"));
    let is = |file: &str, value: &str| line(file).as_deref() == Some(value);
    // Loops, RAM disks, RAIDs and mapped devices have no device; a path to an NVMe namespace is hidden; the
    // boot areas of an eMMC belong to it; without sectors there is a drive, but no disk in it.
    let is_part = name.starts_with("mmcblk") && name.contains("boot");
    if !tree.has(&format!("{base}/device")) || is("hidden", "1") || is_part || is("size", "0") {
        return None;
    }
    // NVMe, eMMC and virtio tell their serial number in a file, SCSI by a page with four bytes before it
    let page = || {
        let page = tree.bytes(&format!("{base}/device/vpd_pg80"))?;
        clean(&String::from_utf8_lossy(page.get(4..)?))
    };
    let by_id = by_id.iter().filter(|link| link.disk == name);
    let by_id =
        by_id.min_by_key(|link| !(link.name.starts_with("wwn-") || link.name.starts_with("nvme-eui.")));
    let by_id = by_id.map(|link| format!("/dev/disk/by-id/{}", link.name));
    let by_path = by_path.iter().find(|link| link.disk == name);
    let by_path = by_path.map(|link| format!("/dev/disk/by-path/{}", link.name));
    let wwid = line("device/wwid").or_else(|| line("wwid"));
    Some(Disk {
        id: by_id.clone().or_else(|| by_path.clone()),
        name: Some(name.into()),
        // a kernel name can't have a slash in it
        path: Some(format!("/dev/{}", name.replace('!', "/"))),
        by_id,
        by_path,
        drive_type: drive_type(name, &line).map(str::to_owned),
        // a number is the bus's id, not a name
        vendor: line("device/vendor").filter(|vendor| !vendor.starts_with("0x")),
        model: line("device/model").or_else(|| line("device/name")),
        serial: line("device/serial").or_else(|| line("serial")).or_else(page),
        wwn: wwid.and_then(|wwid| match wwid.strip_prefix("naa.") {
            Some(number) => Some(format!("0x{number}")),
            None => wwid.starts_with("eui.").then_some(wwid),
        }),
        hctl: tree.link_target(&format!("{base}/device")).filter(|target| is_hctl(target)),
        size_bytes: line("size").and_then(|size| checked_byte_count(size.parse().ok()?, SECTOR)),
    })
}

/// As the swagger's other users name them. Whether the disk behind a virtual machine's rotates, or a stick that
/// claims to, is unknown.
fn drive_type(name: &str, line: &dyn Fn(&str) -> Option<String>) -> Option<&'static str> {
    const SCSI_OPTICAL: &str = "5";
    if line("device/type").as_deref() == Some(SCSI_OPTICAL) {
        return Some("ODD");
    }
    if name.starts_with("fd") {
        return Some("FDD");
    }
    let is_virtual = name.starts_with("vd") || name.starts_with("xvd");
    match line("queue/rotational")?.as_str() {
        "0" if !is_virtual => Some("SSD"),
        "1" if !is_virtual && line("removable").as_deref() != Some("1") => Some("HDD"),
        _ => None,
    }
}

fn is_hctl(text: &str) -> bool {
    text.split(':').count() == 4 && text.split(':').all(|number| number.parse::<u64>().is_ok())
}

/// A name that udev gave to a disk or a partition.
struct Link {
    name: String,
    disk: String,
}

fn links(tree: &HostFs, directory: &str) -> Vec<Link> {
    let names = tree.dir_entries(directory).unwrap_or_default();
    let link = |name: String| {
        let disk = tree.link_target(&format!("{directory}/{name}"))?;
        Some(Link { name, disk })
    };
    names.into_iter().filter_map(link).collect()
}
