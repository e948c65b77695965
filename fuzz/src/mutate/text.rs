//! Changes to lines and bytes.

use super::LONGEST;
use crate::random::Random;

/// Moves, doubles, drops, indents a line, or makes it another thing to YAML.
pub(super) fn change_lines(input: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], random: &mut Random) {
    let split = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let mut lines = split(input);
    if lines.is_empty() {
        input.extend_from_slice(random.of(words));
        return;
    }
    let at = random.below(lines.len());
    let indent = lines[at].iter().take_while(|byte| **byte == b' ').count();
    match random.below(13) {
        0 => drop(lines.remove(at)),
        1 => {
            let line = lines[at].clone();
            lines.insert(at, line);
        }
        2 => {
            let with = random.below(lines.len());
            lines.swap(at, with);
        }
        3 => drop(lines[at].splice(indent..indent, *b"- ")),
        4 => drop(lines[at].splice(0..0, vec![b' '; [1, 2, 4][random.below(3)]])),
        5 => drop(lines[at].drain(..indent.min(2))),
        6 => {
            let word = random.of(words).clone();
            drop(lines[at].splice(indent..indent, word));
        }
        7 => {
            let mut line = lines[at][..indent].to_vec();
            line.extend_from_slice(random.of(words));
            line.push(b'\n');
            lines.insert(at, line);
        }
        8 => lines.truncate(at + 1),
        9 => {
            // from here to there, many times
            let end = (at + 1 + random.below(4)).min(lines.len());
            let part = lines[at..end].concat();
            let times = [3, 50, 1_000][random.below(3)].min(LONGEST / part.len().max(1));
            lines.insert(end, part.repeat(times));
        }
        10 => {
            let others = split(other);
            if !others.is_empty() {
                let from = random.below(others.len());
                let end = (from + 1 + random.below(6)).min(others.len());
                lines.splice(at..at, others[from..end].to_vec());
            }
        }
        11 => lines[at].insert(indent, *random.of(b"#&*!|>'\"%@`{[?-:\t,]}")),
        _ => {
            let mark: &[u8] = [&b"---\n"[..], b"...\n", b"--- {}\n", b"=== b.yaml\n"][random.below(4)];
            lines.insert(at, mark.to_vec());
        }
    }
    *input = lines.concat();
}

/// Flips, drops, doubles, overwrites bytes, or puts words between them.
pub(super) fn change_bytes(input: &mut Vec<u8>, words: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + 1 + random.below(8)).min(input.len());
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.number() as u8,
        2 if at < end => drop(input.drain(at..end)),
        3 if at < end => {
            let part = input[at..end].to_vec();
            let times = [1, 2, 40, 2_000][random.below(4)];
            input.splice(at..at, part.repeat(times));
        }
        4 => input.truncate(at),
        5 => input.insert(at, *random.of(&[0, 9, 10, 13, 27, 0x7f, 0x85, 0xc2, 0xe2, 0xff])),
        6 => {
            // another digit
            if let Some(digit) = input.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
                *digit = b'0' + random.below(10) as u8;
            }
        }
        _ => {
            let word = random.of(words).clone();
            input.splice(at..at, word);
        }
    }
}
