//! The thread that writes down what must survive: a slow disk must not hold up the loop. Of each kind only the newest
//! counts: a burst is one write, if the disk is slower.
//!
//! The loop waits for no write: a `kill -9` costs at most what was decided in the few milliseconds before it. A person
//! does: that something is done is said when it is kept.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendError, Sender, bounded};

use super::{
    lock,
    persistence::{Stores, write},
    query::Queries,
};
use crate::agent::{
    Event,
    model::{
        question::{Asker, Reply},
        record::Record,
        subsystem::Storage,
    },
};

/// The end of the agent waits this long for the last write, if need be: half of the 2 s within which it ends.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// After a write that failed, to the next try, if nothing else is to be written before.
const WRITE_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// What waits for the thread that writes.
#[derive(Default)]
struct PendingRecords {
    records: Vec<Record>,
    /// Who is to be told what is done, as soon as that is kept.
    replies: Vec<(Asker, String)>,
}

/// The way to the thread that writes.
pub struct Recorder {
    pending: Arc<Mutex<PendingRecords>>,
    wake: Sender<()>,
    /// Ends with the thread.
    ended: Receiver<()>,
}

impl Recorder {
    /// Starts the thread; it tells of each write as [`Event::Stored`].
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(stores: Stores, queries: Queries, events: Sender<Event>) -> io::Result<Self> {
        let pending: Arc<Mutex<PendingRecords>> = Arc::default();
        let (wake, woken) = bounded(1);
        let (end, ended) = bounded(0);
        let shared = Arc::clone(&pending);
        super::spawn("recorder", move || {
            let _end: Sender<()> = end;
            let mut wait = Duration::MAX;
            while woken.recv_timeout(wait) != Err(RecvTimeoutError::Disconnected) {
                let Ok(failed) = write_pending(&stores, &shared, &queries, &events) else { return };
                wait = if failed { WRITE_RETRY_INTERVAL } else { Duration::MAX };
            }
        })?;
        Ok(Self { pending, wake, ended })
    }

    /// Waits until all is written, but not for long.
    pub fn flush_and_end(self) {
        drop(self.wake);
        let _ = self.ended.recv_timeout(LAST_WRITE_TIMEOUT);
    }

    /// Takes the record, and never blocks.
    pub fn record(&self, record: Record) {
        merge_record(&mut lock(&self.pending).records, record);
        let _ = self.wake.try_send(()); // full: it is awake
    }

    /// Tells who asked what is done, when all that was recorded before is written. Never blocks.
    pub fn reply_when_saved(&self, asker: Asker, what: String) {
        lock(&self.pending).replies.push((asker, what));
        let _ = self.wake.try_send(());
    }
}

fn merge_record(records: &mut Vec<Record>, record: Record) {
    let kind = std::mem::discriminant(&record);
    let older = records.iter().position(|older| std::mem::discriminant(older) == kind);
    let older = older.map(|at| records.remove(at));
    records.push(match (older, record) {
        // each tells of some
        (Some(Record::Replaced(mut all)), Record::Replaced(newer)) => {
            all.extend(newer);
            Record::Replaced(all)
        }
        (_, record) => record,
    });
    // it removes what the others leave of their former contents
    records.sort_by_key(|it| matches!(it, Record::Disconnected));
}

/// Writes what is pending, and replies. What can't be kept over a reboot waits for the next try: answers whether something
/// does. An error: the loop has ended.
fn write_pending(
    stores: &Stores,
    pending: &Mutex<PendingRecords>,
    queries: &Queries,
    events: &Sender<Event>,
) -> Result<bool, SendError<Event>> {
    let PendingRecords { records, replies } = std::mem::take(&mut *lock(pending));
    let (mut failed, mut cause) = (Vec::new(), None::<String>);
    for record in records {
        let result = match &cause {
            Some(cause) if record == Record::Disconnected => Err(cause.clone()), // not before the others
            _ => write(stores, &record).map_err(|error| error.to_string()),
        };
        let kept = match record {
            Record::Undelivered(_) => Storage::Unheard,
            Record::BuiltInMetrics(_) | Record::Hysteresis(_) => Storage::History, // in the same place
            Record::History(_) => Storage::History,
            _ => Storage::State,
        };
        if let (Storage::State, Err(error)) = (kept, &result) {
            cause = Some(error.clone());
            failed.push(record);
        }
        events.send(Event::Stored(kept, result))?;
    }
    for (asker, what) in replies {
        queries.reply(
            asker,
            match &cause {
                None => Reply::Done(what),
                Some(cause) => Reply::NotKept(format!("{what}; a restart of the agent ends that: {cause}")),
            },
        );
    }
    let is_left = !failed.is_empty();
    if is_left {
        let records = &mut lock(pending).records;
        std::mem::replace(records, failed).into_iter().for_each(|newer| merge_record(records, newer));
    }
    Ok(is_left)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{
        agent::model::{
            call::UndeliveredEvents,
            notice::{Notice, Reason},
            question::Question,
            stop::{ManualStop, ManualStops},
        },
        io::persistence,
    };

    fn unheard(messages: &[&str]) -> Record {
        let events = messages.iter().map(|message| Notice::warning(Reason::Failed, *message)).collect();
        Record::Undelivered(UndeliveredEvents { events, dropped: 3 })
    }

    #[test]
    fn a_burst_of_events_is_few_writes_and_the_newest_is_read_after_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
        let (events, inbox) = bounded(1); // the writer waits here after its second write
        let recorder = Recorder::start(stores.clone(), Queries::new(events.clone()), events).unwrap();
        for last in 0..50 {
            recorder.record(unheard(&["first", &format!("event {last}")]));
        }
        let reader = std::thread::spawn(move || inbox.iter().count());
        recorder.flush_and_end();
        let messages =
            persistence::undelivered_events(&stores.runtime).events.into_iter().map(|event| event.message);
        assert!(messages.eq(["first", "event 49"]));
        let writes = reader.join().unwrap();
        assert!(writes < 10, "{writes} writes");
        let path = dir.path().join("run/server/unheard");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!dir.path().join("state").exists(), "no wear of the flash");
    }

    #[test]
    fn that_the_device_is_disconnected_is_written_when_all_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), dir.path());
        let (events, inbox) = crossbeam_channel::unbounded();
        let pending = Mutex::<PendingRecords>::default();
        let stop = ManualStop { since: Some(3), until_not: None };
        let stops = Record::Stops(ManualStops::from([("a".into(), stop)]));
        merge_record(&mut lock(&pending).records, Record::Disconnected);
        merge_record(&mut lock(&pending).records, stops.clone());
        assert_eq!(lock(&pending).records, [stops, Record::Disconnected]);
        let queries = Queries::new(events.clone());
        fs::create_dir_all(dir.path().join("state/stops.new")).unwrap(); // in the way of that alone
        for (is_left, is_written) in [(true, false), (false, true)] {
            assert_eq!(write_pending(&stores, &pending, &queries, &events), Ok(is_left));
            assert_eq!(persistence::is_disconnected(&stores.state), is_written);
            let _ = fs::remove_dir(dir.path().join("state/stops.new"));
        }
        assert_eq!(inbox.len(), 4);
    }

    #[test]
    fn who_asked_is_told_that_it_is_done_when_it_is_kept_and_otherwise_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), dir.path());
        let (events, inbox) = crossbeam_channel::unbounded();
        let queries = Queries::new(events.clone());
        let recorder = Recorder::start(stores.clone(), queries.clone(), events).unwrap();
        let stop = ManualStop { since: Some(3), until_not: None };
        let stops = ManualStops::from([("a".into(), stop)]);
        let told = |record: Option<Record>| {
            std::thread::scope(|scope| {
                let asked = scope.spawn(|| queries.ask(Question::RollBack("a".into(), None)));
                let is_question = |event: Event| match event {
                    Event::Asked(asker, _) => Some(asker),
                    _ => None,
                };
                let asker = inbox.iter().find_map(is_question).unwrap();
                record.into_iter().for_each(|record| recorder.record(record));
                recorder.reply_when_saved(asker, "it is done".into());
                let reply = asked.join().unwrap();
                (reply, persistence::manual_stops(&stores.state) == stops)
            })
        };
        fs::write(dir.path().join("state"), "in the way").unwrap();
        for record in [Some(Record::Stops(stops.clone())), None] {
            let (Some(Reply::NotKept(why)), false) = told(record) else { panic!("as if it were kept") };
            assert!(
                why.starts_with("it is done; a restart of the agent ends that: failed to write '"),
                "{why}"
            );
        }
        fs::remove_file(dir.path().join("state")).unwrap();
        assert_eq!(told(None), (Some(Reply::Done("it is done".into())), true), "the next try");
        recorder.record(Record::Stops(ManualStops::new()));
        assert_eq!(told(Some(Record::Stops(stops.clone()))), (Some(Reply::Done("it is done".into())), true));
    }
}
