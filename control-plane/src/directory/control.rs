//! Commands: a line each, from the terminal or from `control.sock`, where the answer's last line is `ok` or begins with
//! `error:`.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, stdin},
    net::{UnixListener, UnixStream},
};

use super::Directory;
use crate::{
    authority::{self, Flaw},
    edge::{Door, Edge},
    store::Stage,
    tls,
};

/// For `--help` and `help`.
pub(crate) const HELP: &str = "\
Commands, on the terminal or by `flotta-edge-api tell DIR COMMAND`:
  devices                   list the devices
  approve ID, refuse ID     let a device in, or not
  approval MODE             auto, ask, never, after=SECONDS
  disconnect ID             as `kubectl delete`: no workloads any more, and the command `disconnect`
  delete ID                 the device is unknown from now on: 404, and the command `disconnect` to its certificate
  events ID                 list the device's events that came through
  certificate-seconds N     how long certificates from now on are valid; may be negative
  quit                      end
With --faults also:
  server-certificate KIND   good, expired, future, wrong-name, foreign (another CA)
  door STATE                open, refuse (nothing listens), silent (accepts, says nothing)
  hangup                    reset all connections
  fault KIND [call=CALL] [device=ID] [times=N] [retry-after=TEXT]
                            misbehave, until cleared or N times; the first fault that fits counts
  faults                    list them
  clear                     no faults, an open door, a good server certificate
Kinds of faults:
  401, 404, 503, ...        this status, and nothing is done
  stall                     no answer, and nothing is done
  slow=MS                   the answer comes later
  drip=MS                   the answer comes byte by byte
  reset, lost               the connection is reset: before anything is done, or before the answer to it
  cut                       the connection breaks in the middle of the answer
  truncated, types, html, empty, huge
                            half the JSON, JSON of wrong types, a web page, nothing, 64 MiB of blanks
Calls: enrol, register, heartbeat, configuration, control, other
Example: fault 503 call=heartbeat times=2 retry-after=7";

/// Where commands come in: there before anything says that the server is.
pub(crate) fn bind(edge: &Edge<Directory>) -> Result<UnixListener> {
    let path = edge.store.control_socket();
    // One left over by a server that was killed.
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).with_context(|| format!("failed to listen on '{}'", path.display()))
}

/// Answers on the socket, for ever.
pub(crate) async fn listen(edge: Arc<Edge<Directory>>, listener: UnixListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let edge = Arc::clone(&edge);
        tokio::spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut answer = match obey(&edge, &line) {
                    Ok(text) if text.is_empty() => "ok\n".to_owned(),
                    Ok(text) => format!("{text}\nok\n"),
                    Err(error) => format!("error: {error:#}\n"),
                };
                if is_quit(&line) {
                    answer = "ok\n".to_owned();
                }
                if writer.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                if is_quit(&line) {
                    let _ = std::fs::remove_file(edge.store.control_socket());
                    std::process::exit(0);
                }
            }
        });
    }
}

/// No more commands.
pub(crate) fn close(edge: &Edge<Directory>) {
    let _ = std::fs::remove_file(edge.store.control_socket());
}

/// Obeys what is typed, until `quit`.
pub(crate) async fn terminal(edge: Arc<Edge<Directory>>) {
    read(&edge, stdin()).await;
}

async fn read(edge: &Edge<Directory>, input: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if is_quit(&line) {
            return;
        }
        match obey(edge, &line) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => println!("{text}"),
            Err(error) => println!("error: {error:#}"),
        }
    }
    // No terminal, or no more of it: serve on.
    std::future::pending().await
}

fn is_quit(line: &str) -> bool {
    line.trim() == "quit"
}

/// Sends one command to a running server.
pub(crate) async fn tell(dir: &Path, command: &str) -> Result<()> {
    let path = dir.join("control.sock");
    let failed = || format!("failed to talk to '{}'", path.display());
    let (reader, mut writer) = UnixStream::connect(&path).await.with_context(failed)?.into_split();
    writer.write_all(format!("{command}\n").as_bytes()).await.with_context(failed)?;
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await.with_context(failed)? {
        match line.strip_prefix("error: ") {
            Some(error) => bail!("{error}"),
            None if line == "ok" => return Ok(()),
            None => println!("{line}"),
        }
    }
    bail!("{}: no answer", failed())
}

/// Does it, and returns what there is to print.
fn obey(edge: &Edge<Directory>, line: &str) -> Result<String> {
    let line = line.trim();
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    let argument = argument.trim();
    let state = &mut *edge.store.state();
    match command {
        "" => {}
        "help" => return Ok(HELP.to_owned()),
        "devices" => {
            let lines = state.devices.all().map(|(id, device)| {
                format!("{id} {:?} namespace={} version={}", device.stage, device.namespace, device.version)
            });
            return Ok(lines.collect::<Vec<_>>().join("\n"));
        }
        "approve" | "refuse" => {
            let stage = state.devices.get(argument).map(|device| device.stage);
            match stage {
                Some(Stage::Waiting | Stage::Refused) => {
                    let next = if command == "approve" { Stage::Approved } else { Stage::Refused };
                    state.devices.advance(argument, next)?;
                }
                Some(stage) => bail!("'{argument}' is {stage:?} already"),
                None => bail!("there is no device '{argument}'"),
            }
        }
        "approval" => state.approval = argument.parse().map_err(|error: String| anyhow!(error))?,
        "disconnect" => state.devices.advance(argument, Stage::Leaving)?,
        "delete" => state.devices.delete(argument)?,
        "events" => return Ok(state.recorder.seen(argument)),
        "certificate-seconds" => {
            let seconds = authority::life(argument).map_err(|error| anyhow!(error))?;
            edge.certificate_seconds.store(seconds, Relaxed);
        }
        _ => return misbehave(edge, command, argument),
    }
    Ok(String::new())
}

/// What no server does in earnest.
fn misbehave(edge: &Edge<Directory>, command: &str, argument: &str) -> Result<String> {
    const COMMANDS: [&str; 6] = ["server-certificate", "door", "hangup", "fault", "faults", "clear"];
    if !COMMANDS.contains(&command) {
        bail!("there is no command '{command}' (see help)");
    }
    if !edge.may_misbehave {
        bail!("'{command}' makes the server misbehave: it needs `serve --faults`");
    }
    let state = &mut *edge.state();
    match command {
        "server-certificate" => {
            let flaw = match argument {
                "good" => Flaw::None,
                "expired" => Flaw::Expired,
                "future" => Flaw::Future,
                "wrong-name" => Flaw::WrongName,
                "foreign" => Flaw::ForeignCa,
                _ => bail!("expected good, expired, future, wrong-name or foreign"),
            };
            state.tls = tls::configuration(&edge.authority, &edge.names, flaw)?;
            state.flaw = flaw;
            edge.door.send_modify(|_| ());
        }
        "door" => {
            edge.door.send_replace(match argument {
                "open" => Door::Open,
                "refuse" => Door::Refusing,
                "silent" => Door::Silent,
                _ => bail!("expected open, refuse or silent"),
            });
        }
        "hangup" => edge.door.send_modify(|_| ()),
        "fault" => state.faults.add(argument.parse().map_err(|error: String| anyhow!(error))?),
        "faults" => {
            return Ok(state.faults.all().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        _ => {
            state.faults.clear();
            if state.flaw != Flaw::None {
                state.tls = tls::configuration(&edge.authority, &edge.names, Flaw::None)?;
                state.flaw = Flaw::None;
                edge.door.send_modify(|_| ());
            }
            edge.door.send_if_modified(|door| std::mem::replace(door, Door::Open) != Door::Open);
            edge.cleared.notify_waiters();
        }
    }
    Ok(String::new())
}
