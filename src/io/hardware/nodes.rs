//! Device nodes that a workload could be given.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use rustix::fs::{major, minor};

use super::tree::HostFs;
use crate::wire::edge_api::hardware::HostDevice;

/// Devices that are reported at most.
const MAX_DEVICES: usize = 1024;
/// /dev/bus/usb/001/002 is four deep.
const DEPTH: usize = 5;

pub(super) fn device_nodes(tree: &HostFs) -> Option<Vec<HostDevice>> {
    let file_system = fs::metadata(tree.path("dev")).ok()?.dev();
    let mut nodes = Vec::new();
    walk(tree, "dev", file_system, DEPTH, &mut nodes);
    Some(nodes)
}

/// Stays on one file system: terminals (/dev/pts) come and go with every login.
fn walk(tree: &HostFs, directory: &str, file_system: u64, depth: usize, nodes: &mut Vec<HostDevice>) {
    for name in tree.dir_entries(directory).unwrap_or_default() {
        if nodes.len() >= MAX_DEVICES {
            return;
        }
        let path = format!("{directory}/{name}");
        // symbolic links are only other names
        let Ok(metadata) = fs::symlink_metadata(tree.path(&path)) else { continue };
        match metadata.is_dir() {
            true if depth > 0 && metadata.dev() == file_system => {
                walk(tree, &path, file_system, depth - 1, nodes);
            }
            true => {}
            false => nodes.extend(device_node(&path, &metadata)),
        }
    }
}

fn device_node(path: &str, metadata: &Metadata) -> Option<HostDevice> {
    let file_type = metadata.file_type();
    let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
    // Not hardware: RAM disks, loops, zram; old pseudo terminals, consoles and their memory. Source: Linux,
    // Documentation/admin-guide/devices.txt.
    let device_type = match (file_type.is_block_device(), major, minor) {
        (true, 1 | 7, _) => return None,
        (true, ..) if Path::new(path).file_name()?.to_str()?.starts_with("zram") => return None,
        (true, ..) => "block",
        (false, ..) if !file_type.is_char_device() => return None,
        (false, 2 | 3 | 7, _) | (false, 4, 0..64) => return None,
        (false, ..) => "char",
    };
    Some(HostDevice {
        path: format!("/{path}"),
        device_type: device_type.into(),
        // the server's store has 32 bits and a sign
        uid: metadata.uid().try_into().ok(),
        gid: metadata.gid().try_into().ok(),
        major,
        minor,
    })
}
