//! What was told of late is remembered, so that a person who comes later can ask. What is told again, word by word, is
//! counted instead of kept twice: a workload that fails all day leaves room for what happened before.

use std::sync::Arc;

use super::model::{
    event::Action,
    history::{History, HistoryEntry},
    notice::Notice,
    record::Record,
    time::{Now, since_epoch},
};

/// So many entries are kept,
const MAX_ENTRIES: usize = 200;
/// and so many bytes of messages.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// What was told of late.
#[derive(Debug, Default)]
pub(super) struct NoticeHistory {
    /// What is written down is this, and not a copy.
    all: Arc<History>,
    bytes: usize,
}

impl NoticeHistory {
    pub(super) fn new(kept: History) -> Self {
        let bytes = kept.iter().map(|it| it.notice.message.len()).sum();
        let mut past = Self { bytes, all: Arc::new(kept) };
        past.drop_oldest();
        past
    }

    pub(super) fn all(&self) -> &Arc<History> {
        &self.all
    }

    /// Takes in what is told now, and asks for it to be kept.
    pub(super) fn record_notices(&mut self, actions: &mut Vec<Action>, now: Now) {
        let at = since_epoch(now.utc);
        let mut is_news = false;
        for action in &*actions {
            if let Action::Tell(notice) = action {
                self.record_notice(notice, at);
                is_news = true;
            }
        }
        if is_news {
            actions.push(Action::Keep(Record::History(self.all.clone())));
        }
    }

    fn record_notice(&mut self, notice: &Notice, at: u64) {
        let same =
            |it: &Arc<HistoryEntry>| it.notice.message == notice.message && it.notice.reason == notice.reason;
        let all = Arc::make_mut(&mut self.all);
        let before = all.iter().position(same).and_then(|index| all.remove(index));
        let (first, times) = before.map_or((at, 0), |it| (it.first, it.notice.times));
        self.bytes += if times == 0 { notice.message.len() } else { 0 };
        let notice = Notice { times: times.saturating_add(notice.times), ..notice.clone() };
        all.push_back(Arc::new(HistoryEntry { at, first, notice }));
        self.drop_oldest();
    }

    fn drop_oldest(&mut self) {
        let all = Arc::make_mut(&mut self.all);
        while all.len() > MAX_ENTRIES || self.bytes > MAX_MESSAGE_BYTES {
            let Some(oldest) = all.pop_front() else { return };
            self.bytes -= oldest.notice.message.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::agent::model::notice::Reason;

    fn tell(past: &mut NoticeHistory, at: u64, message: &str) -> Option<Arc<History>> {
        let now = Now { up: Duration::ZERO, utc: SystemTime::UNIX_EPOCH + Duration::from_secs(at) };
        let mut actions = vec![Action::Tell(Notice::info(Reason::Started, message))];
        past.record_notices(&mut actions, now);
        match actions.pop() {
            Some(Action::Keep(Record::History(kept))) => Some(kept),
            _ => None,
        }
    }

    #[test]
    fn what_is_told_again_is_counted_and_moves_to_the_end() {
        let mut past = NoticeHistory::default();
        for (at, message) in [(1, "a"), (2, "b"), (3, "a")] {
            tell(&mut past, at, message);
        }
        let told = past.all().iter().map(|it| (&*it.notice.message, it.notice.times, it.first, it.at));
        assert_eq!(told.collect::<Vec<_>>(), [("b", 1, 2, 2), ("a", 2, 1, 3)]);
    }

    #[test]
    fn neither_many_nor_long_messages_are_kept_without_end() {
        let mut past = NoticeHistory::default();
        for at in 0..1000 {
            assert_eq!(tell(&mut past, at, &at.to_string()).unwrap().back().unwrap().at, at);
        }
        assert_eq!((past.all().len(), past.all()[0].at), (MAX_ENTRIES, 800));
        for at in 0..40 {
            tell(&mut past, at, &format!("{at}{}", "x".repeat(4000)));
        }
        let bytes: usize = past.all().iter().map(|it| it.notice.message.len()).sum();
        assert!(bytes == past.bytes && bytes <= MAX_MESSAGE_BYTES && past.all().len() == 16, "{bytes}");
        let more = past.all().iter().cycle().take(1000).cloned().collect();
        assert_eq!(NoticeHistory::new(more).all().len(), 16, "and none that another version kept");
    }

    #[test]
    fn where_nothing_is_told_nothing_is_written() {
        let (mut past, mut actions) = (NoticeHistory::default(), Vec::new());
        past.record_notices(&mut actions, Now { up: Duration::ZERO, utc: SystemTime::UNIX_EPOCH });
        assert!(actions.is_empty());
    }
}
