//! What one client, or all of them, can take of the server: connections, memory, requests, time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};

use crate::{allowance::Allowance, authority::BOOTSTRAP_NAME};

/// For who connects and says nothing.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// For who begins a request, until its headers are here.
pub(crate) const HEAD: Duration = Duration::from_secs(10);
/// From a request's first byte to its answer's last one, all told.
pub(crate) const EXCHANGE: Duration = Duration::from_secs(120);
/// For a body, until it is here.
pub(crate) const REQUEST: Duration = Duration::from_secs(30);
/// For who says nothing between two requests. (Devices talk every minute, or as often as they are told.)
pub(crate) const IDLE: Duration = Duration::from_secs(300);
/// The same for who has no certificate of the CA: it has nothing to say.
pub(crate) const IDLE_STRANGER: Duration = Duration::from_secs(5);
/// A body beyond this is no device's hardware.
pub(crate) const BODY: usize = 4 << 20;
/// Requests at once on a connection of HTTP/2.
pub(crate) const STREAMS: u32 = 8;

/// Connections whose handshake isn't done. Where there are more, the oldest ends: who is honest is quick.
const HANDSHAKES: usize = 2048;
/// Connections of strangers, with certificates of another CA.
const STRANGERS: usize = 64;
/// All bodies that are being read, in KiB.
const BODIES: usize = 64 << 10;
/// Of these, those of devices that aren't registered yet: anyone may have their certificate.
const NEW_BODIES: usize = 16 << 10;
/// Bodies of one device that are being read: it says one thing at a time.
const BODIES_EACH: usize = 4;
/// A device may ask so often at once, and then once in so many seconds.
const REQUESTS: (f64, f64) = (200.0, 0.02);

/// Seconds that it is told to wait then.
pub(crate) const RETRY_AFTER: &str = "10";

/// What is left of all.
pub(crate) struct Limits {
    handshakes: Mutex<VecDeque<oneshot::Sender<()>>>,
    connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    bodies: Semaphore,
    new_bodies: Semaphore,
    requests: Mutex<HashMap<String, Requests>>,
}

/// Of one device.
struct Requests {
    allowance: Allowance,
    bodies: Arc<Semaphore>,
}

/// Room for a body; it grows with the body.
pub(crate) struct Room<'a> {
    of: &'a Semaphore,
    taken: Option<SemaphorePermit<'a>>,
    bytes: usize,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Room<'_> {
    /// Waits until there is room for so many more.
    pub(crate) async fn grow(&mut self, bytes: usize) {
        let before = self.bytes >> 10;
        self.bytes += bytes;
        let kib = u32::try_from((self.bytes >> 10) - before).unwrap_or(u32::MAX);
        let Ok(more) = self.of.acquire_many(kib).await else { return };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
    }
}

impl Limits {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            handshakes: Mutex::default(),
            connections: Arc::new(Semaphore::new(connections)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            bodies: Semaphore::new(BODIES - NEW_BODIES),
            new_bodies: Semaphore::new(NEW_BODIES),
            requests: Mutex::default(),
        }
    }

    /// A handshake begins; what comes back says when it has to make room.
    pub(crate) fn handshake(&self) -> oneshot::Receiver<()> {
        let (evict, evicted) = oneshot::channel();
        let mut all = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= HANDSHAKES {
            all.retain(|evict| !evict.is_closed());
        }
        if all.len() >= HANDSHAKES
            && let Some(oldest) = all.pop_front()
        {
            let _ = oldest.send(());
        }
        all.push_back(evict);
        evicted
    }

    /// A place for a connection, if there is one.
    pub(crate) fn connection(&self, is_stranger: bool) -> Option<OwnedSemaphorePermit> {
        let of = if is_stranger { &self.strangers } else { &self.connections };
        Arc::clone(of).try_acquire_owned().ok()
    }

    /// Room for a body of this device, unless it says too much at once. What is small needs none.
    pub(crate) fn body(&self, name: &str) -> Option<Room<'_>> {
        let (of, turn) = match name {
            BOOTSTRAP_NAME => (&self.new_bodies, None),
            _ => (&self.bodies, Some(self.of(name, |it| Arc::clone(&it.bodies)).try_acquire_owned().ok()?)),
        };
        Some(Room { of, taken: None, bytes: 0, _turn: turn })
    }

    /// Whether this device may ask once more. All that aren't registered have one name: that one isn't counted.
    pub(crate) fn request(&self, name: &str) -> bool {
        self.of(name, |it| it.allowance.take())
    }

    fn of<T>(&self, name: &str, use_it: impl FnOnce(&mut Requests) -> T) -> T {
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Requests {
            allowance: Allowance::new(REQUESTS.0, REQUESTS.1),
            bodies: Arc::new(Semaphore::new(BODIES_EACH)),
        };
        use_it(all.entry(name.to_owned()).or_insert_with(fresh))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{BODIES_EACH, BODY, BOOTSTRAP_NAME, HANDSHAKES, Limits, NEW_BODIES};

    #[test]
    fn the_oldest_handshake_makes_room_and_one_that_is_done_needs_not() {
        let limits = Limits::new(1);
        let mut first = limits.handshake();
        let mut others: Vec<_> = (1..HANDSHAKES).map(|_| limits.handshake()).collect();
        assert!(first.try_recv().is_err_and(|it| it == tokio::sync::oneshot::error::TryRecvError::Empty));
        others.pop();
        others.push(limits.handshake());
        assert!(first.try_recv().is_err(), "one was done");
        others.push(limits.handshake());
        assert!(first.try_recv().is_ok(), "no more room");
    }

    #[test]
    fn a_device_may_ask_often_but_not_without_end_and_it_is_the_only_one() {
        let limits = Limits::new(1);
        let taken = (0..1000).filter(|_| limits.request("one")).count();
        assert!((200..300).contains(&taken), "{taken}");
        assert!(limits.request("two"));
    }

    #[tokio::test]
    async fn slow_bodies_of_one_device_or_of_strangers_leave_room_for_those_of_others() {
        let limits = Limits::new(1);
        let mut slow: Vec<_> = (0..BODIES_EACH).map(|_| limits.body("one").unwrap()).collect();
        assert!(limits.body("one").is_none(), "it says too much at once");
        for room in &mut slow {
            room.grow(BODY / 2).await;
            room.grow(BODY / 2).await;
        }
        let mut new = Vec::new();
        for _ in 0..NEW_BODIES / (BODY >> 10) {
            new.push(limits.body(BOOTSTRAP_NAME).unwrap());
            new.last_mut().unwrap().grow(BODY).await;
        }
        let full = limits.body(BOOTSTRAP_NAME).unwrap().grow(1024).now_or_never();
        assert!(full.is_none(), "strangers have no more room");
        limits.body(BOOTSTRAP_NAME).unwrap().grow(1023).await;
        limits.body("two").unwrap().grow(BODY).await;
        slow.pop();
        limits.body("one").unwrap().grow(BODY).await;
    }
}
