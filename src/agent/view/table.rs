//! Tables for a terminal, or for what is as wide as one.

use std::fmt::Write;

use crate::agent::{model::report::WorkloadState, sanitize::sanitize_line};

/// What a line begins with that goes on with a row.
const INDENT: usize = 4;
/// The last column is not squeezed any further.
const MIN_LAST_COLUMN_WIDTH: usize = 32;
/// Longer names have a line of their own where the row wouldn't fit.
const MAX_INLINE_NAME: usize = 24;

/// How a page is to look.
#[derive(Debug, Clone, Copy)]
pub struct PageStyle {
    /// Of a line, in characters. Only a word that is longer by itself goes beyond.
    pub width: usize,
    /// States are coloured: each stands between a colour's [mark](COLOUR_MARKS) and the last one.
    pub colour: bool,
}

/// They stand for red, yellow, green and the end of a colour. No text has them, as it is made legible.
pub const COLOUR_MARKS: [char; 4] = ['\x01', '\x02', '\x03', '\x04'];

/// The colour of a state, if a cell is one.
fn state_colour_mark(cell: &str) -> Option<char> {
    match WorkloadState::ALL.into_iter().find(|state| state.state_name() == cell)? {
        WorkloadState::BackOff | WorkloadState::Failed | WorkloadState::Rejected | WorkloadState::Evicted => {
            Some(COLOUR_MARKS[0])
        }
        WorkloadState::Unknown
        | WorkloadState::Pulling
        | WorkloadState::Starting
        | WorkloadState::Stopping
        | WorkloadState::Held => Some(COLOUR_MARKS[1]),
        WorkloadState::Running => Some(COLOUR_MARKS[2]),
        WorkloadState::Stopped
        | WorkloadState::Inactive
        | WorkloadState::Scheduled
        | WorkloadState::Finished
        | WorkloadState::Leaving => None,
    }
}

/// Columns as wide as their widest cell. The last one has its words on as many lines as it takes: beside the others, or
/// below them where that leaves too little room.
pub fn table(rows: &[Vec<String>], style: PageStyle) -> String {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| sanitize_line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let mut widths = vec![0; columns];
    for row in &rows {
        for (cell, width) in row.iter().zip(&mut widths) {
            *width = cell.chars().count().max(*width);
        }
    }
    let last = columns.saturating_sub(1);
    let sum = |widths: &[usize]| widths.iter().take(last).map(|width| width + 2).sum::<usize>();
    if sum(&widths) > style.width && last > 0 {
        widths[0] = widths[0].min(MAX_INLINE_NAME);
    }
    let start = sum(&widths);
    let is_below = start + MIN_LAST_COLUMN_WIDTH > style.width;
    let mut text = String::new();
    for row in &rows {
        let mut shown = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate().take(last) {
            let length = cell.chars().count();
            match state_colour_mark(cell).filter(|_| style.colour && at == 1) {
                Some(mark) => {
                    let _ =
                        write!(shown, "{mark}{cell}{}{:pad$}", COLOUR_MARKS[3], "", pad = width - length + 2);
                }
                None if length > *width => {
                    let _ = write!(shown, "{cell}\n{:pad$}", "", pad = width + 2);
                }
                None => {
                    let _ = write!(shown, "{cell:<width$}  ");
                }
            }
        }
        let end = row.get(last).map_or("", |cell| cell);
        let is_fitting = start + end.chars().count() <= style.width;
        let (mut at, indent) = match is_below && !is_fitting {
            true => (style.width, INDENT),
            false => (start, start),
        };
        for (index, word) in end.split(' ').enumerate() {
            let length = word.chars().count();
            if !is_fitting && at > indent && at + 1 + length > style.width {
                shown.truncate(shown.trim_end().len());
                let _ = write!(shown, "\n{:indent$}", "");
                at = indent;
            } else if index > 0 {
                shown.push(' ');
                at += 1;
            }
            shown.push_str(word);
            at += length;
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: PageStyle = PageStyle { width: 60, colour: false };

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn what_does_not_fit_goes_on_beside_its_heads_or_below_them() {
        let long = "it has finished with exit code 3 after 0 s; its restartPolicy is Never";
        assert_eq!(
            table(&rows(&[&["name", "job"], &["why", long]]), LOOK),
            "name  job\nwhy   it has finished with exit code 3 after 0 s; its\n      restartPolicy is Never\n"
        );
        let wide =
            rows(&[&["WORKLOAD", "STATE", "SINCE", "WHY"], &["a-name-of-a-job", "failed", "12m3s", long]]);
        assert_eq!(
            table(&wide, LOOK),
            "WORKLOAD         STATE   SINCE  WHY\n\
             a-name-of-a-job  failed  12m3s\n    \
             it has finished with exit code 3 after 0 s; its\n    \
             restartPolicy is Never\n"
        );
        let one_line = table(&wide, PageStyle { width: 200, colour: false });
        assert!(one_line.ends_with(&format!("failed  12m3s  {long}\n")), "{one_line}");
    }

    #[test]
    fn no_line_is_wider_but_for_a_single_word() {
        let name = "n".repeat(63);
        let rows = rows(&[
            &["W", "STATE", "SINCE", "WHY"],
            &[&name, "running", "1s", "-"],
            &["b", "failed", "1s", &name],
        ]);
        let text = table(&rows, LOOK);
        assert!(text.lines().all(|line| line.len() <= 60 || line.trim() == name), "{text}");
        assert!(text.contains(&format!("\n{name}\n{:26}running  1s     -\n", "")), "{text}");
    }

    #[test]
    fn a_state_is_coloured_where_it_stands_and_what_others_say_is_not() {
        let rows = rows(&[&["running", "running", "\x01failed"], &["b", "inactive", "failed"]]);
        assert_eq!(
            table(&rows, PageStyle { width: 80, colour: true }),
            "running  \x03running\x04   \\u0001failed\nb        inactive  failed\n"
        );
    }
}
