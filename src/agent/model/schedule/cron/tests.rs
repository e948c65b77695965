//! Crontabs by example, across clock changes, and against a walk minute by minute.

use chrono::{DateTime, Datelike, Duration, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{Australia, Europe, Tz};
use proptest::prelude::*;

use super::*;

fn at<Zone: TimeZone>(zone: Zone, text: &str) -> DateTime<Zone> {
    let shown = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect(text);
    zone.from_local_datetime(&shown).earliest().expect(text)
}

/// The first times after `after`, as its wall clock shows them.
fn times<Zone: TimeZone>(schedule: &str, after: DateTime<Zone>, count: usize) -> Vec<String> {
    let cron = Cron::parse(schedule).expect(schedule);
    let mut times = Vec::new();
    let mut last = after;
    for _ in 0..count {
        last = cron.next(&last).expect("a next time");
        times.push(last.naive_local().format("%m-%d %H:%M").to_string());
    }
    times
}

/// From Sunday, 2023-01-01 00:00:00 on.
fn from_new_year(schedule: &str, count: usize) -> Vec<String> {
    times(schedule, at(Utc, "2022-12-31 23:59:59"), count)
}

#[test]
fn the_dialect_is_the_crontab_and_not_saffrons() {
    for (schedule, expected) in [
        ("0 0 * * 0", ["01-01 00:00", "01-08 00:00"]),
        ("0 0 * * 7", ["01-01 00:00", "01-08 00:00"]),
        ("0 0 * * 1", ["01-02 00:00", "01-09 00:00"]),
        ("0 0 * * SUN", ["01-01 00:00", "01-08 00:00"]),
        ("0 0 * * sat,Fri", ["01-06 00:00", "01-07 00:00"]),
        ("0 0 * * 5-7", ["01-01 00:00", "01-06 00:00"]),
        ("0 0 * * 0-7/7", ["01-01 00:00", "01-08 00:00"]),
        ("0 0 1 feb,MAR ?", ["02-01 00:00", "03-01 00:00"]),
        ("0 0 1 jan-mar/2 *", ["01-01 00:00", "03-01 00:00"]),
        ("? ? ? ? ?", ["01-01 00:00", "01-01 00:01"]),
        ("*,5 * * * *", ["01-01 00:00", "01-01 00:01"]),
        ("*/60 * * * *", ["01-01 00:00", "01-01 01:00"]),
        ("0 */24 * * *", ["01-01 00:00", "01-02 00:00"]),
        ("0 0 */31 * *", ["01-01 00:00", "02-01 00:00"]),
        ("  0\t0   * * * ", ["01-01 00:00", "01-02 00:00"]),
        ("50/5 * * * *", ["01-01 00:50", "01-01 00:55"]),
        ("7-20/6 3 * * *", ["01-01 03:07", "01-01 03:13"]),
        ("0 22-23,0-2 * * *", ["01-01 00:00", "01-01 01:00"]),
        ("59 23 31 12 *", ["12-31 23:59", "12-31 23:59"]),
    ] {
        assert_eq!(from_new_year(schedule, 2), expected, "{schedule}");
    }
}

#[test]
fn a_starred_day_field_narrows_the_other_and_two_lists_add_up() {
    for (schedule, expected) in [
        // both must match
        ("0 0 * * 1", ["01-02 00:00", "01-09 00:00", "01-16 00:00"]),
        ("0 0 13 * *", ["01-13 00:00", "02-13 00:00", "03-13 00:00"]),
        ("0 0 */2 * 1", ["01-09 00:00", "01-23 00:00", "02-13 00:00"]),
        ("0 0 */10,2 * 1", ["01-02 00:00", "05-01 00:00", "07-31 00:00"]),
        ("0 0 13 * */5", ["01-13 00:00", "08-13 00:00", "10-13 00:00"]),
        // either
        ("0 0 13 * 1", ["01-02 00:00", "01-09 00:00", "01-13 00:00"]),
        ("0 0 1-31 * 1", ["01-01 00:00", "01-02 00:00", "01-03 00:00"]),
        ("0 0 13 * 0-6", ["01-01 00:00", "01-02 00:00", "01-03 00:00"]),
    ] {
        assert_eq!(from_new_year(schedule, 3), expected, "{schedule}");
    }
}

#[test]
fn rare_dates_are_found_and_impossible_ones_are_not() {
    let next = |schedule: &str| {
        let cron = Cron::parse(schedule).expect(schedule);
        cron.next(&at(Utc, "2023-01-01 00:00:00")).map(|time| time.date_naive().to_string())
    };
    assert_eq!(next("0 0 29 2 *").as_deref(), Some("2024-02-29"));
    // a Sunday, the 29th of February
    assert_eq!(next("0 0 29 2 */7").as_deref(), Some("2032-02-29"));
    for impossible in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30,31 2 */2", "* * 30 2 ?"] {
        assert_eq!(next(impossible), None, "{impossible}");
    }
    assert_eq!(next("0 0 30 2 1").as_deref(), Some("2023-02-06"), "either day field will do");
}

#[test]
fn a_backslash_is_taken_for_a_slash_and_told() {
    let cron = Cron::parse(r"*\1 * * * *").expect("the model's example");
    assert!(cron.has_backslash());
    let slashed = Cron::parse("*/1 * * * *").expect("valid");
    assert!(!slashed.has_backslash());
    assert_eq!(cron.times, slashed.times);
}

#[test]
fn an_error_names_the_field_and_what_is_wrong() {
    for (schedule, error) in [
        ("", "expected five fields (minute, hour, day of month, month and day of week), found 0"),
        ("* * * *", "expected five fields (minute, hour, day of month, month and day of week), found 4"),
        (
            "0 * * * * *",
            "expected five fields (minute, hour, day of month, month and day of week), found 6: seconds and years can't be given",
        ),
        (
            "@daily",
            "expected five fields (minute, hour, day of month, month and day of week), found 1: write `0 0 * * *`",
        ),
        ("60 * * * *", r#"minute "60": 60 is not from 0 to 59"#),
        ("* 1,24 * * *", r#"hour "24": 24 is not from 0 to 23"#),
        ("* * 0 * *", r#"day of month "0": 0 is not from 1 to 31"#),
        ("* * * 13 *", r#"month "13": 13 is not from 1 to 12"#),
        ("* * * * 8", r#"day of week "8": 8 is not from 0 to 7"#),
        ("* * * * 99999999999", r#"day of week "99999999999": 99999999999 is not from 0 to 7"#),
        ("* 22-2 * * *", r#"hour "22-2": a range can't run backwards: write 22-23,0-2"#),
        ("*/0 * * * *", r#"minute "*/0": the step "0" is not a number above 0"#),
        ("*/x * * * *", r#"minute "*/x": the step "x" is not a number above 0"#),
        ("1//2 * * * *", r#"minute "1//2": the step "/2" is not a number above 0"#),
        ("+5 * * * *", r#"minute "+5": "+5" is not a number"#),
        ("1, * * * *", r#"minute "": "" is not a number"#),
        ("*-5 * * * *", r#"minute "*-5": "*" is not a number"#),
        ("1-2-3 * * * *", r#"minute "1-2-3": "2-3" is not a number"#),
        ("jan * * * *", r#"minute "jan": "jan" is not a number"#),
        ("* * L * *", r#"day of month "L": "L" is not a number"#),
        ("* * 1W * *", r#"day of month "1W": "1W" is not a number"#),
        ("* * * * 1#2", r##"day of week "1#2": "1#2" is neither a number nor a name like sun or mon"##),
        ("* * * january *", r#"month "january": "january" is neither a number nor a name like jan or feb"#),
    ] {
        assert_eq!(Cron::parse(schedule).expect_err(schedule).to_string(), error);
    }
    let error = Cron::parse(&"1,".repeat(1 << 20)).expect_err("too long").to_string();
    assert_eq!(error, "at most 1024 bytes, found 2097152");
}

#[test]
fn a_time_that_spring_skips_is_skipped() {
    // in Berlin, 2024-03-31 goes from 01:59:59 to 03:00:00
    let eve = at(Europe::Berlin, "2024-03-30 12:00:00");
    assert_eq!(times("30 2 * * *", eve, 2), ["04-01 02:30", "04-02 02:30"]);
    assert_eq!(times("0 1-3 * * *", eve, 3), ["03-31 01:00", "03-31 03:00", "04-01 01:00"]);
    let before = at(Europe::Berlin, "2024-03-31 01:50:00");
    assert_eq!(times("*/20 * * * *", before, 2), ["03-31 03:00", "03-31 03:20"]);
}

#[test]
fn a_time_that_autumn_shows_twice_is_its_first() {
    // in Berlin, 2024-10-27 goes from 02:59:59 back to 02:00:00
    let eve = at(Europe::Berlin, "2024-10-26 12:00:00");
    let first = Cron::parse("30 2 * * *").expect("valid").next(&eve).expect("a time");
    assert_eq!(first.with_timezone(&Utc), at(Utc, "2024-10-27 00:30:00"));
    assert_eq!(times("30 2 * * *", eve, 2), ["10-27 02:30", "10-28 02:30"]);
    assert_eq!(times("*/30 2-3 * * *", eve, 4), ["10-27 02:00", "10-27 02:30", "10-27 03:00", "10-27 03:30"]);
    // asked within the second pass: what it shows now was shown before
    let second_pass = at(Utc, "2024-10-27 01:10:00").with_timezone(&Europe::Berlin);
    assert_eq!(times("*/30 2-3 * * *", second_pass, 1), ["10-27 03:00"]);
}

/// One item of a field, written down and matched in the plainest way.
#[derive(Debug, Clone)]
struct Item {
    star: bool,
    from: u32,
    to: Option<u32>,
    step: Option<u32>,
}

#[derive(Debug, Clone)]
struct Plain {
    first: u32,
    last: u32,
    items: Vec<Item>,
}

impl Plain {
    fn text(&self) -> String {
        let items = self.items.iter().map(|item| {
            let mut text = if item.star { "*".to_owned() } else { item.from.to_string() };
            if let (false, Some(to)) = (item.star, item.to) {
                text += &format!("-{to}");
            }
            text + &item.step.map_or(String::new(), |step| format!("/{step}"))
        });
        items.collect::<Vec<_>>().join(",")
    }

    fn is_starred(&self) -> bool {
        self.items.iter().any(|item| item.star)
    }

    fn matches(&self, number: u32) -> bool {
        self.items.iter().any(|item| {
            let (from, to) = match item {
                Item { star: true, .. } => (self.first, self.last),
                Item { to: Some(to), .. } => (item.from, *to),
                Item { step: Some(_), .. } => (item.from, self.last),
                Item { .. } => (item.from, item.from),
            };
            (from..=to).contains(&number) && (number - from).is_multiple_of(item.step.unwrap_or(1))
        })
    }
}

fn field(first: u32, last: u32) -> impl Strategy<Value = Plain> {
    let item = (
        proptest::bool::weighted(0.4),
        first..=last,
        proptest::option::of(0..=last),
        proptest::option::weighted(0.3, 1..=last + 3),
    )
        .prop_map(move |(star, from, more, step)| Item {
            star,
            from,
            to: more.map(|more| (from + more).min(last)),
            step,
        });
    proptest::collection::vec(item, 1..3).prop_map(move |items| Plain { first, last, items })
}

#[derive(Debug, Clone)]
struct PlainCron([Plain; 5]);

impl PlainCron {
    fn matches_day(&self, date: impl Datelike) -> bool {
        let Self([_, _, day, month, weekday]) = self;
        let by_day = day.matches(date.day());
        let by_weekday = weekday.matches(date.weekday().num_days_from_sunday());
        month.matches(date.month())
            && match day.is_starred() || weekday.is_starred() {
                true => by_day && by_weekday,
                false => by_day || by_weekday,
            }
    }

    fn matches_time(&self, time: impl Timelike) -> bool {
        self.0[0].matches(time.minute()) && self.0[1].matches(time.hour())
    }
}

fn crons() -> impl Strategy<Value = PlainCron> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))
        .prop_map(|(minute, hour, day, month, weekday)| PlainCron([minute, hour, day, month, weekday]))
}

/// `PROPTEST_CASES` asks for more than what is quick.
fn cases(quick: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(quick, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(600)))]

    #[test]
    fn it_agrees_with_a_walk_over_every_minute(plain in crons(), start in 0..4 * 365 * 86_400_i64) {
        let text = plain.0.each_ref().map(Plain::text).join(" ");
        let cron = Cron::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let start = at(Utc, "2023-01-01 00:00:00") + TimeDelta::seconds(start);
        // a quarter is walked; what lies beyond it must only not be within
        let minutes = |day: i64| {
            let day = start.date_naive() + Duration::days(day);
            let found = plain.matches_day(day);
            (0..if found { 1440 } else { 0 })
                .map(move |minute| day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::minutes(minute))
        };
        let expected = (0..90).flat_map(minutes).find(|time| *time > start && plain.matches_time(*time));
        let next = cron.next(&start);
        match expected {
            Some(_) => prop_assert_eq!(next, expected, "{}", text),
            None => prop_assert!(next.is_none_or(|time| time - start > Duration::days(88)), "{}", text),
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r"([*?/\\,0-9 -]|sun|\PC){0,30}") {
        if let Ok(cron) = Cron::parse(&text) {
            cron.next(&at(Utc, "2023-01-01 00:00:00"));
        }
    }

    #[test]
    fn it_agrees_with_a_walk_over_the_clocks_two_changes(
        minute in field(0, 59),
        hour in field(0, 23),
        start in 0..180_i64,
        change in 0..4_usize,
    ) {
        let zones = [Europe::Berlin, Australia::Lord_Howe]; // Lord Howe's clock changes by half an hour
        let changes = ["2024-03-31 00:30:00", "2024-10-26 23:30:00", "2024-10-05 14:30:00", "2024-04-06 14:00:00"];
        let zone: Tz = zones[change / 2];
        let every_day = || Plain { first: 0, last: 31, items: vec![Item { star: true, from: 0, to: None, step: None }] };
        let text = format!("{} {} * * *", minute.text(), hour.text());
        let plain = PlainCron([minute, hour, every_day(), every_day(), every_day()]);
        let cron = Cron::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;

        let start = (at(Utc, changes[change]) + TimeDelta::minutes(start)).with_timezone(&zone);
        let expected = (1..2 * 1440).map(|minutes| start + TimeDelta::minutes(minutes)).find(|time| {
            let is_first = zone.from_local_datetime(&time.naive_local()).earliest() == Some(*time);
            is_first && plain.matches_time(*time)
        });
        let next = cron.next(&start);
        match expected {
            Some(_) => prop_assert_eq!(next, expected, "{} after {}", text, start),
            None => prop_assert!(next.is_none_or(|time| time - start >= Duration::days(2)), "{}", text),
        }
    }
}
