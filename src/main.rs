//! Arguments → settings → run; the only place with exit codes.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::Arc,
    thread,
};

use device_worker_ng::{
    agent::legible,
    check, doctor,
    io::{
        command_socket, journal, logger,
        metrics::{self, receiver},
        persistence, signals,
        state::Store,
    },
    run::{self, End},
    settings::{Host, Invocation, Settings, SettingsError},
};
use log::{Level, LevelFilter, error, info};

/// What `sysexits.h` calls EX_CONFIG: systemd is told not to restart after it.
const CONFIGURATION: u8 = 78;
/// The hidden subcommand of the metrics endpoint's own process.
const RECEIVER: &str = metrics::SUBCOMMAND;

fn main() -> ExitCode {
    end_on_panic();
    let _ = signals::outlive_file_limit(); // there is such a signal
    let code = act();
    log::logger().flush();
    code
}

fn act() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let [subcommand, level, page] = &arguments[..]
        && subcommand == RECEIVER
    {
        // of all threads, that of the log included
        let confined = receiver::confine();
        log_to_stderr(level.to_string_lossy().parse().unwrap_or(LevelFilter::Info));
        let received = confined.and_then(|clients| receiver::run(page == "true", clients));
        return finish(received.map_err(|error| format!("failed to receive metrics: {error}")));
    }
    match settings(&arguments) {
        Ok(Invocation::Print(text)) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Check(settings, is_strict)) => {
            let report = check::check(&settings, is_strict);
            print(&report.text);
            if report.is_good { ExitCode::SUCCESS } else { ExitCode::from(CONFIGURATION) }
        }
        Ok(Invocation::Register(settings)) => {
            log_to_stderr(settings.log_level);
            finish(persistence::reconnect(&Store::new(&settings.state_dir)))
        }
        Ok(Invocation::Ask { runtime_dir, words, fault }) => {
            if let Some(fault) = fault {
                complain(&format!("device-worker-ng: {fault}; the agent could not start again with that"));
            }
            match command_socket::ask(&runtime_dir, &words) {
                Ok((code, text)) => {
                    print(&text);
                    ExitCode::from(code)
                }
                Err(error) => {
                    complain(&format!("device-worker-ng: {error}"));
                    ExitCode::from(command_socket::Code::Away as u8)
                }
            }
        }
        Ok(Invocation::Doctor(settings, is_json)) => {
            let report = settings.map_or_else(
                |unusable| doctor::without_settings(&unusable),
                |settings| doctor::examine(&settings),
            );
            print(&if is_json { report.json() } else { report.text() });
            ExitCode::from(u8::from(!report.is_good()))
        }
        Ok(Invocation::Run(settings)) => {
            log_to_stderr(settings.log_level);
            serve(&settings, &arguments)
        }
        Err(error) => {
            complain(&format!("device-worker-ng: {error}"));
            ExitCode::from(CONFIGURATION)
        }
    }
}

fn print(text: &str) {
    // A reader that closes the pipe early has seen enough.
    let _ = io::stdout().write_all(legible::page(text).as_bytes());
}

fn settings(arguments: &[OsString]) -> Result<Invocation, SettingsError> {
    Settings::load(arguments.iter().cloned(), env::vars_os(), &Host::this())
}

fn serve(settings: &Settings, arguments: &[OsString]) -> ExitCode {
    // Settings that turn out bad change nothing: the agent goes on with those that it has.
    let usable = || settings_again(arguments);
    let handover = Arc::new(metrics::Handover::of_environment());
    match run::run(settings, &usable, handover.clone()) {
        Ok(End::Terminated) => ExitCode::SUCCESS,
        Ok(End::Reload) => again(arguments, &handover),
        Err(error) => finish(Err(error)),
    }
}

fn settings_again(arguments: &[OsString]) -> Result<(), String> {
    match settings(arguments) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts the binary anew in this process: settings are read in one way only, and running pods are adopted. A
/// binary that was upgraded meanwhile is the one that starts.
fn again(arguments: &[OsString], handover: &metrics::Handover) -> ExitCode {
    let path = env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let path = path.to_string_lossy().trim_end_matches(" (deleted)").to_string();
    info!("starting again to read the settings");
    log::logger().flush();
    let left = handover.environment().into_iter().chain([metrics::left_receivers()]);
    let error = Command::new(&path).args(arguments).envs(left).exec();
    finish(Err(format!("failed to start '{path}' again: {error}")))
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr(level: LevelFilter) {
    if let Err(error) = logger::start(level) {
        complain(&format!("device-worker-ng: there is no log: {error}"));
    }
}

/// Also where there is no log.
fn complain(text: &str) {
    if log::max_level() > LevelFilter::Off {
        error!("{text}");
        log::logger().flush();
        return;
    }
    let text = legible::message(text);
    if journal::is_stderr() {
        eprint!("{}", journal::marked(Level::Error, &text));
    } else {
        eprintln!("{text}");
    }
}

/// No thread ends alone: half an agent would be worse than a restart.
fn end_on_panic() {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = thread::current();
        complain(&format!("thread '{}' {panic}", thread.name().unwrap_or("unnamed")));
        std::process::abort();
    }));
}
