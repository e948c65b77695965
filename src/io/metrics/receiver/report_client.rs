//! Asks the agent for a report of how everything is: one at a time.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::wire::own::frames::{REPORT_HEAD_LEN, ReportKind, ReportRefusal, read_report_head};

pub(super) struct ReportClient {
    socket: OwnedFd,
    /// The answer that is owed, as far as it has come: its head first.
    inbox: Option<Vec<u8>>,
    /// The length of its body, when that is known.
    length: Option<usize>,
}

impl ReportClient {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket, inbox: None, length: None })
    }

    /// What becomes readable when there is an answer.
    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// No answer is owed.
    pub(super) fn is_idle(&self) -> bool {
        self.inbox.is_none()
    }

    /// Asks, when idle.
    pub(super) fn request(&mut self, kind: ReportKind) -> io::Result<()> {
        // a byte always fits: the last one was taken before its answer came
        send(&self.socket, &[kind as u8], SendFlags::NOSIGNAL)?;
        self.inbox = Some(Vec::new());
        Ok(())
    }

    /// Takes what is there; an answer that is whole comes out.
    ///
    /// # Errors
    /// The agent is gone.
    pub(super) fn receive(
        &mut self,
        scratch: &mut [u8],
    ) -> io::Result<Option<Result<Vec<u8>, ReportRefusal>>> {
        loop {
            let inbox = self.inbox.get_or_insert_default();
            let missing = self.length.unwrap_or(REPORT_HEAD_LEN) - inbox.len();
            let most = missing.min(scratch.len());
            match recv(&self.socket, &mut scratch[..most], RecvFlags::empty()) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((read, _)) => inbox.extend_from_slice(&scratch[..read]),
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            match (self.length, &inbox[..]) {
                (None, &[a, b, c, d, e]) => match read_report_head([a, b, c, d, e]) {
                    Err(refused) => {
                        self.inbox = None;
                        return Ok(Some(Err(refused)));
                    }
                    Ok(length) => {
                        self.length = Some(length);
                        self.inbox = Some(Vec::with_capacity(length));
                    }
                },
                (Some(length), whole) if whole.len() == length => {
                    self.length = None;
                    return Ok(self.inbox.take().map(Ok));
                }
                _ => {}
            }
        }
    }
}
