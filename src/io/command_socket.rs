//! The way from a person at the device to the agent: a unix socket for the agent's user alone, and what goes over it.
//!
//! ```text
//! command line ── words, each ended by a zero byte ──► command_socket ──► query ──► the loop
//!              ◄── exit code as a digit, then text ───
//! ```

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use crossbeam_channel::Sender;
use log::debug;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SocketFlags, accept_with, sockopt::socket_peercred},
    process::geteuid,
};
use serde::Serialize;

use super::{listener::Listener, query::Queries, spawn_with_stack};
use crate::agent::{
    Event,
    expression::{Expression, MetricIndex},
    model::{
        part::Part,
        question::{Question, Reply},
        report::Report,
    },
    view::text,
};

/// The socket's name in the runtime directory.
const SOCKET: &str = "control.sock";
/// For what a client says, and for taking the reply.
const LIMIT: Duration = Duration::from_secs(2);
/// For the agent's reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of a question, in bytes.
const LONGEST: u64 = 16 * 1024;
/// Reading an expression takes up to 112 KiB of it, and more without optimization; what isn't used costs nothing.
const STACK: usize = 1 << 20;
/// Without descriptors for another client.
const PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// From one look at whether the socket still has its name to the next: what could tell of that can be used up.
const LOOK: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// What a command ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// All is as it should be.
    Good = 0,
    /// Something isn't.
    Bad = 1,
    /// There is no such workload, or the question makes no sense.
    Unknown = 2,
    /// The agent doesn't answer.
    Away = 3,
}

/// Starts listening. An agent whose socket can't be made works all the same, and tries again.
///
/// # Errors
/// The thread can't be started.
pub fn start(runtime_dir: &Path, queries: Queries, events: Sender<Event>) -> io::Result<()> {
    let path = runtime_dir.join(SOCKET);
    spawn_with_stack("commands", STACK, move || serve(&path, &queries, &events))
}

/// Until the loop has ended. One client after the other: they are few, and none may take long.
fn serve(path: &Path, queries: &Queries, events: &Sender<Event>) {
    let mut present: Option<Listener> = None;
    loop {
        present = present.filter(Listener::is_there);
        if present.is_none() {
            let bound = Listener::bind(path, 0o600);
            let failed = |error: &io::Error| format!("failed to listen on '{}': {error}", path.display());
            let result = bound.as_ref().map(drop).map_err(failed);
            present = bound.ok();
            if events.send(Event::Works(Part::Commands, result)).is_err() {
                return;
            }
        }
        let mut fds: Vec<_> = present.iter().map(|it| PollFd::new(it.socket(), PollFlags::IN)).collect();
        if !poll(&mut fds, Some(&LOOK)).is_ok_and(|ready| ready > 0) {
            continue;
        }
        let Some(listener) = &present else { continue };
        match accept_with(listener.socket(), SocketFlags::CLOEXEC) {
            Ok(stream) => {
                if let Err(error) = attend(&UnixStream::from(stream), queries) {
                    debug!("a command got no reply: {error}");
                }
            }
            Err(error) => {
                debug!("failed to accept a command: {error}");
                let _ = poll(&mut [], Some(&PAUSE));
            }
        }
    }
}

fn attend(mut stream: &UnixStream, queries: &Queries) -> io::Result<()> {
    let user = socket_peercred(stream)?.uid;
    if !user.is_root() && user != geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut question = Vec::new();
    stream.take(LONGEST).read_to_end(&mut question)?;
    let question = String::from_utf8_lossy(&question);
    let words: Vec<&str> = question.split_terminator('\0').collect();
    let (code, text) = reply(&words, queries);
    stream.write_all(format!("{}{text}", code as u8).as_bytes())
}

fn reply(words: &[&str], queries: &Queries) -> (Code, String) {
    let (command, is_json) = match words {
        [command @ .., "--json"] => (command, true),
        command => (command, false),
    };
    if let ["restart", name] = command {
        return restart(name, queries);
    }
    let Some(Reply::Report(report)) = queries.ask(Question::Report) else {
        return (Code::Away, "the agent is too busy to reply\n".to_owned());
    };
    let named = |name: &str| report.workloads.iter().find(|workload| workload.name == name);
    match command {
        ["status"] => {
            let code = if report.device.healthy { Code::Good } else { Code::Bad };
            (code, shown(is_json, &*report, text::status))
        }
        ["metrics"] if is_json => (Code::Good, json(&report.metrics)),
        ["metrics"] => (Code::Good, text::metrics(&report)),
        ["describe" | "explain", name] => {
            let Some(workload) = named(name) else { return no_workload(name) };
            match command[0] {
                "describe" => (Code::Good, shown(is_json, workload, text::describe)),
                _ if workload.well => (Code::Good, shown(is_json, workload, text::explain)),
                _ => (Code::Bad, shown(is_json, workload, text::explain)),
            }
        }
        ["eval", expression] => evaluate(expression, &report, is_json),
        _ => (Code::Unknown, format!("the agent doesn't know the command '{}'\n", command.join(" "))),
    }
}

fn shown<T: Serialize>(is_json: bool, value: &T, text: impl Fn(&T) -> String) -> String {
    if is_json { json(value) } else { text(value) }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // nothing that is shown has a key that isn't text
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

fn no_workload(name: &str) -> (Code, String) {
    (Code::Unknown, format!("there is no workload '{name}'\n"))
}

fn restart(name: &str, queries: &Queries) -> (Code, String) {
    match queries.ask(Question::Restart(name.to_owned())) {
        Some(Reply::Restarting) => (Code::Good, format!("{name} gets a new pod\n")),
        Some(Reply::Checking) => {
            let text = "keeps its pod until it is known that a new one could start, which takes longer";
            (Code::Bad, format!("{name} {text}; 'explain {name}' and the log tell\n"))
        }
        Some(Reply::Refused(why)) => (Code::Bad, format!("{name} is not restarted: {why}\n")),
        Some(_) => no_workload(name),
        None => (Code::Away, "the agent is too busy to reply\n".to_owned()),
    }
}

/// What an expression means with the present values.
#[derive(Debug, Serialize)]
struct Evaluated {
    expression: String,
    holds: bool,
    metrics: Vec<(String, Option<f64>)>,
}

fn evaluate(expression: &str, report: &Report, is_json: bool) -> (Code, String) {
    let (mut metrics, mut values) = (Vec::<(String, Option<f64>)>::new(), Vec::new());
    let compiled = Expression::compile(expression, &mut |name| {
        let known = metrics.iter().position(|(other, _)| other == name);
        let at = known.unwrap_or_else(|| {
            let found = report.metrics.iter().find(|metric| metric.name == name);
            let value = found.and_then(|metric| metric.value);
            metrics.push((name.to_owned(), value));
            values.push(value.unwrap_or(f64::NAN));
            metrics.len() - 1
        });
        MetricIndex(at as u32)
    });
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(error) => return (Code::Unknown, format!("{error}\n")),
    };
    let holds = compiled.holds(&values);
    let code = if holds { Code::Good } else { Code::Bad };
    let evaluated = Evaluated { expression: compiled.to_string(), holds, metrics };
    let text = |it: &Evaluated| {
        let value = |(name, value): &(String, Option<f64>)| match value {
            Some(value) => format!("{name} is {value}\n"),
            None => format!("{name} is nil\n"),
        };
        let values: String = it.metrics.iter().map(value).collect();
        format!("{}: {}\n{values}", it.expression, it.holds)
    };
    (code, shown(is_json, &evaluated, text))
}

/// Asks the agent whose runtime directory this is: the code to end with, and what to print.
///
/// # Errors
/// There is no answer: why.
pub fn ask(runtime_dir: &Path, words: &[String]) -> Result<(u8, String), String> {
    let path: PathBuf = runtime_dir.join(SOCKET);
    let talk = || -> io::Result<String> {
        let mut stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(LIMIT))?;
        for word in words {
            stream.write_all(word.as_bytes())?;
            stream.write_all(&[0])?;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    };
    let reply = talk().map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("'{}' belongs to another user: try with sudo", path.display())
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no agent listens on '{}': is it running, and is this its RUNTIME_DIR?", path.display())
        }
        _ => format!("the agent doesn't answer on '{}': {error}", path.display()),
    })?;
    match reply.bytes().next() {
        Some(code @ b'0'..=b'9') => Ok((code - b'0', reply[1..].to_owned())),
        _ => Err(format!("the agent hung up on '{}' without a word", path.display())),
    }
}
