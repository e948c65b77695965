//! The five fields of a crontab, and the next time they name.
//!
//! The fields are parsed here into sets; [`saffron`] finds the next time in them. Its own parser reads another
//! dialect: Sunday is 1, no `?`, no `*,5` or `*/60`, ranges that wrap around (and then hold one value too many),
//! `L`, `W` and `#`. So it gets plain lists only.

mod error;
mod field;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{DateTime, Datelike, NaiveTime, TimeZone};

pub use error::CronError;
use field::{Field, Set};

/// The longest schedule, in bytes: all minutes, hours, days and months written out are half of it.
const MAX_LENGTH: usize = 1024;

/// What other programs take instead of five fields.
const MACROS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// When to run: minute, hour, day of month, month, day of week, in the device's local time.
///
/// The two day fields: if one of them begins with `*` or `?` (`*/2` too) both must match, otherwise either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    times: saffron::Cron,
    /// Where both day fields must match, which saffron can't: the weekdays, Sunday first.
    weekdays: Option<Set>,
    /// As its author wrote it.
    text: Box<str>,
}

impl Cron {
    /// Parses a standard crontab's five fields: `*` and `?`, lists, ranges, steps, the first three letters of
    /// months and weekdays, Sunday as 0 and as 7. A `\` is taken for `/`, see [`Cron::has_backslash`].
    ///
    /// # Errors
    ///
    /// When there are not five fields, or one of them isn't valid: the error says which and why.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > MAX_LENGTH {
            return Err(CronError(format!("at most {MAX_LENGTH} bytes, found {}", text.len())));
        }
        let slashed = text.replace('\\', "/");
        let fields: Vec<_> = slashed.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = &fields[..] else {
            let names = "minute, hour, day of month, month and day of week";
            let hint = match &fields[..] {
                [name] if name.starts_with('@') => match MACROS.iter().find(|(known, _)| known == name) {
                    Some((_, meant)) => format!(": write `{meant}`"),
                    None => String::new(),
                },
                [.., _, _, _, _, _, _] => ": seconds and years can't be given".to_owned(),
                _ => String::new(),
            };
            return Err(CronError(format!("expected five fields ({names}), found {}{hint}", fields.len())));
        };
        let (minute, hour) = (Field::MINUTE.parse(minute)?, Field::HOUR.parse(hour)?);
        let (day, month) = (Field::DAY.parse(day)?, Field::MONTH.parse(month)?);
        let weekday = Field::WEEKDAY.parse(weekday)?;

        let is_starred = day.is_starred || weekday.is_starred;
        let (minute, hour, month) =
            (minute.to_saffron_list(0), hour.to_saffron_list(0), month.to_saffron_list(0));
        let (days, weekdays, filter) = match (day.is_full(), weekday.is_full()) {
            (true, true) => ("*".to_owned(), "*".to_owned(), None),
            (true, false) if is_starred => ("*".to_owned(), weekday.to_saffron_list(1), None),
            (false, true) if is_starred => (day.to_saffron_list(0), "*".to_owned(), None),
            (false, false) if is_starred => (day.to_saffron_list(0), "*".to_owned(), Some(weekday)),
            // either of them, and one is every day: `1-31` with `1`
            (true, false) | (false, true) => ("*".to_owned(), "*".to_owned(), None),
            (false, false) => (day.to_saffron_list(0), weekday.to_saffron_list(1), None),
        };
        let lists = format!("{minute} {hour} {days} {month} {weekdays}");
        let times = lists.parse().map_err(|_| CronError(format!("the sets {lists} are refused")))?;
        Ok(Self { times, weekdays: filter, text: text.trim().into() })
    }

    /// Whether a `\` was taken for `/`: its author should hear of it.
    pub fn has_backslash(&self) -> bool {
        self.text.contains('\\')
    }

    /// Whether no date that it names exists, as with the 31st of February.
    pub fn never_runs(&self) -> bool {
        self.next(&DateTime::UNIX_EPOCH).is_none()
    }

    /// The first time after `after`, on the wall clock of its time zone; `None` if there is none, as with
    /// the 30th of February.
    ///
    /// A time that the clock skips in spring is skipped; one that it shows twice in autumn is the first of both.
    pub fn next<Tz: TimeZone>(&self, after: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        // saffron knows only UTC, so it gets what the wall clock shows as if it were UTC
        let mut shown = after.naive_local().and_utc();
        loop {
            shown = self.times.next_after(shown)?;
            let weekday = shown.weekday().num_days_from_sunday();
            if self.weekdays.is_some_and(|weekdays| !weekdays.contains(weekday)) {
                shown = shown.date_naive().and_time(NaiveTime::from_hms_opt(23, 59, 0)?).and_utc();
                continue;
            }
            let time = after.timezone().from_local_datetime(&shown.naive_utc()).earliest();
            if let Some(time) = time.filter(|time| time > after) {
                return Some(time);
            }
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
