//! One input made of another: by its tree where it is YAML or JSON, by its lines, by its bytes.

mod text;
mod tree;

use crate::random::Random;

/// Longer inputs are cut.
pub const LONGEST: usize = 64 * 1024;

/// The dictionary, in libFuzzer's format.
const WORDS: &str = include_str!("../../words.dict");

/// Makes new inputs.
pub struct Mutator {
    words: Vec<Vec<u8>>,
}

impl Default for Mutator {
    fn default() -> Self {
        Self { words: WORDS.lines().filter_map(word).collect() }
    }
}

impl Mutator {
    /// Changes an input once, or a few times; `other` is one to take parts from.
    pub fn change(&self, input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
        let times = [1, 1, 1, 2, 2, 3, 5][random.below(7)];
        for _ in 0..times {
            self.change_once(input, other, random);
        }
        input.truncate(LONGEST);
    }

    fn change_once(&self, input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
        match random.below(10) {
            0..=5 => {
                if !tree::change(input, other, &self.words, random) {
                    text::change_bytes(input, &self.words, random);
                }
            }
            6 | 7 => text::change_lines(input, other, &self.words, random),
            _ => text::change_bytes(input, &self.words, random),
        }
    }
}

/// `"a\x00b"` is a word; a line that begins otherwise is none.
fn word(line: &str) -> Option<Vec<u8>> {
    let quoted = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut word = Vec::new();
    let mut rest = quoted.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, rest) {
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = tail;
            }
            (b'\\', [plain, tail @ ..]) => {
                word.push(*plain);
                rest = tail;
            }
            _ => word.push(*first),
        }
    }
    Some(word)
}

/// A word of the dictionary as text.
fn words_text(words: &[Vec<u8>], random: &mut Random) -> String {
    String::from_utf8_lossy(random.of(words)).into_owned()
}
