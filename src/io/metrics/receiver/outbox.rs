//! What waits to be sent over a socket that doesn't block.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// Sends what the socket takes now. Answers whether that was all.
pub(super) fn send_what_fits(socket: &OwnedFd, outbox: &mut Vec<u8>) -> Result<bool, Errno> {
    while !outbox.is_empty() {
        match send(socket, outbox, SendFlags::NOSIGNAL) {
            Ok(sent) => _ = outbox.drain(..sent),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
