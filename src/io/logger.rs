//! The log: one line a message, on stderr. It is written by a thread of its own, so that no other thread waits for
//! what reads it: what isn't read costs lines of the log, which are counted, and nothing else.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, poll};
use simplelog::{Config, ConfigBuilder, WriteLogger};

use super::{clock::wall, journal, lock, spawn_with_stack};
use crate::agent::{
    model::time::{date, format_timestamp},
    redact::Redactor,
    sanitize,
};

/// Of what waits to be written, in bytes.
const MAX_QUEUED_BYTES: usize = 128 * 1024;
/// How long an end waits for the last lines to be read: a quarter of the 2 s within which the agent ends.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
const STACK: usize = 64 * 1024;

/// The log of this process.
pub struct Logger {
    /// Where stderr isn't the journal.
    plain: Option<Box<WriteLogger<LineQueueWriter>>>,
    queue: Arc<Queue>,
}

/// What simplelog writes, with the time before it: simplelog's own ends the process in the year 10000.
struct LineQueueWriter {
    queue: Arc<Queue>,
    line: Vec<u8>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    /// Something came, or all was written.
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<String>,
    /// In bytes.
    size: usize,
    /// How many lines didn't fit, since it was said last. As long as there are any, none is taken: their place in the
    /// log is plain.
    lost: u64,
    is_writing: bool,
}

/// What no line may hold.
static REDACTOR: Mutex<Option<Arc<Redactor>>> = Mutex::new(None);

/// From now on no line holds what this one knows.
pub fn set_redactor(redactor: &Arc<Redactor>) {
    let mut present = lock(&REDACTOR);
    if !present.as_ref().is_some_and(|present| Arc::ptr_eq(present, redactor)) {
        *present = Some(Arc::clone(redactor));
    }
}

/// What no line holds.
pub(super) fn current_redactor() -> Option<Arc<Redactor>> {
    lock(&REDACTOR).clone()
}

/// Starts to log. It ends with the process; see [`flush`](Log::flush).
///
/// # Errors
/// There is no thread to be had, or there is a log already.
pub fn start(level: LevelFilter) -> Result<(), String> {
    let queue = Arc::new(Queue::default());
    let is_journal = journal::is_stderr();
    let writer = Arc::clone(&queue);
    // not std's own: that is locked while a write to it waits
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?);
    spawn_with_stack("log", STACK, move || writer.write(is_journal, stderr))
        .map_err(|error| error.to_string())?;
    log::set_max_level(level);
    log::set_boxed_logger(Box::new(Logger::new(is_journal, queue))).map_err(|error| error.to_string())
}

fn config() -> Config {
    let mut config = ConfigBuilder::new();
    config.set_time_level(LevelFilter::Off).set_target_level(LevelFilter::Off);
    config.set_thread_level(LevelFilter::Off).set_location_level(LevelFilter::Off);
    config.build()
}

fn with_timestamp(line: &str) -> String {
    let now = wall();
    let millis = |date: DateTime<Utc>| date.to_rfc3339_opts(SecondsFormat::Millis, true);
    format!("{} {line}", date(now).map_or_else(|| format_timestamp(now), millis))
}

impl Logger {
    fn new(is_journal: bool, queue: Arc<Queue>) -> Self {
        let lines = LineQueueWriter { queue: Arc::clone(&queue), line: Vec::new() };
        let plain = (!is_journal).then(|| WriteLogger::new(LevelFilter::Trace, config(), lines));
        Self { plain, queue }
    }

    /// A message that may be anything.
    fn queue_message(&self, level: Level, text: &str) {
        let text = sanitize::sanitize_message(text);
        match &self.plain {
            Some(plain) => plain.log(&Record::builder().level(level).args(format_args!("{text}")).build()),
            None => self.queue.put(journal::with_priority_prefix(level, &text)),
        }
    }
}

impl Write for LineQueueWriter {
    /// A message comes in pieces, the last of which is its line end.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(piece);
        if piece.ends_with(b"\n") {
            self.queue.put(with_timestamp(&String::from_utf8_lossy(&self.line)));
            self.line.clear();
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("device_worker_ng")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            let redactor = lock(&REDACTOR).clone();
            let text = redactor.as_ref().map_or(text.as_str().into(), |it| it.redact(&text));
            self.queue_message(record.level(), &text);
        }
    }

    /// Waits until all was written, though not long for a reader that doesn't read.
    fn flush(&self) {
        self.queue.flush();
    }
}

impl Queue {
    fn put(&self, line: String) {
        let mut state = lock(&self.state);
        if state.lost > 0 || state.size + line.len() > MAX_QUEUED_BYTES {
            state.lost += 1;
        } else {
            state.size += line.len();
            state.waiting.push_back(line);
        }
        self.changed.notify_all();
    }

    fn flush(&self) {
        let is_busy =
            |state: &mut QueueState| state.is_writing || !state.waiting.is_empty() || state.lost > 0;
        let waited = self.changed.wait_timeout_while(lock(&self.state), FLUSH_TIMEOUT, is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn write(&self, is_journal: bool, mut to: File) {
        loop {
            let is_idle = |state: &mut QueueState| state.waiting.is_empty() && state.lost == 0;
            let waited = self.changed.wait_while(lock(&self.state), is_idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let line = match state.waiting.pop_front() {
                Some(line) => line,
                None => lost_lines_message(is_journal, std::mem::take(&mut state.lost)),
            };
            state.size = state.size.saturating_sub(line.len());
            state.is_writing = true;
            drop(state);
            write_line(&mut to, line.as_bytes());
            lock(&self.state).is_writing = false;
            self.changed.notify_all();
        }
    }
}

/// In one piece where that can be: the receiver of posts writes into the same stream. What can't be written at all
/// could be told to no one.
fn write_line(to: &mut File, mut line: &[u8]) {
    while !line.is_empty() {
        match to.write(line) {
            Ok(0) => return,
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // whose terminal or pipe this is may have made it so
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(to, PollFlags::OUT)], None);
            }
            Err(_) => return,
        }
    }
}

fn lost_lines_message(is_journal: bool, lines: u64) -> String {
    let lines = if lines == 1 { "1 line was".to_owned() } else { format!("{lines} lines were") };
    let text = format!("{lines} lost, as the log was not read");
    if is_journal {
        journal::with_priority_prefix(Level::Warn, &text)
    } else {
        with_timestamp(&format!("[WARN] {text}\n"))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::fd::OwnedFd};

    use super::*;

    fn pipe() -> (File, File) {
        let (read, write) = io::pipe().unwrap();
        (OwnedFd::from(read).into(), OwnedFd::from(write).into())
    }

    #[test]
    fn a_log_that_is_not_read_costs_lines_and_nothing_else() {
        let (mut read, write) = pipe();
        let queue = Arc::new(Queue::default());
        let writer = Arc::clone(&queue);
        std::thread::spawn(move || writer.write(true, write));
        let line = |number: u32| {
            journal::with_priority_prefix(Level::Info, &format!("{number} {}", "x".repeat(990)))
        };
        (0..1000).for_each(|number| queue.put(line(number))); // and nothing waits
        let lost = lock(&queue.state).lost;
        assert!((700..900).contains(&lost), "{lost}");
        let mut text = String::new();
        let mut chunk = vec![0; 64 * 1024];
        while !text.contains("lost") {
            let read = read.read(&mut chunk).unwrap();
            text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
        }
        assert!(text.ends_with(&format!("\n<4>{lost} lines were lost, as the log was not read\n")), "{text}");
        assert_eq!(text.lines().count() as u64, 1000 - lost + 1);
        queue.put(line(1000));
        queue.flush();
        let read = read.read(&mut chunk).unwrap();
        assert!(chunk[..read].starts_with(b"<6>1000 x"));
    }

    #[test]
    fn an_end_does_not_wait_for_who_does_not_read() {
        let (_read, write) = pipe();
        let queue = Arc::new(Queue::default());
        let writer = Arc::clone(&queue);
        std::thread::spawn(move || writer.write(true, write));
        (0..100).for_each(|_| queue.put(journal::with_priority_prefix(Level::Info, &"x".repeat(1000))));
        let before = crate::io::since_boot();
        queue.flush();
        assert!(crate::io::since_boot() - before < FLUSH_TIMEOUT * 3);
    }

    #[test]
    fn a_message_is_one_line_of_the_log_whatever_it_says() {
        let said = |is_journal: bool, level: Level, text: &str| {
            let queue = Arc::new(Queue::default());
            Logger::new(is_journal, Arc::clone(&queue)).queue_message(level, text);
            let mut state = lock(&queue.state);
            assert_eq!(state.waiting.len(), 1);
            state.waiting.pop_front().unwrap()
        };
        assert_eq!(said(true, Level::Warn, "failed: a\n<3>b\x1b[2J"), "<4>failed: a <3>b\\u001b[2J\n");
        let caret = "condition 'c': column 4\n    x <\n       ^";
        assert_eq!(said(true, Level::Warn, caret), "<4>condition 'c': column 4\n<4>    x <\n<4>       ^\n");
        assert!(said(false, Level::Warn, caret).ends_with(&format!("Z [WARN] {caret}\n")));
        let plain = said(false, Level::Error, "a\nb");
        assert!(plain.ends_with("Z [ERROR] a b\n") && plain.len() == 37, "{plain}");
    }
}
