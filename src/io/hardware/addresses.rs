//! Asks the kernel for all interface addresses by rtnetlink (RTM_GETADDR). Files in /proc have no IPv4 prefix
//! lengths, nor say which interface an address belongs to. Source: rtnetlink(7), netlink(7).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with},
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Not usable: another device has it (0x08), or whether one does isn't known yet (0x40).
const IFA_F_UNUSABLE: u8 = 0x08 | 0x40;
const NLMSG_HEADER_SIZE: usize = 16;
const IFADDRMSG_SIZE: usize = 8;

/// The kernel never fills more at once.
const BUFFER: usize = 32 * 1024;
/// Some ten thousand addresses.
const MAX_RECEIVES: usize = 64;

/// An address of an interface, shown with its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    /// The interface's index.
    pub(super) interface: u32,
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// All addresses in this network namespace, in order; none where such sockets are forbidden.
pub(super) fn interface_addresses() -> Vec<Address> {
    let mut addresses = Vec::new();
    if let Err(error) = dump(&mut addresses) {
        log::debug!("failed to ask the kernel for interface addresses: {error}");
    }
    addresses.sort_unstable();
    addresses
}

fn dump(addresses: &mut Vec<Address>) -> Result<(), Errno> {
    // The kernel has the next part ready whenever it is asked for: nothing to wait for.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // without a protocol it is NETLINK_ROUTE, whose number is 0
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    send(&socket, &dump_request(), SendFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    for _ in 0..MAX_RECEIVES {
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if let DumpProgress::Reached = read(&buffer[..length], addresses) {
            break;
        }
    }
    Ok(())
}

fn dump_request() -> [u8; NLMSG_HEADER_SIZE + IFADDRMSG_SIZE] {
    let mut request = [0; NLMSG_HEADER_SIZE + IFADDRMSG_SIZE]; // zeros ask for any family
    let length = request.len() as u32;
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    request[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request
}

/// Whether the kernel said that this was all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DumpProgress {
    Reached,
    Ahead,
}

/// Reads the messages of one datagram.
pub(super) fn read(mut datagram: &[u8], addresses: &mut Vec<Address>) -> DumpProgress {
    while let Some((header, _)) = datagram.split_first_chunk::<NLMSG_HEADER_SIZE>() {
        let [a, b, c, d, e, f, ..] = *header;
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let Some(body) = datagram.get(NLMSG_HEADER_SIZE..length) else { return DumpProgress::Reached };
        match u16::from_ne_bytes([e, f]) {
            NLMSG_DONE | NLMSG_ERROR => return DumpProgress::Reached,
            RTM_NEWADDR => addresses.extend(address(body)),
            _ => {}
        }
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    DumpProgress::Ahead
}

/// An `ifaddrmsg` and its attributes.
fn address(body: &[u8]) -> Option<Address> {
    let (&[_family, prefix, flags, _scope, a, b, c, d], mut rest) =
        body.split_first_chunk::<IFADDRMSG_SIZE>()?;
    let (mut local, mut address) = (None, None);
    while let Some((&[a, b, c, d], _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes([c, d]) {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => address = ip(value),
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    // on a point-to-point link the other one is the peer's
    let ip = local.or(address)?;
    let is_usable = flags & IFA_F_UNUSABLE == 0;
    is_usable.then_some(Address { interface: u32::from_ne_bytes([a, b, c, d]), ip, prefix })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}
