//! How other threads ask the loop something, and wait for its reply.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Sender, bounded};

use super::lock;
use crate::agent::{
    Event,
    model::question::{Asker, Question, Reply},
};

/// From the question to its reply, at most. The loop replies within milliseconds, unless it hangs.
const LOOP_TIMEOUT: Duration = Duration::from_secs(3);
/// From a wish to its reply: an engine may be asked first.
const WISH_TIMEOUT: Duration = Duration::from_secs(8);

/// For every thread that asks, and for the loop.
#[derive(Debug, Clone)]
pub struct Queries(Arc<SharedQueries>);

#[derive(Debug)]
struct SharedQueries {
    events: Sender<Event>,
    /// Numbers those who ask.
    next: AtomicU64,
    waiting: Mutex<Vec<(Asker, Sender<Reply>)>>,
}

impl Queries {
    /// Questions go to the loop among its events.
    pub fn new(events: Sender<Event>) -> Self {
        Self(Arc::new(SharedQueries { events, next: AtomicU64::default(), waiting: Mutex::default() }))
    }

    /// Asks, and waits for the reply; none: the loop is too busy, or gone.
    pub fn ask(&self, question: Question) -> Option<Reply> {
        let SharedQueries { events, next, waiting } = &*self.0;
        let asker = Asker(next.fetch_add(1, Ordering::Relaxed));
        let timeout = match question {
            Question::Report | Question::History => LOOP_TIMEOUT,
            Question::Wish(..) | Question::RollBack(..) => WISH_TIMEOUT,
        };
        let (reply, inbox) = bounded(1);
        lock(waiting).push((asker, reply));
        let sent = events.send_timeout(Event::Asked(asker, question), LOOP_TIMEOUT).is_ok();
        let reply = sent.then(|| inbox.recv_timeout(timeout).ok()).flatten();
        lock(waiting).retain(|(other, _)| *other != asker);
        reply
    }

    /// Hands a reply to the thread that waits for it, if it still does. Never blocks.
    pub fn reply(&self, asker: Asker, reply: Reply) {
        let waiting = lock(&self.0.waiting);
        if let Some((_, inbox)) = waiting.iter().find(|(other, _)| *other == asker) {
            let _ = inbox.try_send(reply);
        }
    }
}
