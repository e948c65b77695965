//! Prepared trees of files, and this machine.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::symlink,
};

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use super::{
    addresses::{self, Address, DumpProgress},
    collect, inventory, inventory_at,
    mounts::unescaped,
    processor::cpus_in_list,
};
use crate::io::test_tree::test_tree;

/// Files with their content; a content that starts with `-> ` is a symbolic link.
type Files = [(&'static str, &'static str)];

const PC: &Files = &[
    ("proc/sys/kernel/hostname", "shop-7\n"),
    ("proc/sys/kernel/arch", "x86_64\n"),
    ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) N100\ncpu MHz\t\t: 799.9\nflags\t\t: fpu sse\n"),
    ("proc/meminfo", "MemTotal:        8000000 kB\nMemFree:  1 kB\n"),
    ("proc/cmdline", "BOOT_IMAGE=/vmlinuz BOOTIF=01-00-1B-21-00-00-01\n"),
    (
        "proc/net/route",
        "Iface\tDestination\tGateway\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
    ),
    (
        "proc/1/mounts",
        "proc /proc proc rw 0 0\n/dev/sda2 / ext4 rw,relatime 0 0\ntmpfs /run tmpfs rw 0 0\n\
         /dev/sda2 /var/lib/containers/storage/overlay ext4 rw,relatime 0 0\n\
         nas:/music /mnt/my\\040music nfs4 ro 0 0\noverlay /merged overlay rw 0 0\ngarbled\n",
    ),
    ("sys/firmware/efi/systab", ""),
    ("sys/class/dmi/id/sys_vendor", "Shuttle Inc.\n"),
    ("sys/class/dmi/id/product_name", "To be filled by O.E.M.\n"),
    ("sys/class/dmi/id/product_serial", "S1234 \n"),
    ("sys/devices/system/cpu/online", "0-3\n"),
    ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "3400000\n"),
    ("sys/devices/system/cpu/cpufreq/policy1/cpuinfo_max_freq", "2500000\n"),
    ("sys/devices/system/memory/block_size_bytes", "8000000\n"),
    ("sys/devices/system/memory/memory0/state", "online\n"),
    ("sys/devices/system/memory/memory12/state", "online\n"),
    ("sys/block/sda/size", "1000\n"),
    ("sys/block/sda/queue/rotational", "1\n"),
    ("sys/block/sda/device", "-> ../../devices/pci0/0:0:1:0"),
    ("sys/devices/pci0/0:0:1:0/model", "WDC WD10EZEX    \n"),
    ("sys/devices/pci0/0:0:1:0/vendor", "ATA     \n"),
    ("sys/devices/pci0/0:0:1:0/type", "0\n"),
    ("sys/devices/pci0/0:0:1:0/wwid", "naa.50014ee2\n"),
    ("sys/devices/pci0/0:0:1:0/vpd_pg80", "\0\u{1}\0\u{8}  WD-42  "),
    ("sys/block/sr0/size", "0\n"),
    ("sys/block/sr0/device/type", "5\n"),
    ("sys/block/loop0/size", "8\n"),
    ("dev/disk/by-id/ata-WDC_WD10EZEX", "-> ../../sda"),
    ("dev/disk/by-id/wwn-0x50014ee2", "-> ../../sda"),
    ("dev/disk/by-id/wwn-0x50014ee2-part1", "-> ../../sda1"),
    ("dev/disk/by-path/pci-0000:00:17.0-ata-1", "-> ../../sda"),
    ("sys/class/net/eth0/address", "00:1b:21:00:00:01\n"),
    ("sys/class/net/eth0/ifindex", "2\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("sys/class/net/eth0/carrier", "1\n"),
    ("sys/class/net/eth0/flags", "0x1003\n"),
    ("sys/class/net/eth0/device/vendor", "0x8086\n"),
    ("sys/class/net/eth0/device/device", "0x15f3\n"),
    ("sys/class/net/br0/lower_eth0/mtu", "1500\n"),
    ("sys/class/net/br0/ifindex", "3\n"),
    ("sys/class/net/br0/speed", "-1\n"),
    ("sys/class/net/podman0/lower_veth0/mtu", "1500\n"),
    ("sys/class/net/veth0/mtu", "1500\n"),
    ("sys/class/net/lo/ifindex", "1\n"),
    ("sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n"),
    ("sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n"),
    ("sys/bus/pci/devices/0000:00:02.0/device", "0x46d1\n"),
    ("sys/bus/pci/devices/0000:00:17.0/class", "0x010601\n"),
];

const RASPBERRY_PI: &Files = &[
    ("proc/sys/kernel/arch", "aarch64\n"),
    (
        "proc/cpuinfo",
        "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n\
         processor\t: 1\nFeatures\t: fp asimd\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
    ),
    ("sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
    ("sys/firmware/devicetree/base/compatible", "raspberrypi,4-model-b\0brcm,bcm2711\0"),
    ("sys/firmware/devicetree/base/serial-number", "10000000abcdef01\0"),
    ("sys/block/mmcblk0/size", "2\n"),
    ("sys/block/mmcblk0/device/name", "SD32G\n"),
    ("sys/block/mmcblk0/device/serial", "0x1234\n"),
    ("sys/block/mmcblk0/queue/rotational", "0\n"),
    ("sys/block/mmcblk0boot0/device/name", "SD32G\n"),
    ("sys/class/drm/card0/device", "-> ../../../devices/gpu"),
    ("sys/class/drm/card0-HDMI-A-1/status", "connected\n"),
    ("sys/devices/gpu/uevent", "DRIVER=vc4-drm\nOF_COMPATIBLE_0=brcm,bcm2711-vc5\n"),
    ("sys/class/net/ppp0/mtu", "1492\n"),
    ("proc/net/route", "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"),
];

const CONTAINER: &Files = &[
    ("proc/cpuinfo", "processor : 0\nflags : fpu hypervisor\ncpu MHz : 2600\n"),
    ("proc/self/mounts", "overlay / overlay rw,lowerdir=/a 0 0\n/dev/vda /etc/hosts ext4 rw 0 0\n"),
    ("sys/block/vda/device/vendor", "0x1af4\n"),
    ("sys/block/vda/queue/rotational", "1\n"),
    ("sys/block/vda/serial", "root-disk"),
    ("sys/class/dmi/id/product_name", "KVM\n"),
];

fn told(files: &Files) -> Value {
    serde_json::to_value(inventory_at(test_tree(files).path())).unwrap()
}

fn address(interface: u32, ip: impl Into<IpAddr>, prefix: u8) -> Address {
    Address { interface, ip: ip.into(), prefix }
}

#[test]
fn a_pc_is_described_whole_in_the_servers_words() {
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let addresses = [
        address(1, Ipv4Addr::LOCALHOST, 8),
        address(2, link_local, 64),
        address(3, Ipv4Addr::new(192, 0, 2, 2), 24),
        address(3, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2), 64),
    ];
    let pc = collect(test_tree(PC).path(), &addresses);
    let expected = json!({
        "hostname": "shop-7",
        "boot": { "current_boot_mode": "uefi", "pxe_interface": "eth0" },
        "system_vendor": { "manufacturer": "Shuttle Inc.", "serial_number": "S1234", "virtual": false },
        "cpu": {
            "architecture": "x86_64", "count": 4, "model_name": "Intel(R) N100", "frequency": 3400.0,
            "flags": ["fpu", "sse"],
        },
        "memory": { "physical_bytes": 268_435_456, "usable_bytes": 8_192_000_000_u64 },
        "disks": [{
            "id": "/dev/disk/by-id/wwn-0x50014ee2", "name": "sda", "path": "/dev/sda",
            "by_id": "/dev/disk/by-id/wwn-0x50014ee2",
            "by_path": "/dev/disk/by-path/pci-0000:00:17.0-ata-1",
            "drive_type": "HDD", "vendor": "ATA", "model": "WDC WD10EZEX", "serial": "WD-42",
            "wwn": "0x50014ee2", "hctl": "0:0:1:0", "size_bytes": 512_000,
        }],
        "interfaces": [
            {
                "name": "br0", "ipv4_addresses": ["192.0.2.2/24"], "ipv6_addresses": ["2001:db8::2/64"],
                "flags": [],
            },
            {
                "name": "eth0", "mac_address": "00:1b:21:00:00:01", "has_carrier": true, "mtu": 1500,
                "speed_mbps": 1000, "flags": ["up", "broadcast", "multicast"], "vendor": "0x8086",
                "product": "0x15f3",
            },
        ],
        "gpus": [{
            "vendor": "Intel Corporation", "vendor_id": "8086", "device_id": "46d1", "address": "0000:00:02.0",
        }],
        "host_devices": [],
        "mounts": [
            { "device": "/dev/sda2", "directory": "/", "type": "ext4", "options": "rw,relatime" },
            { "device": "nas:/music", "directory": "/mnt/my music", "type": "nfs4", "options": "ro" },
        ],
    });
    assert_eq!(serde_json::to_value(pc).unwrap(), expected);
}

#[test]
fn a_board_is_known_by_its_device_tree() {
    let expected = json!({
        "system_vendor": {
            "manufacturer": "raspberrypi", "product_name": "Raspberry Pi 4 Model B Rev 1.4",
            "serial_number": "10000000abcdef01", "virtual": false,
        },
        "cpu": { "architecture": "aarch64", "count": 2, "model_name": "Cortex-A72", "flags": ["fp", "asimd"] },
        "disks": [{
            "name": "mmcblk0", "path": "/dev/mmcblk0", "drive_type": "SSD", "model": "SD32G",
            "serial": "0x1234", "size_bytes": 1024,
        }],
        "interfaces": [{ "name": "ppp0", "mtu": 1492, "flags": [] }],
        "gpus": [{ "vendor": "brcm", "name": "bcm2711-vc5", "address": "gpu" }],
    });
    assert_eq!(told(RASPBERRY_PI), expected);
}

#[test]
fn a_container_in_a_virtual_machine_claims_no_more_than_it_sees() {
    let expected = json!({
        "boot": { "current_boot_mode": "bios" },
        "system_vendor": { "product_name": "KVM", "virtual": true },
        "cpu": {
            "architecture": std::env::consts::ARCH, "count": 1, "frequency": 2600.0,
            "flags": ["fpu", "hypervisor"],
        },
        "disks": [{ "name": "vda", "path": "/dev/vda", "serial": "root-disk" }],
        "mounts": [
            { "device": "overlay", "directory": "/", "type": "overlay", "options": "rw,lowerdir=/a" },
            { "device": "/dev/vda", "directory": "/etc/hosts", "type": "ext4", "options": "rw" },
        ],
    });
    assert_eq!(told(CONTAINER), expected);
}

#[test]
fn a_device_that_tells_nothing_still_has_an_architecture() {
    assert_eq!(told(&[]), json!({ "cpu": { "architecture": std::env::consts::ARCH, "flags": [] } }));
}

#[test]
fn a_measured_frequency_is_left_out_because_it_is_never_the_same() {
    let told = told(&[("proc/cpuinfo", "cpu MHz : 2600.1\nflags : aperfmperf\n")]);
    assert_eq!(told["cpu"].get("frequency"), None);
}

#[test]
fn what_blocks_or_never_ends_is_not_read() {
    let root = test_tree(&[("proc/sys/kernel/hostname", "here"), ("proc/cpuinfo", "")]);
    mknodat(CWD, root.path().join("proc/meminfo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::File::options().write(true).open(root.path().join("proc/cpuinfo")).unwrap().set_len(1 << 40).unwrap();
    symlink("/dev/zero", root.path().join("proc/cmdline")).unwrap();
    symlink("sys", root.path().join("sys")).unwrap(); // points to itself
    let told = inventory_at(root.path());
    assert_eq!(told.hostname.as_deref(), Some("here"));
    assert_eq!(told.memory, None);
}

#[test]
fn a_number_that_the_server_could_not_read_is_left_out() {
    let told = told(&[
        ("proc/meminfo", "MemTotal: 18446744073709551 kB\n"),
        ("sys/block/sda/size", "18446744073709551615\n"),
        ("sys/block/sda/device/type", "0\n"),
        ("sys/devices/system/cpu/online", "0-4294967295\n"),
    ]);
    assert_eq!(told.get("memory"), None);
    assert_eq!(told["disks"], json!([{ "name": "sda", "path": "/dev/sda" }]));
    assert_eq!(told["cpu"].get("count"), None);
}

#[test]
fn lists_of_processors_are_counted() {
    for (list, expected) in [("0", Some(1)), ("0-3", Some(4)), ("0-1,4,6-7", Some(5))] {
        assert_eq!(cpus_in_list(list), expected, "{list}");
    }
    for list in ["", "a", "3-1", "0-", "0-4294967295", "-1"] {
        assert_eq!(cpus_in_list(list), None, "{list}");
    }
}

#[test]
fn blanks_in_mount_points_are_read_back() {
    assert_eq!(unescaped(r"/mnt/a\040b\011c\134d"), "/mnt/a b\tc\\d");
    assert_eq!(unescaped(r"/mnt/a\04\"), r"/mnt/a\04\");
}

#[test]
fn this_machine_is_described_the_same_twice() {
    let first = inventory();
    let null = first.host_devices.as_ref().unwrap().iter().find(|it| it.path == "/dev/null").unwrap();
    assert_eq!((&*null.device_type, null.major, null.minor), ("char", 1, 3));
    assert!(first.mounts.as_ref().unwrap().iter().any(|mount| mount.directory == "/"));
    assert!(first.memory.as_ref().unwrap().usable_bytes > Some(1 << 20));
    assert_eq!(first, inventory());
}

#[test]
fn the_kernel_tells_the_loopback_address() {
    let loopback = address(1, Ipv4Addr::LOCALHOST, 8);
    assert!(addresses::interface_addresses().contains(&loopback));
}

/// One RTM_NEWADDR, made like the kernel does.
fn message(index: u32, flags: u8, prefix: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![2, prefix, flags, 0];
    body.extend(index.to_ne_bytes());
    for (kind, value) in attributes {
        body.extend((4 + value.len() as u16).to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = (16 + body.len() as u32).to_ne_bytes().to_vec();
    message.extend(20_u16.to_ne_bytes());
    message.extend([0; 10]);
    message.extend(body);
    message
}

#[test]
fn of_a_point_to_point_link_the_own_address_counts_not_the_peers() {
    let label: (u16, &[u8]) = (3, b"ppp0\0");
    let mut datagram = message(7, 0, 32, &[(1, &[10, 0, 0, 1]), (2, &[10, 0, 0, 2]), label]);
    datagram.extend(message(8, 0x40, 64, &[(1, &[0; 16])])); // tentative
    let mut found = Vec::new();
    assert_eq!(addresses::read(&datagram, &mut found), DumpProgress::Ahead);
    assert_eq!(found, [address(7, Ipv4Addr::new(10, 0, 0, 2), 32)]);
}

#[test]
fn garbage_in_every_file_never_panics() {
    let files: BTreeMap<_, _> = PC.iter().chain(RASPBERRY_PI).chain(CONTAINER).copied().collect();
    let mut files: Vec<_> = files.into_iter().collect();
    let root = test_tree(&files);
    files.retain(|(_, content)| !content.starts_with("-> "));
    let plausible = "[-0-9a-fx:,. \\n\\\\\t]{0,40}".prop_map(String::into_bytes);
    let garbage = vec(prop_oneof![vec(any::<u8>(), 0..6), vec(any::<u8>(), 0..64), plausible], 1..9);
    let all = (garbage, any::<u64>());
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) });
    let outcome = runner.run(&all, |(garbage, kept)| {
        for (index, (path, content)) in files.iter().enumerate() {
            let is_kept = kept >> (index % 64) & 1 == 1;
            let content = if is_kept { content.as_bytes() } else { &garbage[index % garbage.len()] };
            let path = root.path().join(path);
            fs::remove_file(&path).unwrap(); // overwriting would wait for the disk
            fs::write(path, content).unwrap();
        }
        let told = serde_json::to_string(&inventory_at(root.path())).unwrap();
        prop_assert!(told.len() < 64 * 1024);
        Ok(())
    });
    outcome.unwrap();
}

proptest! {
    #[test]
    fn garbage_from_the_kernel_never_panics(
        bytes in vec(any::<u8>(), 0..200),
        attributes in vec((0_u16..4, vec(any::<u8>(), 0..20)), 0..4),
        cut in 0_usize..80,
    ) {
        let mut found = Vec::new();
        addresses::read(&bytes, &mut found);
        let attributes: Vec<(u16, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, &**value)).collect();
        let mut datagram = message(1, 0, 24, &attributes);
        datagram.truncate(cut);
        datagram.extend(bytes);
        addresses::read(&datagram, &mut found);
    }
}
