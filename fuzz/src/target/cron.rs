//! A schedule.

use std::str::FromStr;

use device_worker_ng::agent::model::schedule::Cron;

use crate::promise;

pub(super) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let cron = match Cron::parse(&text) {
        Ok(cron) => cron,
        Err(error) => return promise::is_cause(&error.to_string()),
    };
    assert_eq!(Cron::parse(&cron.to_string()).as_ref(), Ok(&cron), "shown it is another");
    for start in [
        "1970-01-01T00:00:00+00:00",
        "2024-02-28T23:59:59+00:00",
        "2026-03-29T01:59:30+01:00",
        "9999-12-31T23:59:00-11:00",
    ] {
        let mut at = chrono::DateTime::<chrono::FixedOffset>::from_str(start).expect("a time");
        for _ in 0..3 {
            let Some(next) = cron.next(&at) else { break };
            assert!(next > at, "{cron}: {next} is not after {at}");
            at = next;
        }
    }
    for start in [chrono::DateTime::<chrono::Utc>::MAX_UTC, chrono::DateTime::<chrono::Utc>::MIN_UTC] {
        assert!(cron.next(&start).is_none_or(|next| next > start));
    }
}
