//! What the metrics receiver and the agent say to each other over their socket pair.
//!
//! ```text
//! post:  length u32 │ id u32 │ { name length u8 │ name │ 0, or 1 and an f64 }*     receiver → agent
//! ack:   id u32 │ ack u8                                                       agent → receiver
//!
//! question:  kind u8                                                               receiver → agent
//! report:    0, or why not u8 │ length u32 │ bytes                                 agent → receiver
//! ```
//!
//! Questions have a socket pair of their own, so that no ack waits behind a report, and the next one is read after
//! the answer. Numbers are little-endian. The receiver parses foreign bytes and may be under another's control by now, so a post
//! is checked again here, with the rules that the receiver itself applies.

use crate::agent::Sample;

/// The longest name, in bytes.
pub const MAX_NAME: usize = 128;
/// The most samples in a post: more than 64 KiB of JSON can hold.
const MAX_SAMPLES: usize = 4096;
/// The longest post, in bytes after its length; always shorter than the JSON that it was.
const MAX_POST: usize = 64 * 1024;

/// Samples that are stored all or not at all, and the number to acknowledge them by.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// Unique among the posts in flight.
    pub id: u32,
    /// As posted, oldest first.
    pub samples: Vec<Sample>,
}

/// What became of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// It outlives the agent.
    Stored = 0,
    /// There would be too many names.
    TooManyNames = 1,
    /// The disk is full, or broken.
    NotStored = 2,
}

/// These bytes were not written by a sound receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedFrame(&'static str);

impl std::fmt::Display for MalformedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed frame: {}", self.0)
    }
}

impl std::error::Error for MalformedFrame {}

/// Whether an expression could mention this name: `[A-Za-z_%][A-Za-z0-9_%]*`, but for `nil`.
///
/// # Errors
/// The reason, to be read after the name.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b'%';
    match name.as_bytes() {
        [] => Err("is empty"),
        long if long.len() > MAX_NAME => {
            const { assert!(MAX_NAME == 128, "the next line says so") };
            Err("is longer than 128 bytes")
        }
        b"nil" => Err("means 'unset'"),
        [first, rest @ ..] if letter(*first) && rest.iter().all(|&b| letter(b) || b.is_ascii_digit()) => {
            Ok(())
        }
        _ => Err("is not of letters, digits, '_' and '%', with no digit in front"),
    }
}

impl Post {
    /// Appends the frame to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        out.extend(self.id.to_le_bytes());
        for Sample { name, value } in &self.samples {
            out.push(name.len() as u8);
            out.extend(name.as_bytes());
            out.push(u8::from(value.is_some()));
            out.extend(value.iter().flat_map(|v| v.to_le_bytes()));
        }
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Takes the next frame off `bytes`; `None`: it isn't whole yet.
    ///
    /// # Errors
    /// [`MalformedFrame`] when it can't become a valid post.
    pub fn decode(bytes: &mut &[u8]) -> Result<Option<Self>, MalformedFrame> {
        let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_POST {
            return Err(MalformedFrame("too long"));
        }
        let Some((mut frame, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        *bytes = rest;
        let id = u32::from_le_bytes(take_bytes(&mut frame)?);
        let mut samples = Vec::new();
        while !frame.is_empty() {
            if samples.len() == MAX_SAMPLES {
                return Err(MalformedFrame("too many samples"));
            }
            samples.push(take_sample(&mut frame)?);
        }
        Ok(Some(Self { id, samples }))
    }
}

fn take_sample(frame: &mut &[u8]) -> Result<Sample, MalformedFrame> {
    let [length] = take_bytes(frame)?;
    let (name, rest) = frame.split_at_checked(length.into()).ok_or(MalformedFrame("ends in a name"))?;
    *frame = rest;
    let name = str::from_utf8(name).map_err(|_| MalformedFrame("name is not text"))?;
    check_name(name).map_err(MalformedFrame)?;
    let value = match take_bytes(frame)? {
        [0] => None,
        [1] => Some(f64::from_le_bytes(take_bytes(frame)?)),
        _ => return Err(MalformedFrame("neither set nor unset")),
    };
    if value.is_some_and(|v| !v.is_finite()) {
        return Err(MalformedFrame("value is not finite"));
    }
    Ok(Sample { name: name.to_owned(), value })
}

fn take_bytes<const N: usize>(frame: &mut &[u8]) -> Result<[u8; N], MalformedFrame> {
    let (head, rest) = frame.split_first_chunk().ok_or(MalformedFrame("ends early"))?;
    *frame = rest;
    Ok(*head)
}

/// Appends the acknowledgement of a post to `out`.
pub fn write_ack(id: u32, ack: Ack, out: &mut Vec<u8>) {
    out.extend(id.to_le_bytes());
    out.push(ack as u8);
}

/// Reads an acknowledgement.
#[must_use]
pub fn read_ack([a, b, c, d, ack]: [u8; 5]) -> (u32, Ack) {
    let known = [Ack::Stored, Ack::TooManyNames].into_iter().find(|it| *it as u8 == ack);
    (u32::from_le_bytes([a, b, c, d]), known.unwrap_or(Ack::NotStored))
}

/// The longest report, in bytes: of some 1,400 workloads.
pub const MAX_REPORT: usize = 2 * 1024 * 1024;
/// How long the head of a report is, in bytes.
pub const REPORT_HEAD_LEN: usize = 5;

/// What a receiver can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// States and figures, as OpenMetrics text.
    Metrics = 0,
    /// All that the status page shows, as JSON.
    Status = 1,
    /// What has happened of late, as JSON.
    History = 2,
}

impl ReportKind {
    /// Reads a question.
    ///
    /// # Errors
    /// [`MalformedFrame`] when there is no such kind.
    pub fn read([kind]: [u8; 1]) -> Result<Self, MalformedFrame> {
        let mut kinds = [Self::Metrics, Self::Status, Self::History].into_iter();
        kinds.find(|it| *it as u8 == kind).ok_or(MalformedFrame("no such question"))
    }
}

/// Why there is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportRefusal {
    /// The agent's loop didn't reply in time.
    Busy = 1,
    /// It would be longer than [`MAX_REPORT`].
    TooLong = 2,
    /// The settings don't allow it.
    Off = 3,
}

impl ReportRefusal {
    /// For the client.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Busy => "the agent is busy",
            Self::TooLong => "the answer would be longer than 2 MiB: ask with 'device-worker-ng status'",
            Self::Off => "there is no status page: set STATUS_PAGE: true",
        }
    }
}

/// The head of a report of this length, or all there is to say.
#[must_use]
pub fn encode_report_head(report: Result<usize, ReportRefusal>) -> [u8; REPORT_HEAD_LEN] {
    let code = report.err().map_or(0, |refused| refused as u8);
    let [a, b, c, d] = (report.unwrap_or(0) as u32).to_le_bytes();
    [code, a, b, c, d]
}

/// Reads the head of a report: how many bytes follow.
///
/// # Errors
/// None do: why.
pub fn read_report_head([code, length @ ..]: [u8; REPORT_HEAD_LEN]) -> Result<usize, ReportRefusal> {
    if code == 0 {
        let length = u32::from_le_bytes(length) as usize;
        return Some(length).filter(|it| *it <= MAX_REPORT).ok_or(ReportRefusal::TooLong);
    }
    let known = [ReportRefusal::TooLong, ReportRefusal::Off].into_iter().find(|it| *it as u8 == code);
    Err(known.unwrap_or(ReportRefusal::Busy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(name: &str, value: Option<f64>) -> Sample {
        Sample { name: name.into(), value }
    }

    #[test]
    fn posts_come_out_as_they_went_in_and_a_half_one_waits() {
        let posts = [
            Post { id: 7, samples: vec![sample("cpu", Some(20.5)), sample("%x_1", None)] },
            Post { id: u32::MAX, samples: vec![] },
        ];
        let mut bytes = Vec::new();
        posts.iter().for_each(|p| p.write(&mut bytes));
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            let mut seen = Vec::new();
            while let Some(post) = Post::decode(&mut rest).unwrap() {
                seen.push(post);
            }
            assert_eq!(seen, posts[..seen.len()]);
            assert!(seen.len() < 2);
        }
        let mut rest = &bytes[..];
        assert_eq!(Post::decode(&mut rest).unwrap().unwrap(), posts[0]);
        assert_eq!(Post::decode(&mut rest).unwrap().unwrap(), posts[1]);
        assert!(rest.is_empty());
    }

    #[test]
    fn what_a_sound_receiver_never_sends_is_malformed() {
        let refused = |samples: Vec<Sample>| {
            let mut bytes = Vec::new();
            Post { id: 1, samples }.write(&mut bytes);
            Post::decode(&mut &bytes[..]).is_err()
        };
        assert!(refused(vec![sample("a", Some(f64::NAN))]));
        assert!(refused(vec![sample("a", Some(f64::INFINITY))]));
        assert!(refused(vec![sample("nil", Some(1.0))]));
        assert!(refused(vec![sample("1a", None)]));
        assert!(refused(vec![sample(&"a".repeat(129), None)]));
        assert!(refused(vec![sample("a", None); MAX_SAMPLES + 1]));
        assert!(!refused(vec![sample(&"a".repeat(128), None)]));
        assert!(Post::decode(&mut &[0xff, 0xff, 0xff, 0xff][..]).is_err());
    }

    #[test]
    fn acks_come_out_as_they_went_in() {
        for ack in [Ack::Stored, Ack::TooManyNames, Ack::NotStored] {
            let mut bytes = Vec::new();
            write_ack(0x0102_0304, ack, &mut bytes);
            assert_eq!(read_ack(bytes.try_into().unwrap()), (0x0102_0304, ack));
        }
    }

    #[test]
    fn questions_and_heads_of_reports_come_out_as_they_went_in() {
        for kind in [ReportKind::Metrics, ReportKind::Status, ReportKind::History] {
            assert_eq!(ReportKind::read([kind as u8]), Ok(kind));
        }
        ReportKind::read([3]).unwrap_err();
        for report in [
            Ok(0),
            Ok(MAX_REPORT),
            Err(ReportRefusal::Busy),
            Err(ReportRefusal::TooLong),
            Err(ReportRefusal::Off),
        ] {
            assert_eq!(read_report_head(encode_report_head(report)), report);
        }
        assert_eq!(read_report_head(encode_report_head(Ok(MAX_REPORT + 1))), Err(ReportRefusal::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_valid_post_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let framed = [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
            let mut rest = &framed[..];
            if let Ok(Some(post)) = Post::decode(&mut rest) {
                prop_assert!(post.samples.iter().all(|s| check_name(&s.name).is_ok()));
                let mut again = Vec::new();
                post.write(&mut again);
                prop_assert_eq!(again, framed);
            }
        }
    }
}
