//! Which program listens at an address: the kernel lists sockets by inode, and each process its descriptors.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use crate::settings::ListenAddress;

/// A program that listens where it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AddressHolder {
    /// Its process and name, where this user may know.
    process: Option<(u32, String)>,
}

impl fmt::Display for AddressHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((pid, name)) => write!(f, "'{name}' (process {pid})"),
            None => f.write_str("another program"),
        }
    }
}

/// `None`: nothing listens there that this user can see.
pub(crate) fn find_holder(address: &ListenAddress) -> Option<AddressHolder> {
    let read = |file: &str| fs::read_to_string(Path::new("/proc/net").join(file)).unwrap_or_default();
    let inode = match address {
        ListenAddress::Tcp(address) => {
            tcp_listener_inode(&[read("tcp"), read("tcp6")].concat(), *address)?.to_owned()
        }
        ListenAddress::Unix(path) => unix_listener_inode(&read("unix"), path)?.to_owned(),
    };
    Some(AddressHolder { process: process_holding(&format!("socket:[{inode}]")) })
}

/// The inode of what listens at this address, or at one that leaves no room for it.
fn tcp_listener_inode(table: &str, address: SocketAddr) -> Option<&str> {
    const LISTEN_STATE: &str = "0A";
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (ip, port) = local.split_once(':')?;
        let (ip, port) = (parse_hex_ip(ip)?, u16::from_str_radix(port, 16).ok()?);
        let is_it = ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
        (*state == LISTEN_STATE && port == address.port() && is_it).then_some(*inode)
    })
}

/// Words of the machine's byte order, each from the network's.
fn parse_hex_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The inode of what listens under this name.
fn unix_listener_inode<'a>(table: &'a str, path: &Path) -> Option<&'a str> {
    const LISTEN_STATE: &str = "00010000";
    let name = format!(" {}", path.display());
    let is_it = |fields: &Vec<&str>| fields.get(3) == Some(&LISTEN_STATE);
    let named = table.lines().filter(|line| line.ends_with(&name));
    named.map(|line| line.split_whitespace().collect()).find(is_it)?.get(6).copied()
}

/// The first process that has this open.
fn process_holding(socket: &str) -> Option<(u32, String)> {
    let has_it = |directory: &PathBuf| {
        let open = fs::read_dir(directory.join("fd")).into_iter().flatten().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target == Path::new(socket))
    };
    let all = fs::read_dir("/proc").ok()?.flatten();
    let numbered = all.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let (pid, directory) = numbered.into_iter().find(|(_, directory)| has_it(directory))?;
    let name = fs::read_to_string(directory.join("comm")).unwrap_or_default();
    Some((pid, name.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::unix::net::UnixListener, process, time::Duration};

    use super::*;

    fn is_this_test(address: &ListenAddress) -> bool {
        let found = find_holder(address).unwrap();
        assert!(found.to_string().ends_with(&format!("(process {})", process::id())), "{found}");
        found.process.is_some_and(|(_, name)| !name.is_empty())
    }

    #[test]
    fn who_listens_is_found_by_address_also_where_it_listens_at_all_of_them() {
        for (listens, wanted) in
            [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"), ("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")]
        {
            let Ok(listener) = TcpListener::bind(format!("{listens}:0")) else { continue };
            let port = listener.local_addr().unwrap().port();
            let address = ListenAddress::Tcp(format!("{wanted}:{port}").parse().unwrap());
            assert!(is_this_test(&address), "{listens}");
            drop(listener);
            // a process that another test starts has all descriptors until its program begins
            let never = crossbeam_channel::never::<()>();
            let is_gone =
                || find_holder(&address).is_none() || never.recv_timeout(Duration::from_millis(10)).is_ok();
            assert!((0..500).any(|_| is_gone()), "{listens}");
        }
        let place = tempfile::tempdir().unwrap();
        let address = ListenAddress::Unix(place.path().join("a socket"));
        let _listener = UnixListener::bind(place.path().join("a socket")).unwrap();
        assert!(is_this_test(&address));
    }

    #[test]
    fn who_is_hidden_from_this_user_is_another_program() {
        assert_eq!(AddressHolder { process: None }.to_string(), "another program");
    }

    #[test]
    fn only_what_listens_counts_and_what_is_no_table_names_nothing() {
        let row = |state: &str| format!("  0: 00000000:1F90 00000000:0000 {state} 0:0 00:0 0 65534 0 77 1 0");
        let address = ([127, 0, 0, 1], 8080).into();
        assert_eq!(tcp_listener_inode(&row("0A"), address), Some("77"));
        for other in
            [&row("01"), "", "é é é é é é é é é é", "0: zz:1F90 x 0A", "0: 0000000é:1F90 x 0A 4 5 6 7 8 9"]
        {
            assert_eq!(tcp_listener_inode(other, address), None, "{other}");
        }
    }
}
