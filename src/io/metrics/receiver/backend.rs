//! A connection to tiny_http, for one request at a time: answers can't be mixed up.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{answer, outbox::send_what_fits};

/// Answers of tiny_http are a line at most.
const MAX_ANSWER: usize = 4 * 1024;

pub(super) struct Backend {
    socket: OwnedFd,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    /// Whose request is on it, and whether the answer is without a body.
    serves: Option<(u64, bool)>,
}

impl Backend {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket, outbox: Vec::new(), inbox: Vec::new(), serves: None })
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// It serves no client now.
    pub(super) fn is_free(&self) -> bool {
        self.serves.is_none()
    }

    /// There are bytes left to send.
    pub(super) fn is_sending(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Takes the request of a client. `bodiless`: its answer has no body.
    pub(super) fn assign_request(
        &mut self,
        client: u64,
        bodiless: bool,
        head: &[u8],
        body: impl Iterator<Item = u8>,
    ) {
        self.serves = Some((client, bodiless));
        self.outbox.extend_from_slice(head);
        self.outbox.extend(body);
    }

    /// Moves bytes; an answer that is whole comes out, with its client.
    ///
    /// # Errors
    /// tiny_http is broken.
    pub(super) fn exchange_bytes(&mut self, scratch: &mut [u8]) -> io::Result<Option<(u64, Vec<u8>)>> {
        self.write()?;
        let answer = self.read(scratch)?;
        Ok(answer.and_then(|answer| self.serves.take().map(|(client, _)| (client, answer))))
    }

    fn write(&mut self) -> io::Result<()> {
        if send_what_fits(&self.socket, &mut self.outbox)? {
            self.outbox.shrink_to(MAX_ANSWER);
        }
        Ok(())
    }

    fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        match recv(&self.socket, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => return Err(io::Error::other("tiny_http hung up")),
            Ok((read, _)) => self.inbox.extend_from_slice(&scratch[..read]),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let confused = || io::Error::other("tiny_http is confused");
        let Some((_, bodiless)) = self.serves else { return Err(confused()) };
        match answer::response_length(&self.inbox, bodiless).map_err(io::Error::other)? {
            Some(length) if length == self.inbox.len() => Ok(Some(std::mem::take(&mut self.inbox))),
            Some(length) if length < self.inbox.len() => Err(confused()),
            _ if self.inbox.len() > MAX_ANSWER => Err(confused()),
            _ => Ok(None),
        }
    }
}
