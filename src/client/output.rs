//! What is printed: never more than a terminal may be shown, nor wider than it is.

use std::{
    borrow::Cow,
    env,
    io::{self, IsTerminal, Write},
};

use crate::{
    agent::{
        sanitize::{self, is_hidden},
        view::{
            document::outcome_document,
            table::{COLOUR_MARKS, PageStyle},
        },
    },
    io::{
        clock,
        command_socket::{COLOUR_FLAG, ExitCode, WIDTH_FLAG},
    },
};

/// What red, yellow, green and the end of a colour are on a terminal.
const COLOURS: [&str; 4] = ["\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"];
/// Without a terminal, or one that doesn't tell.
const DEFAULT_SIZE: (usize, usize) = (80, 24);
/// On less nothing could be read.
const MIN_WIDTH: usize = 40;

/// Prints a page. Whether it is still read: one that closes the pipe early has seen enough.
pub fn print(text: &str) -> bool {
    io::stdout().write_all(sanitize::sanitize_page(text).as_bytes()).is_ok()
}

/// The same of why a command ends with this code, as JSON.
pub fn print_error(code: u8, why: &str) {
    print(&outcome_document(code, why, clock::wall()));
}

/// Where it is printed.
pub(super) struct Screen {
    is_terminal: bool,
    colour: bool,
    width: usize,
    pub(super) is_json: bool,
}

impl Screen {
    pub(super) fn of_stdout(is_json: bool) -> Self {
        let variable = |name| env::var(name).unwrap_or_default();
        let is_terminal = io::stdout().is_terminal();
        let colour = is_terminal && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb";
        let width = variable("COLUMNS").parse().unwrap_or_else(|_| terminal_size().0).max(MIN_WIDTH);
        Self { is_terminal, colour, width, is_json }
    }

    /// What a file has room for.
    pub(super) fn for_file() -> Self {
        Self { is_terminal: false, colour: false, width: 160, is_json: false }
    }

    /// How a page is made for it.
    pub(super) fn page_look(&self) -> PageStyle {
        PageStyle { width: self.width, colour: self.colour }
    }

    /// Prints a page, and says with what code to end. Where JSON is asked for, a sentence is JSON, too.
    pub(super) fn print_result(&self, code: u8, text: &str) -> u8 {
        self.print(&self.format_output(code, text));
        code
    }

    /// What is printed of a page or sentence.
    pub(super) fn format_output<'a>(&self, code: u8, text: &'a str) -> Cow<'a, str> {
        match self.is_json && !text.starts_with('{') {
            true => outcome_document(code, text, clock::wall()).into(),
            false => text.into(),
        }
    }

    /// Something isn't as it should be, and this is why.
    pub(super) fn print_failure(&self, code: ExitCode, text: &str) -> u8 {
        self.print_result(code as u8, &format!("{text}\n"))
    }

    /// For the agent, which makes pages.
    pub(super) fn display_flags(&self) -> Vec<String> {
        if self.is_json {
            return Vec::new();
        }
        let width = format!("{WIDTH_FLAG}{}", self.width);
        [width].into_iter().chain(self.colour.then(|| COLOUR_FLAG.to_owned())).collect()
    }

    /// Prints a page, in colour where that was asked for.
    pub(super) fn print(&self, text: &str) -> bool {
        if self.colour { io::stdout().write_all(colour_marks(text).as_bytes()).is_ok() } else { print(text) }
    }

    /// The same in the place of the page before; of a longer one as much as there is room for.
    pub(super) fn reprint(&self, text: &str) -> bool {
        if !self.is_terminal {
            return print(text);
        }
        let rows = terminal_size().1.saturating_sub(1).max(1);
        let shown: String = text.split_inclusive('\n').take(rows).collect();
        io::stdout().write_all(b"\x1b[H\x1b[2J").is_ok() && self.print(&shown)
    }
}

/// Columns and rows of the terminal.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => DEFAULT_SIZE,
    }
}

/// Marks become colours; nothing else of a page may move anything.
fn colour_marks(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_hidden) {
        let end = piece.chars().next_back().and_then(|c| COLOUR_MARKS.iter().position(|mark| *mark == c));
        let plain = if end.is_some() { &piece[..piece.len() - 1] } else { piece };
        shown.push_str(&sanitize::sanitize_page(plain));
        shown.push_str(end.map_or("", |at| COLOURS[at]));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_colours_and_nothing_else_does() {
        assert_eq!(
            colour_marks("w  \x03running\x04 a\x1b[2J\nb \\u0001 \x01failed\x04"),
            "w  \x1b[32mrunning\x1b[0m a\\u001b[2J\nb \\u0001 \x1b[31mfailed\x1b[0m"
        );
    }
}
