//! What a person or a program on the device asks the agent, and what it replies.

use super::{Agent, Turn, report::Report, time::Now, workload::Engine};

/// Whom a reply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker(pub u64);

/// A question, or a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// How is everything?
    Report,
    /// A new pod for this workload, now: no back-off is waited for.
    Restart(String),
}

/// The reply to one [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Question::Report`].
    Report(Box<Report>),
    /// To [`Question::Restart`]: it is under way.
    Restarting,
    /// The same: it isn't known yet whether a new pod could start, and the present one stays until then.
    Checking,
    /// There is no such workload.
    Unknown,
    /// Why not.
    Refused(String),
}

impl Agent {
    /// Replies at once, or to a wish as soon as it is known whether it can be fulfilled.
    pub(super) fn reply(&mut self, asker: Asker, question: &Question, now: Now) {
        let reply = match question {
            Question::Report => Some(Reply::Report(Box::new(self.report(now)))),
            Question::Restart(name) => self.restart(asker, name, now),
        };
        reply.into_iter().for_each(|reply| self.book.reply(asker, reply));
    }

    fn restart(&mut self, asker: Asker, name: &str, now: Now) -> Option<Reply> {
        if self.deployments.wanted(name).is_some() {
            let engine = Engine::Kubernetes;
            return Some(Reply::Refused(format!(
                "it runs on {engine}: use 'kubectl rollout restart deployment/{name}'"
            )));
        }
        let Some((name, tracked)) =
            self.tracked.iter_mut().find(|(it, tracked)| &***it == name && tracked.wanted().is_some())
        else {
            return Some(Reply::Unknown);
        };
        if self.book.held {
            let shortages = self.shed.shortages().join("; ");
            return Some(Reply::Refused(format!("nothing new is started: {shortages}")));
        }
        let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
        self.dirty.insert(name.clone());
        tracked.restart(asker, &mut turn).err().map(Reply::Refused)
    }
}
