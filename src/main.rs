//! Arguments → settings → run → an exit code.

use std::{env, ffi::OsString, process::ExitCode, sync::Arc, thread};

use device_worker_ng::{
    agent::sanitize,
    check, client, doctor,
    io::{
        command_socket, journal, logger,
        metrics::{self, receiver},
        persistence, signals,
        state::Store,
    },
    reload,
    run::{self, RunOutcome},
    settings::{Host, Invocation, Settings, SettingsError},
};
use log::{Level, LevelFilter, error};

/// What `sysexits.h` calls EX_CONFIG: systemd is told not to restart after it.
const EX_CONFIG: u8 = 78;
/// The hidden subcommand of the metrics endpoint's own process.
const RECEIVER_SUBCOMMAND: &str = metrics::SUBCOMMAND;

fn main() -> ExitCode {
    end_on_panic();
    let _ = signals::handle_file_size_signal(); // there is such a signal
    let code = dispatch();
    log::logger().flush();
    code
}

fn dispatch() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let [subcommand, level, page] = &arguments[..]
        && subcommand == RECEIVER_SUBCOMMAND
    {
        // of all threads, that of the log included
        let confined = receiver::confine();
        log_to_stderr(level.to_string_lossy().parse().unwrap_or(LevelFilter::Info));
        let received = confined.and_then(|clients| receiver::run(page == "true", clients));
        return exit_code(received.map_err(|error| format!("failed to receive metrics: {error}")));
    }
    match load_settings(&arguments) {
        Ok(Invocation::Print(text)) => {
            client::print(&text);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Check(settings, is_strict, is_json)) => {
            let report = check::check(&settings, is_strict);
            client::print(if is_json { &report.json } else { &report.text });
            if report.is_good { ExitCode::SUCCESS } else { ExitCode::from(EX_CONFIG) }
        }
        Ok(Invocation::Register(settings)) => {
            log_to_stderr(settings.log_level);
            exit_code(persistence::clear_disconnected(&Store::new(&settings.state_dir)))
        }
        Ok(Invocation::Ask { runtime_dir, words, options, fault }) => {
            if let Some(fault) = fault {
                log_or_print_error(&format!(
                    "device-worker-ng: {fault}; the agent could not start again with that"
                ));
            }
            match client::run(&runtime_dir, &words, &options) {
                Ok(code) => ExitCode::from(code),
                Err(error) => report_failure(&arguments, command_socket::ExitCode::Away as u8, &error),
            }
        }
        Ok(Invocation::Doctor(settings, is_json)) => {
            let report = settings.map_or_else(
                |unusable| doctor::examine_without_settings(&unusable),
                |settings| doctor::examine(&settings),
            );
            client::print(&if is_json { report.json() } else { report.text() });
            ExitCode::from(u8::from(!report.is_good()))
        }
        Ok(Invocation::Bundle(settings, output, is_json)) => {
            ExitCode::from(client::bundle(&settings, &output, is_json))
        }
        Ok(Invocation::Run(settings)) => {
            log_to_stderr(settings.log_level);
            run_agent(&settings, &arguments)
        }
        Err(error) => report_failure(&arguments, EX_CONFIG, &error.to_string()),
    }
}

/// Says why it ends with this code; as JSON, too, where a script wants that.
fn report_failure(arguments: &[OsString], code: u8, why: &str) -> ExitCode {
    if arguments.iter().any(|argument| argument == "--json") {
        client::print_error(code, why);
    }
    log_or_print_error(&format!("device-worker-ng: {why}"));
    ExitCode::from(code)
}

fn load_settings(arguments: &[OsString]) -> Result<Invocation, SettingsError> {
    Settings::load(arguments.iter().cloned(), env::vars_os(), &Host::this())
}

fn run_agent(settings: &Settings, arguments: &[OsString]) -> ExitCode {
    let usable = || reload::check_settings(arguments);
    let handover = Arc::new(metrics::Handover::of_environment());
    match run::run(settings, &usable, handover.clone()) {
        Ok(RunOutcome::Terminated) => ExitCode::SUCCESS,
        Ok(RunOutcome::Reload) => exit_code(Err(reload::start_anew(arguments, &handover))),
        Err(error) => exit_code(Err(error)),
    }
}

fn exit_code(result: Result<(), String>) -> ExitCode {
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
        log_or_print_error(&format!("device-worker-ng: there is no log: {error}"));
    }
}

/// Also where there is no log.
fn log_or_print_error(text: &str) {
    if log::max_level() > LevelFilter::Off {
        error!("{text}");
        log::logger().flush();
        return;
    }
    let text = sanitize::sanitize_message(text);
    if journal::is_stderr() {
        eprint!("{}", journal::with_priority_prefix(Level::Error, &text));
    } else {
        eprintln!("{text}");
    }
}

/// No thread ends alone: half an agent would be worse than a restart.
fn end_on_panic() {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = thread::current();
        log_or_print_error(&format!("thread '{}' {panic}", thread.name().unwrap_or("unnamed")));
        std::process::abort();
    }));
}
