//! The way from a person at the device to the agent: a unix socket for the agent's user alone, and what goes over it.
//!
//! ```text
//! command line ── words, each ended by a zero byte ──► command_socket ──► query ──► the loop
//!              ◄── exit code as a digit, then text ───
//! ```

mod names;

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

use super::{
    clock, hardware_presence::presence_metric, listener::NamedUnixListener, logger, persistence,
    query::Queries, spawn_with_stack, state::Store,
};
use crate::agent::{
    Event,
    expression::{Expression, MetricIndex, NIL},
    model::{
        question::{Question, Reply, Wish},
        report::{Report, Workload},
        subsystem::Subsystem,
    },
    view::{document, history, table::PageStyle, text},
};

/// The socket's name in the runtime directory.
const SOCKET: &str = "control.sock";
/// For what a client says, and for taking the reply.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// For the agent's reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Of a question, in bytes.
const MAX_REQUEST_BYTES: u64 = 16 * 1024;
/// Reading an expression takes up to 112 KiB of it, and more without optimization; what isn't used costs nothing.
const STACK: usize = 1 << 20;
/// Without descriptors for another client.
const ACCEPT_RETRY_DELAY: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How many characters a line may have: the number follows.
pub const WIDTH_FLAG: &str = "--width=";
/// States are to be coloured.
pub const COLOUR_FLAG: &str = "--colour";
/// Asks where pods are: a command of commands.
pub const LOCATE_COMMAND: &str = "locate";
/// From one look at whether the socket still has its name to the next: what could tell of that can be used up.
const NAME_CHECK_INTERVAL: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// What a command ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// All is as it should be.
    Good = 0,
    /// Something isn't.
    Bad = 1,
    /// There is no such workload, or the question makes no sense.
    Unknown = 2,
    /// The agent doesn't answer.
    Away = 3,
}

/// Where the agent's pods are.
#[derive(Debug)]
pub struct PodLocation {
    /// Of podman, and of rootless podman.
    pub sockets: [PathBuf; 2],
    /// The label of its pods.
    pub owner: String,
    /// Where it is kept what ran before.
    pub state: Store,
}

/// Starts listening. An agent whose socket can't be made works all the same, and tries again.
///
/// # Errors
/// The thread can't be started.
pub fn start(
    runtime_dir: &Path,
    place: PodLocation,
    queries: Queries,
    events: Sender<Event>,
) -> io::Result<()> {
    let path = runtime_dir.join(SOCKET);
    spawn_with_stack("commands", STACK, move || serve(&path, &place, &queries, &events))
}

/// Until the loop has ended. One client after the other: they are few, and none may take long.
fn serve(path: &Path, place: &PodLocation, queries: &Queries, events: &Sender<Event>) {
    let mut present: Option<NamedUnixListener> = None;
    loop {
        present = present.filter(NamedUnixListener::is_path_current);
        if present.is_none() {
            let bound = NamedUnixListener::bind(path, 0o600);
            let failed = |error: &io::Error| format!("failed to listen on '{}': {error}", path.display());
            let result = bound.as_ref().map(drop).map_err(failed);
            present = bound.ok();
            if events.send(Event::Works(Subsystem::Commands, result)).is_err() {
                return;
            }
        }
        let mut fds: Vec<_> = present.iter().map(|it| PollFd::new(it.socket(), PollFlags::IN)).collect();
        if !poll(&mut fds, Some(&NAME_CHECK_INTERVAL)).is_ok_and(|ready| ready > 0) {
            continue;
        }
        let Some(listener) = &present else { continue };
        match accept_with(listener.socket(), SocketFlags::CLOEXEC) {
            Ok(stream) => {
                if let Err(error) = handle_client(&UnixStream::from(stream), place, queries) {
                    debug!("a command got no reply: {error}");
                }
            }
            Err(error) => {
                debug!("failed to accept a command: {error}");
                let _ = poll(&mut [], Some(&ACCEPT_RETRY_DELAY));
            }
        }
    }
}

fn handle_client(mut stream: &UnixStream, place: &PodLocation, queries: &Queries) -> io::Result<()> {
    let user = socket_peercred(stream)?.uid;
    if !user.is_root() && user != geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut question = Vec::new();
    stream.take(MAX_REQUEST_BYTES).read_to_end(&mut question)?;
    let question = String::from_utf8_lossy(&question);
    let words: Vec<&str> = question.split_terminator('\0').collect();
    let (code, text) = answer_command(&words, place, queries);
    stream.write_all(format!("{}{text}", code as u8).as_bytes())
}

/// What a person wants of a workload; none: the command only asks.
fn run_wish_command(
    command: &[&str],
    flags: &[&str],
    report: &Report,
    place: &PodLocation,
    queries: &Queries,
) -> Option<(ExitCode, String)> {
    let [word, name] = command else { return None };
    let wish = parse_wish(word, flags);
    if wish.is_none() && *word != "rollback" {
        return None;
    }
    let workload = match names::find_workload(report, name) {
        Ok(workload) => workload,
        Err(none) => return Some((ExitCode::Unknown, none)),
    };
    let name = workload.name.clone();
    let question = match wish {
        Some(wish) => Question::Wish(name, wish),
        None => {
            let before = persistence::previous_workload(&place.state, &name);
            Question::RollBack(name, before)
        }
    };
    Some(render_wish_reply(workload, word, queries.ask(question)))
}

fn answer_command(words: &[&str], place: &PodLocation, queries: &Queries) -> (ExitCode, String) {
    let flags = words.iter().rposition(|word| !word.starts_with("--")).map_or(0, |at| at + 1);
    let (command, flags) = words.split_at(flags);
    let is_json = flags.contains(&"--json");
    let width = flags.iter().find_map(|flag| flag.strip_prefix(WIDTH_FLAG)?.parse().ok());
    let look = PageStyle { width: width.unwrap_or(80), colour: flags.contains(&COLOUR_FLAG) };
    let Some(Reply::Report(report)) = queries.ask(Question::Report) else { return busy_reply() };
    let named = |name: &str| names::find_workload(&report, name).map_err(|none| (ExitCode::Unknown, none));
    if let Some(done) = run_wish_command(command, flags, &report, place, queries) {
        return done;
    }
    match command {
        ["status"] => {
            let code = if report.device.healthy { ExitCode::Good } else { ExitCode::Bad };
            (code, render_output(is_json, &*report, |report| text::status_page(report, look)))
        }
        ["metrics"] if is_json => (ExitCode::Good, json_document("metrics", &report.metrics)),
        ["metrics"] => (ExitCode::Good, text::metrics_page(&report, look)),
        ["describe" | "explain" | "update", name] => {
            let workload = match named(name) {
                Ok(workload) => workload,
                Err(none) => return none,
            };
            match command[0] {
                "describe" => (
                    ExitCode::Good,
                    render_output(is_json, workload, |workload| text::describe(workload, look)),
                ),
                _ if workload.well => (ExitCode::Good, render_output(is_json, workload, text::explain)),
                _ => (ExitCode::Bad, render_output(is_json, workload, text::explain)),
            }
        }
        [LOCATE_COMMAND, rest @ ..] => match rest.first().map(|name| named(name)).transpose() {
            Ok(workload) => (ExitCode::Good, place.locate_document(workload)),
            Err(none) => none,
        },
        ["history", rest @ ..] => {
            let Some(Reply::History(history)) = queries.ask(Question::History) else { return busy_reply() };
            let known = |name: &&str| history.iter().any(|it| it.notice.workload_name() == Some(name));
            // what happened to one that is gone is known all the same
            let about = match rest.first().map(|name| named(name).map(|it| &*it.name)).transpose() {
                Ok(name) => name,
                Err(none) => match rest.first().copied().filter(known) {
                    Some(name) => Some(name),
                    None => return none,
                },
            };
            let events = history::events(&history, about);
            (
                ExitCode::Good,
                if is_json { json_document("events", &events) } else { history::history_text(&events, look) },
            )
        }
        ["eval", expression] => evaluate(expression, &report, is_json),
        _ => (ExitCode::Unknown, format!("the agent doesn't know the command '{}'\n", command.join(" "))),
    }
}

impl PodLocation {
    /// What a command needs to read by itself of podman. What it prints of pods may no more hold than the log may.
    fn locate_document(&self, workload: Option<&Workload>) -> String {
        let confidential = logger::current_redactor();
        let confidential: Vec<&str> = confidential.iter().flat_map(|redactor| redactor.values()).collect();
        let [podman, rootless] = &self.sockets;
        json_document(
            "",
            &serde_json::json!({
                "podman": podman,
                "rootless podman": rootless,
                "owner": self.owner,
                "confidential": confidential,
                "workload": workload,
            }),
        )
    }
}

fn parse_wish(word: &str, flags: &[&str]) -> Option<Wish> {
    match word {
        "restart" => Some(Wish::Restart),
        "stop" => Some(Wish::Stop { until_changed: flags.contains(&"--until-changed") }),
        "start" => Some(Wish::Start),
        "run" => Some(Wish::Run),
        "update" if flags.contains(&"--now") => Some(Wish::Update),
        _ => None,
    }
}

fn busy_reply() -> (ExitCode, String) {
    (ExitCode::Away, "the agent is too busy to reply\n".to_owned())
}

fn render_output<T: Serialize>(is_json: bool, value: &T, text: impl Fn(&T) -> String) -> String {
    if is_json { json_document("", value) } else { text(value) }
}

/// `name`: what a list is called.
fn json_document<T: Serialize + ?Sized>(name: &str, value: &T) -> String {
    // nothing that is shown has a key that isn't text
    document::json_document(name, &serde_json::to_string(value).unwrap_or_default(), clock::wall())
}

/// What became of a wish.
fn render_wish_reply(workload: &Workload, word: &str, reply: Option<Reply>) -> (ExitCode, String) {
    let name = &workload.name;
    match reply {
        Some(Reply::Checking) => {
            let text = "keeps its pod until it is known that a new one could start, which takes longer";
            (ExitCode::Bad, format!("{name} {text}; 'device-worker-ng explain {name}' and the log tell\n"))
        }
        Some(Reply::Done(what)) => (ExitCode::Good, format!("{what}\n")),
        Some(Reply::NotKept(what)) => (ExitCode::Bad, format!("{what}\n")),
        Some(Reply::Refused(why)) => {
            let what = match word {
                "run" => "gets no run now",
                "update" => "is not updated",
                "rollback" => "is not rolled back",
                _ => "is not restarted",
            };
            (ExitCode::Bad, format!("{name} {what}: {why}\n"))
        }
        Some(_) => (ExitCode::Bad, format!("there is nothing to {word}: {}", text::explain(workload))),
        None => busy_reply(),
    }
}

/// What an expression means with the present values.
#[derive(Debug, Serialize)]
struct EvaluatedExpression {
    expression: String,
    holds: bool,
    metrics: Vec<(String, Option<f64>)>,
}

/// What no condition asks for, and the agent knows all the same.
fn own_metric(report: &Report, name: &str) -> Option<f64> {
    match name {
        "time.hour" => Some(clock::local_hour_and_weekday(clock::wall())?[0]),
        "time.weekday" => Some(clock::local_hour_and_weekday(clock::wall())?[1]),
        _ => presence_metric(name).or_else(|| report.built_in_metric(name)),
    }
}

fn evaluate(expression: &str, report: &Report, is_json: bool) -> (ExitCode, String) {
    let (mut metrics, mut values) = (Vec::<(String, Option<f64>)>::new(), Vec::new());
    let compiled = Expression::compile(expression, &mut |name| {
        let known = metrics.iter().position(|(other, _)| other == name);
        let at = known.unwrap_or_else(|| {
            let found = report.metrics.iter().find(|metric| metric.name == name);
            let value = found.map_or_else(|| own_metric(report, name), |metric| metric.value);
            metrics.push((name.to_owned(), value));
            values.push(value.unwrap_or(NIL));
            metrics.len() - 1
        });
        MetricIndex(at as u32)
    });
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(error) => return (ExitCode::Unknown, format!("{error}\n")),
    };
    let holds = compiled.holds(&values);
    let code = if holds { ExitCode::Good } else { ExitCode::Bad };
    let evaluated = EvaluatedExpression { expression: compiled.to_string(), holds, metrics };
    let text = |it: &EvaluatedExpression| {
        let value = |(name, value): &(String, Option<f64>)| match value {
            Some(value) => format!("{name} is {value}\n"),
            None => format!("{name} is nil\n"),
        };
        let values: String = it.metrics.iter().map(value).collect();
        format!("{}: {}\n{values}", it.expression, it.holds)
    };
    (code, render_output(is_json, &evaluated, text))
}

/// Asks the agent whose runtime directory this is: the code to end with, and what to print.
///
/// # Errors
/// There is no answer: why.
pub fn ask_agent(runtime_dir: &Path, words: &[String]) -> Result<(u8, String), String> {
    let path: PathBuf = runtime_dir.join(SOCKET);
    let talk = || -> io::Result<String> {
        let mut stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
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
        io::ErrorKind::WouldBlock => {
            format!(
                "no answer on '{}' within {} s: is the agent stopped?",
                path.display(),
                REPLY_TIMEOUT.as_secs()
            )
        }
        _ => format!("the agent doesn't answer on '{}': {error}", path.display()),
    })?;
    match reply.bytes().next() {
        Some(code @ b'0'..=b'9') => Ok((code - b'0', reply[1..].to_owned())),
        _ => Err(format!("the agent hung up on '{}' without a word", path.display())),
    }
}
