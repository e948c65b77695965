//! The body of a post, and its way to the agent.

use device_worker_ng::{
    agent::Sample,
    io::metrics::fuzzing::body,
    wire::own::frames::{self, Post},
};
use serde_json::{Value, json};

use crate::promise;

/// A sample without the last digits of what has more than a number has: there `serde_json` may be off by one.
fn exactly(sample: &Sample) -> (&str, Option<String>) {
    (&sample.name, sample.value.map(|value| format!("{value:.13e}")))
}

pub(super) fn run(input: &[u8]) {
    let samples = match body(input) {
        Ok(samples) => samples,
        Err(refused) => {
            promise::is_sentence(&refused);
            return assert!(refused.len() <= 1_000, "an answer of {} bytes", refused.len());
        }
    };
    // only mappings are samples
    let Ok(value) = serde_json::from_slice::<Value>(input) else {
        // what isn't looked at is passed by one reader and not kept by the other: half a character by its number, a number
        // out of range, lists too deep
        std::str::from_utf8(input).expect("what was read is text");
        return;
    };
    let objects = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
    assert!(objects.iter().all(Value::is_object), "a sample that is no mapping was taken: {value}");
    for Sample { name, value } in &samples {
        assert_eq!(frames::check_name(name), Ok(()));
        assert!(value.is_none_or(f64::is_finite));
    }
    let written: Value = samples.iter().map(|it| json!({ "name": it.name, "value": it.value })).collect();
    let again = body(written.to_string().as_bytes()).expect("what was taken is taken again");
    assert!(again.iter().map(exactly).eq(samples.iter().map(exactly)), "{again:?} was {samples:?}");

    let mut frame = Vec::new();
    Post { id: 7, samples: samples.clone() }.write(&mut frame);
    let taken = Post::decode(&mut &frame[..]);
    if samples.len() <= 4096 && input.len() <= 64 * 1024 {
        assert_eq!(taken, Ok(Some(Post { id: 7, samples })), "the agent gets something else");
    }
}
