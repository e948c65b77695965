//! What a person or a program on the device asks the agent, and what it replies.

use super::{
    Agent, Turn,
    notice::{Notice, Reason},
    report::Report,
    time::Now,
    workload::Engine,
};

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
    /// There is no such workload.
    Unknown,
    /// Why not.
    Refused(String),
}

impl Agent {
    /// Replies at once; what was wished for is under way then.
    pub(super) fn reply(&mut self, question: &Question, now: Now) -> Reply {
        match question {
            Question::Report => Reply::Report(Box::new(self.report(now))),
            Question::Restart(name) => self.restart(name, now),
        }
    }

    fn restart(&mut self, name: &str, now: Now) -> Reply {
        if self.deployments.wanted(name).is_some() {
            let engine = Engine::Kubernetes;
            return Reply::Refused(format!(
                "it runs on {engine}: use 'kubectl rollout restart deployment/{name}'"
            ));
        }
        let Some((name, tracked)) =
            self.tracked.iter_mut().find(|(it, tracked)| &***it == name && tracked.wanted().is_some())
        else {
            return Reply::Unknown;
        };
        let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
        match tracked.restart(&mut turn) {
            Ok(()) => {
                let message =
                    format!("workload '{name}' is started anew: somebody on the device asked for it");
                self.book.tell(Notice::info(Reason::Restarted, message));
                self.dirty.insert(name.clone());
                Reply::Restarting
            }
            Err(why) => Reply::Refused(why),
        }
    }
}
