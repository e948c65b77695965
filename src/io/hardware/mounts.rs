//! Mounted file systems that keep something: disks and network shares.

use std::collections::BTreeSet;

use super::tree::{HostFs, MAX_LIST_ITEMS};
use crate::wire::edge_api::hardware::Mount;

/// Their devices are names rather than paths.
const STORAGE_FS_TYPES: [&str; 8] = ["9p", "ceph", "glusterfs", "nfs", "nfs4", "ubifs", "virtiofs", "zfs"];

pub(super) fn file_systems(tree: &HostFs) -> Option<Vec<Mount>> {
    // A service of systemd sees the machine's mounts made read-only: ask the first process.
    let table = tree.text("proc/1/mounts").or_else(|| tree.text("proc/self/mounts"))?;
    let mut seen = BTreeSet::new();
    // Seen again it is a part bound to another place, as podman does all the time; except for subvolumes.
    let is_first = |mount: &Mount| {
        let subvolume = mount.options.split(',').find(|option| option.starts_with("subvol="));
        seen.insert((mount.device.clone(), subvolume.map(str::to_owned)))
    };
    Some(
        table
            .lines()
            .filter_map(parse_mount)
            .filter(is_storage_backed)
            .filter(is_first)
            .take(MAX_LIST_ITEMS)
            .collect(),
    )
}

fn parse_mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ').map(unescaped);
    let mut next = || fields.next().filter(|field| !field.is_empty());
    Some(Mount { device: next()?, directory: next()?, r#type: next()?, options: next()? })
}

fn is_storage_backed(mount: &Mount) -> bool {
    mount.directory == "/" || mount.device.starts_with('/') || STORAGE_FS_TYPES.contains(&&*mount.r#type)
}

/// Blanks and the like are written as a backslash and three octal digits.
pub(super) fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &rest[4..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
