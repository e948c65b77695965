//! The commands of a person or a script, each in a process of its own: what the agent answers, and what a command reads
//! by itself where the agent says that it is. So that costs the agent nothing.

mod bundle;
mod describe;
mod follow;
mod lines;
mod logs;
mod output;
mod place;
mod top;

use std::path::Path;

use rustix::event::{Timespec, poll};

pub use self::{
    bundle::bundle,
    output::{print, print_error},
};
use self::{output::Screen, place::WorkloadLocator};
use crate::{
    io::command_socket::{self, ExitCode},
    settings::CommandOptions,
};

/// From one look to the next.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Does what these words say, and prints it: with what code to end. `words`: the command, its argument, `--json`.
///
/// # Errors
/// The agent, or podman, doesn't answer: why.
pub fn run(runtime_dir: &Path, words: &[String], options: &CommandOptions) -> Result<u8, String> {
    let is_json = words.last().is_some_and(|word| word == "--json");
    let screen = Screen::of_stdout(is_json);
    let (command, name) = (words.first().map_or("", String::as_str), words.get(1));
    let name = name.filter(|name| *name != "--json");
    if matches!(command, "logs" | "top") {
        return match WorkloadLocator::find(runtime_dir, name)? {
            Ok(place) if command == "top" => top::top(&place, &screen),
            Ok(place) => logs::logs(place, options, &screen),
            Err((code, text)) => Ok(screen.print_result(code, &text)),
        };
    }
    let words = [words, &screen.display_flags()].concat();
    if options.watch {
        return watch(runtime_dir, &words, &screen);
    }
    let (code, mut text) = command_socket::ask_agent(runtime_dir, &words)?;
    if command == "describe"
        && let Ok(Ok(place)) = WorkloadLocator::find(runtime_dir, name)
    {
        describe::add_containers(&place, &screen, &mut text);
    }
    Ok(screen.print_result(code, &text))
}

/// Prints it whenever it has changed, as long as it is read.
fn watch(runtime_dir: &Path, words: &[String], screen: &Screen) -> Result<u8, String> {
    let mut last = String::new();
    loop {
        let away = |why| (ExitCode::Away as u8, why + "\n");
        let (code, text) = command_socket::ask_agent(runtime_dir, words).unwrap_or_else(away);
        let text = screen.format_output(code, &text).into_owned();
        if text != last && !screen.reprint(&text) {
            return Ok(code);
        }
        last = text;
        let _ = poll(&mut [], Some(&POLL_INTERVAL)); // an error: at once
    }
}
