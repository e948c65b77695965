//! What one client, or all of them, can take of the server: connections, memory, requests, time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::allowance::Allowance;

/// For who connects and says nothing.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// For who began a request, until it is here.
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
/// A device may ask so often at once, and then once in so many seconds.
const REQUESTS: (f64, f64) = (200.0, 0.02);

/// Seconds that it is told to wait then.
pub(crate) const RETRY_AFTER: &str = "10";

/// What is left of all.
pub(crate) struct Limits {
    handshakes: Mutex<VecDeque<oneshot::Sender<()>>>,
    connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    requests: Mutex<HashMap<String, Allowance>>,
}

impl Limits {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            handshakes: Mutex::default(),
            connections: Arc::new(Semaphore::new(connections)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            bodies: Arc::new(Semaphore::new(BODIES)),
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

    /// Room for a body, waiting for it; nothing is waited for that is small.
    pub(crate) async fn body(&self, length: Option<u64>) -> Option<OwnedSemaphorePermit> {
        let length = length.map_or(BODY, |length| usize::try_from(length).unwrap_or(BODY));
        let kib = u32::try_from(length.min(BODY) >> 10).unwrap_or(u32::MAX);
        Arc::clone(&self.bodies).acquire_many_owned(kib).await.ok()
    }

    /// Whether this device may ask once more. All that aren't registered have one name: that one isn't counted.
    pub(crate) fn request(&self, name: &str) -> bool {
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.to_owned()).or_insert_with(|| Allowance::new(REQUESTS.0, REQUESTS.1)).take()
    }
}

#[cfg(test)]
mod tests {
    use super::{HANDSHAKES, Limits};

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
}
