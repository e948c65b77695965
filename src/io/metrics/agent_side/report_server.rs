//! Answers the receiver when it asks for a report of how everything is.
//!
//! A thread of its own, as a report is written in milliseconds and posts are answered in microseconds. Whatever a
//! receiver has become, it can do no more here than read, and make the agent work for a small part of its time.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::agent::{
    model::question::{Question, Reply},
    view::history,
};
use crate::io::{clock::poll_timeout, query::Queries, since_boot};
use crate::wire::own::frames::{MAX_REPORT, ReportKind, ReportRefusal, encode_report_head};
use crate::wire::own::openmetrics;

/// For a receiver to take what it asked for.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// From one report to the next.
const MIN_REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Knows how to ask the loop, and what a receiver may read.
#[derive(Debug, Clone)]
pub(super) struct ReportServer {
    pub(super) queries: Queries,
    /// Whether there is a status page.
    pub(super) has_page: bool,
}

impl ReportServer {
    /// Answers until the receiver is gone, or takes no answers.
    pub(super) fn run(&self, mut socket: &UnixStream) -> io::Result<Infallible> {
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        loop {
            let mut kind = [0];
            socket.read_exact(&mut kind)?;
            let report = self.report(ReportKind::read(kind).map_err(io::Error::other)?);
            socket
                .write_all(&encode_report_head(report.as_ref().map(Vec::len).map_err(|refused| *refused)))?;
            socket.write_all(&report.unwrap_or_default())?;
            let rested = since_boot() + MIN_REPORT_INTERVAL;
            // Not watched for anything, it still ends the rest when it is closed.
            poll(
                &mut [PollFd::new(socket, PollFlags::empty())],
                poll_timeout(Some(rested), since_boot()).as_ref(),
            )?;
        }
    }

    fn report(&self, kind: ReportKind) -> Result<Vec<u8>, ReportRefusal> {
        if kind != ReportKind::Metrics && !self.has_page {
            return Err(ReportRefusal::Off);
        }
        let question = if kind == ReportKind::History { Question::History } else { Question::Report };
        let mut out = BoundedWriter(Vec::new());
        let written = match self.queries.ask(question) {
            Some(Reply::Report(report)) if kind == ReportKind::Metrics => {
                openmetrics::write(&report, &mut out)
            }
            Some(Reply::Report(report)) => serde_json::to_writer(&mut out, &report).map_err(io::Error::from),
            Some(Reply::History(past)) => {
                serde_json::to_writer(&mut out, &history::events(&past, None)).map_err(io::Error::from)
            }
            _ => return Err(ReportRefusal::Busy),
        };
        written.map(|()| out.0).map_err(|_| ReportRefusal::TooLong)
    }
}

/// As much as a receiver takes.
struct BoundedWriter(Vec<u8>);

impl Write for BoundedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_REPORT {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::agent::{
        Event,
        model::report::{Device, Metric, Report},
    };
    use crate::wire::own::frames::{REPORT_HEAD_LEN, read_report_head};

    fn report(metrics: usize) -> Report {
        let device = Device {
            id: "pi".into(),
            healthy: true,
            server: None,
            engines: vec![],
            shortages: vec![],
            problems: vec![],
            elsewhere: vec![],
        };
        let metric = |n: usize| Metric { name: format!("{n:0128}"), value: Some(1.0), age: None };
        Report {
            version: "1",
            device,
            workloads: vec![],
            profiles: vec![],
            metrics: (0..metrics).map(metric).collect(),
        }
    }

    /// Asks a server of reports whose loop knows so many metrics; `None`: it has no loop.
    fn answers_to(
        metrics: Option<usize>,
        has_page: bool,
        kinds: &[u8],
    ) -> Vec<Result<String, ReportRefusal>> {
        let (events, inbox) = bounded(1);
        let queries = Queries::new(events);
        if let Some(metrics) = metrics {
            let queries = queries.clone();
            std::thread::spawn(move || {
                while let Ok(Event::Asked(asker, question)) = inbox.recv() {
                    let reply = match question {
                        Question::History => Reply::History(Default::default()),
                        _ => Reply::Report(Box::new(report(metrics))),
                    };
                    queries.reply(asker, reply);
                }
            });
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || ReportServer { queries, has_page }.run(&theirs));
        let answer = |kind: &u8| {
            (&ours).write_all(&[*kind]).unwrap();
            let mut head = [0; REPORT_HEAD_LEN];
            (&ours).read_exact(&mut head).unwrap();
            let mut body = vec![0; read_report_head(head)?];
            (&ours).read_exact(&mut body).unwrap();
            Ok(String::from_utf8(body).unwrap())
        };
        kinds.iter().map(answer).collect()
    }

    #[test]
    fn a_receiver_is_told_what_the_settings_allow() {
        let [metrics, status, past] = &answers_to(Some(1), true, &[0, 1, 2])[..] else { unreachable!() };
        assert_eq!(past.as_deref(), Ok("{\"events\":[]}"));
        assert!(metrics.as_ref().unwrap().ends_with("# EOF\n"));
        let status: serde_json::Value = serde_json::from_str(status.as_ref().unwrap()).unwrap();
        assert_eq!(status["device"]["id"], "pi");
        let answers = answers_to(Some(1), false, &[1, 2, 0]);
        assert_eq!(answers[..2], [Err(ReportRefusal::Off), Err(ReportRefusal::Off)]);
        assert!(answers[2].is_ok());
    }

    #[test]
    fn what_would_be_too_long_or_comes_from_nowhere_is_refused() {
        let answers = answers_to(Some(20_000), true, &[0, 1, 0]);
        assert!(answers.iter().all(|answer| *answer == Err(ReportRefusal::TooLong)), "{answers:.80?}");
        assert_eq!(answers_to(None, true, &[0]), [Err(ReportRefusal::Busy)]);
    }

    #[test]
    fn a_receiver_that_asks_without_end_gets_ten_answers_a_second_at_most() {
        let start = since_boot();
        assert_eq!(answers_to(Some(1), true, &[1; 6]).len(), 6);
        assert!(since_boot() - start >= 5 * MIN_REPORT_INTERVAL);
    }

    #[test]
    fn a_receiver_that_asks_for_what_is_not_there_is_given_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = ReportServer { queries: Queries::new(bounded(1).0), has_page: true };
        (&ours).write_all(&[7]).unwrap();
        let Err(error) = server.run(&theirs);
        assert_eq!(error.to_string(), "malformed frame: no such question");
    }
}
