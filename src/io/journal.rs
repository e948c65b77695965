//! Log lines for systemd's journal: each says how important it is, as sd-daemon(3) has it.

use std::{env, io, os::fd::AsFd};

use log::Level;

/// Whether stderr goes to the journal. What a service starts inherits the variable, but perhaps not its stderr.
pub fn is_stderr() -> bool {
    env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stream(&stream, io::stderr()))
}

fn is_stream(stream: &str, file: impl AsFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|it| format!("{}:{}", it.st_dev, it.st_ino) == stream)
}

/// The text with the mark of its level before each line: the journal takes every line for a message of its own.
pub fn with_priority_prefix(level: Level, text: &str) -> String {
    let mark = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    text.lines().map(|line| format!("<{mark}>{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn each_line_of_a_message_carries_its_priority() {
        assert_eq!(with_priority_prefix(Level::Warn, "a condition\n  x <\n"), "<4>a condition\n<4>  x <\n");
        let marks: Vec<_> = Level::iter().map(|level| with_priority_prefix(level, "").len()).collect();
        assert_eq!(marks, [0; 5], "nothing is said of nothing");
        let marks: String = Level::iter().map(|level| with_priority_prefix(level, "x")).collect();
        assert_eq!(marks, "<3>x\n<4>x\n<6>x\n<7>x\n<7>x\n");
    }

    #[test]
    fn only_the_stream_that_the_variable_names_is_the_journal() {
        let file = tempfile::tempfile().unwrap();
        let it = file.metadata().unwrap();
        assert!(is_stream(&format!("{}:{}", it.dev(), it.ino()), &file));
        assert!(!is_stream(&format!("{}:{}", it.dev(), it.ino() + 1), &file));
        assert!(!is_stream("", &file));
    }
}
