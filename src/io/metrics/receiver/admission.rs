//! Which clients are connected: it bounds their number and their bytes. When all is full, a new client gets the place
//! of the one that has gone longest without completing a request, so idle and slow ones can't keep others out.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::connection::{Connection, Stage};
use crate::wire::own::frames::MAX_REPORT;

/// Clients at once, where descriptors allow.
pub(super) const MAX_CLIENTS: usize = 256;
/// Of all requests that aren't with tiny_http yet, in bytes.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;
/// Of all reports that are on their way, in bytes: one that is read slowly, and a new one.
const MAX_REPORT_BYTES: usize = 2 * MAX_REPORT;

/// The connections, by numbers that are never used again.
pub(super) struct Connections {
    all: BTreeMap<u64, Connection>,
    most: usize,
    next: u64,
}

impl Connections {
    /// At most so many at once.
    pub(super) fn new(most: usize) -> Self {
        Self { all: BTreeMap::new(), most: most.min(MAX_CLIENTS), next: 0 }
    }

    /// Whether another one can come.
    pub(super) fn can_accept(&self) -> bool {
        self.all.len() < self.most || self.idlest(|_| true).is_some()
    }

    /// Makes room for another one; `false`: there is none.
    pub(super) fn make_room(&mut self) -> bool {
        self.all.len() < self.most || self.drop_idlest()
    }

    /// `is_local`: it came over a unix socket.
    pub(super) fn add(&mut self, socket: OwnedFd, is_local: bool, now: Duration) {
        self.all.insert(self.next, Connection::new(socket, is_local, now));
        self.next += 1;
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.all.remove(&id);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Connection)> {
        self.all.iter().map(|(&id, connection)| (id, connection))
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Connection> {
        self.all.get_mut(&id)
    }

    /// The same, if it is at this stage still: it may have been told 503 meanwhile.
    pub(super) fn get_mut_at_stage(&mut self, id: u64, stage: Stage) -> Option<&mut Connection> {
        self.all.get_mut(&id).filter(|connection| connection.stage == stage)
    }

    /// Drops the one that has gone longest without completing a request; `false`: there is none.
    pub(super) fn drop_idlest(&mut self) -> bool {
        self.drop_idlest_where(|_| true)
    }

    /// Drops some while there are too many bytes of requests.
    pub(super) fn limit_request_bytes(&mut self) {
        let bytes = |all: &BTreeMap<u64, Connection>| {
            all.values().map(|connection| connection.inbox.capacity()).sum::<usize>()
        };
        while bytes(&self.all) > MAX_REQUEST_BYTES
            && self.drop_idlest_where(|connection| !connection.inbox.is_empty())
        {}
    }

    /// Drops slow readers while there are too many different reports on their way.
    pub(super) fn limit_report_bytes(&mut self) {
        let bytes = |all: &BTreeMap<u64, Connection>| {
            let bodies = all.values().filter_map(|connection| connection.body.as_ref());
            let different: BTreeMap<_, _> = bodies.map(|body| (Rc::as_ptr(body), body.len())).collect();
            different.values().sum::<usize>()
        };
        while bytes(&self.all) > MAX_REPORT_BYTES
            && self.drop_idlest_where(|connection| connection.body.is_some())
        {}
    }

    fn drop_idlest_where(&mut self, which: impl Fn(&Connection) -> bool) -> bool {
        self.idlest(which).and_then(|id| self.all.remove(&id)).is_some()
    }

    /// Of those without a request under way.
    fn idlest(&self, which: impl Fn(&Connection) -> bool) -> Option<u64> {
        let idle =
            self.iter().filter(|(_, connection)| !connection.is_awaiting_answer() && which(connection));
        idle.min_by_key(|(_, connection)| connection.since).map(|(id, _)| id)
    }
}
