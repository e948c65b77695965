//! What this device is made of, as /proc, /sys and /dev tell: read when it is asked for, forgotten afterwards.
//!
//! | part | where |
//! |---|---|
//! | reading within bounds | `tree` |
//! | processors and memory | `processor` |
//! | boot mode, vendor, host name | `machine` |
//! | disks | `disks` |
//! | network interfaces, their addresses | `interfaces`, `addresses` |
//! | graphics | `graphics` |
//! | device nodes, mounted file systems | `nodes`, `mounts` |
//!
//! Nothing here fails: a file that is missing, garbled or not allowed leaves its own field out.

mod addresses;
mod disks;
mod graphics;
mod interfaces;
mod machine;
mod mounts;
mod nodes;
mod processor;
#[cfg(test)]
mod tests;
mod tree;

use std::path::Path;

use crate::wire::edge_api::hardware::Hardware;
use addresses::Address;
use tree::HostFs;

/// The hardware of this device.
pub fn inventory() -> Hardware {
    collect(Path::new("/"), &addresses::interface_addresses())
}

/// The hardware that the files under `root` speak of. Interfaces have no addresses: only the kernel itself knows
/// those.
pub fn inventory_at(root: &Path) -> Hardware {
    collect(root, &[])
}

fn collect(root: &Path, addresses: &[Address]) -> Hardware {
    let tree = HostFs::new(root);
    let cpu = processor::cpu(&tree);
    Hardware {
        hostname: machine::hostname(&tree),
        boot: machine::boot_info(&tree),
        system_vendor: machine::vendor(&tree, &cpu),
        memory: processor::memory(&tree),
        disks: disks::disks(&tree),
        interfaces: interfaces::interfaces(&tree, addresses),
        gpus: graphics::gpus(&tree),
        host_devices: nodes::device_nodes(&tree),
        mounts: mounts::file_systems(&tree),
        cpu: Some(cpu),
    }
}
