//! One field of a crontab, as a set of numbers.

use super::error::CronError;

/// What a field may hold.
pub(super) struct Field {
    name: &'static str,
    first: u32,
    /// The last one that `*` stands for.
    last: u32,
    /// The last one that may be written: 7 is Sunday too.
    last_written: u32,
    /// From `first` on.
    names: &'static [&'static str],
}

/// The numbers that a field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set {
    bits: u64,
    /// What `*` stands for.
    full: u64,
    /// Whether an item begins with `*` or `?`.
    pub(super) is_starred: bool,
}

impl Field {
    pub(super) const MINUTE: Self = Self::with_bounds("minute", 0, 59);
    pub(super) const HOUR: Self = Self::with_bounds("hour", 0, 23);
    pub(super) const DAY: Self = Self::with_bounds("day of month", 1, 31);
    pub(super) const MONTH: Self = Self {
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
        ..Self::with_bounds("month", 1, 12)
    };
    pub(super) const WEEKDAY: Self = Self {
        last_written: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        ..Self::with_bounds("day of week", 0, 6)
    };

    const fn with_bounds(name: &'static str, first: u32, last: u32) -> Self {
        Self { name, first, last, last_written: last, names: &[] }
    }

    /// A list of `*`, `a` or `a-b`, each with or without `/step`.
    pub(super) fn parse(&self, text: &str) -> Result<Set, CronError> {
        let full = (self.first..=self.last).fold(0, |bits, number| bits | 1 << number);
        let mut set = Set { bits: 0, full, is_starred: false };
        for item in text.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, Some(self.parse_step(item, step)?)),
                None => (item, None),
            };
            let (from, to) = if matches!(range, "*" | "?") {
                set.is_starred = true;
                (self.first, self.last)
            } else if let Some((from, to)) = range.split_once('-') {
                (self.parse_number(item, from)?, self.parse_number(item, to)?)
            } else {
                let from = self.parse_number(item, range)?;
                // `5/10` is `5-59/10`, as everywhere
                (from, if step.is_some() { self.last.max(from) } else { from })
            };
            if from > to {
                let Self { first, last, .. } = self;
                let instead = format!("{from}-{last},{first}-{to}");
                return Err(self.error(item, &format!("a range can't run backwards: write {instead}")));
            }
            for number in (from..=to).step_by(step.unwrap_or(1)) {
                set.bits |= 1 << if number > self.last { self.first } else { number };
            }
        }
        Ok(set)
    }

    fn parse_step(&self, item: &str, step: &str) -> Result<usize, CronError> {
        match parse_digits(step) {
            Some(step) if step > 0 => Ok(step as usize),
            _ => Err(self.error(item, &format!("the step {step:?} is not a number above 0"))),
        }
    }

    fn parse_number(&self, item: &str, text: &str) -> Result<u32, CronError> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(self.first + index as u32);
        }
        let (first, last) = (self.first, self.last_written);
        match parse_digits(text) {
            Some(number) if (first..=last).contains(&number) => Ok(number),
            Some(_) => Err(self.error(item, &format!("{text} is not from {first} to {last}"))),
            None if self.names.is_empty() => Err(self.error(item, &format!("{text:?} is not a number"))),
            None => {
                let (sample, other) = (self.names[0], self.names[1]);
                Err(self.error(
                    item,
                    &format!("{text:?} is neither a number nor a name like {sample} or {other}"),
                ))
            }
        }
    }

    fn error(&self, item: &str, reason: &str) -> CronError {
        CronError(format!("{} {item:?}: {reason}", self.name))
    }
}

/// `u32::from_str` would take `+5` as well. What is too large for it is so for every field.
fn parse_digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

impl Set {
    pub(super) fn contains(self, number: u32) -> bool {
        self.bits >> number & 1 == 1
    }

    pub(super) fn is_full(self) -> bool {
        self.bits == self.full
    }

    /// As saffron reads it, each number raised by `shift`: its Sunday is 1.
    pub(super) fn to_saffron_list(self, shift: u32) -> String {
        let numbers: Vec<_> = (0..64)
            .filter(|number| self.contains(*number))
            .map(|number| (number + shift).to_string())
            .collect();
        numbers.join(",")
    }
}
