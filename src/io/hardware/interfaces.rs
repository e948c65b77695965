//! Network interfaces of the machine, not those of its containers: what is hardware, what is built upon hardware,
//! and the way out.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    addresses::Address,
    tree::{HostFs, MAX_LIST_ITEMS},
};
use crate::wire::edge_api::hardware::Interface;

const NET_CLASS_DIR: &str = "sys/class/net";
/// A VLAN on a bridge on a bond on a card is the deepest that makes sense.
const MAX_STACKING_DEPTH: usize = 4;

pub(super) fn interfaces(tree: &HostFs, addresses: &[Address]) -> Option<Vec<Interface>> {
    let names = tree.dir_entries(NET_CLASS_DIR)?;
    let mut own: BTreeSet<String> =
        default_route_interfaces(tree).into_iter().filter(|name| names.contains(name)).collect();
    own.extend(names.iter().filter(|name| tree.has(&format!("{NET_CLASS_DIR}/{name}/device"))).cloned());
    let below: Vec<Vec<String>> = names.iter().map(|name| lower_interfaces(tree, name)).collect();
    for _ in 1..MAX_STACKING_DEPTH {
        for (name, below) in names.iter().zip(&below) {
            if below.iter().any(|it| own.contains(it)) {
                own.insert(name.clone());
            }
        }
    }
    Some(own.into_iter().take(MAX_LIST_ITEMS).map(|name| interface(tree, name, addresses)).collect())
}

/// What a bond, a bridge or a VLAN is built upon.
fn lower_interfaces(tree: &HostFs, name: &str) -> Vec<String> {
    let entries = tree.dir_entries(&format!("{NET_CLASS_DIR}/{name}")).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.strip_prefix("lower_")).map(str::to_owned).collect()
}

/// A modem's `ppp0` or a container's `eth0` has no device below it, and yet is the way out.
fn default_route_interfaces(tree: &HostFs) -> Vec<String> {
    let routes = tree.text("proc/net/route").unwrap_or_default();
    let exit = |line: &str| {
        let fields: Vec<&str> = line.split('\t').map(str::trim).take(8).collect();
        match fields[..] {
            [name, "00000000", _, _, _, _, _, "00000000"] => Some(name.to_owned()),
            _ => None,
        }
    };
    routes.lines().filter_map(exit).collect()
}

fn interface(tree: &HostFs, name: String, addresses: &[Address]) -> Interface {
    let line = |file: &str| tree.first_line(&format!("{NET_CLASS_DIR}/{name}/{file}"));
    let index: Option<u32> = line("ifindex").and_then(|index| index.parse().ok());
    let own = addresses.iter().filter(|it| Some(it.interface) == index);
    let (ipv4, ipv6): (Vec<_>, Vec<_>) = own.partition(|it| it.ip.is_ipv4());
    let link_local = |it: &&Address| matches!(it.ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    Interface {
        mac_address: line("address").filter(|it| it.bytes().any(|byte| !matches!(byte, b'0' | b':'))),
        ipv4_addresses: ipv4.into_iter().map(Address::to_string).collect(),
        ipv6_addresses: ipv6.into_iter().filter(|it| !link_local(it)).map(Address::to_string).collect(),
        // can't be read while the interface is down
        has_carrier: line("carrier").map(|it| it == "1"),
        mtu: line("mtu").and_then(|it| it.parse().ok()),
        // -1 is "unknown"
        speed_mbps: line("speed").and_then(|it| it.parse().ok()).filter(|speed| *speed > 0),
        flags: line("flags").map(|it| flags(&it)).unwrap_or_default(),
        vendor: line("device/vendor"),
        product: line("device/device"),
        name: Some(name),
    }
}

/// The words of Go's `net` package, which the server's other devices use. Source: Linux, uapi/linux/if.h.
fn flags(hex: &str) -> Vec<String> {
    const FLAG_NAMES: [(u32, &str); 5] =
        [(0x1, "up"), (0x2, "broadcast"), (0x8, "loopback"), (0x10, "pointtopoint"), (0x1000, "multicast")];
    let bits = u32::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap_or(0);
    FLAG_NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned()).collect()
}
