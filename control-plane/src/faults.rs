//! How to misbehave: which requests, in which way, how often.

use std::{fmt, str::FromStr, time::Duration};

use serde::Serialize;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Call {
    Enrol,
    Register,
    Heartbeat,
    Configuration,
    Control,
    /// Nothing the edge API knows.
    Other,
}

/// One way of misbehaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This status instead of an answer; nothing is done.
    Status { status: u16, retry_after: Option<String> },
    /// No answer until the trouble is cleared.
    Stall,
    /// The answer comes so much later.
    Slow(Duration),
    /// The answer comes byte by byte, with this between two.
    Drip(Duration),
    /// The connection is reset; nothing is done.
    Reset,
    /// What was asked is done, and then the connection is reset.
    Lost,
    /// The same in the middle of the answer.
    Cut,
    /// Half the answer, as if it were whole.
    Truncated,
    /// JSON with everything of another type.
    Types,
    /// A web page.
    Html,
    /// 200, and nothing.
    Empty,
    /// 64 MiB of blanks.
    Huge,
}

/// A rule: the first that fits a request is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) trouble: Trouble,
    /// How it was written.
    text: String,
    call: Option<Call>,
    device: Option<String>,
    /// For so many requests more.
    times: Option<u32>,
}

impl Fault {
    /// What it is, as it was written: `503`, `slow=300`.
    pub(crate) fn kind(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let what = words.next().ok_or("a fault needs a kind")?;
        let (kind, amount) = what.split_once('=').unwrap_or((what, "1000"));
        let time = || {
            amount.parse().map(Duration::from_millis).map_err(|_| format!("'{amount}' is no number of ms"))
        };
        let trouble = match kind {
            "stall" => Trouble::Stall,
            "slow" => Trouble::Slow(time()?),
            "drip" => Trouble::Drip(time()?),
            "reset" => Trouble::Reset,
            "lost" => Trouble::Lost,
            "cut" => Trouble::Cut,
            "truncated" => Trouble::Truncated,
            "types" => Trouble::Types,
            "html" => Trouble::Html,
            "empty" => Trouble::Empty,
            "huge" => Trouble::Huge,
            other => match other.parse() {
                Ok(status @ 200..=599) => Trouble::Status { status, retry_after: None },
                _ => return Err(format!("there is no fault '{other}'")),
            },
        };
        let mut fault = Self { trouble, text: text.to_owned(), call: None, device: None, times: None };
        for word in words {
            let refused = || format!("'{word}' makes no sense here");
            let (key, value) = word.split_once('=').ok_or_else(refused)?;
            match (key, &mut fault.trouble) {
                ("call", _) => fault.call = Some(value.parse()?),
                ("device", _) => fault.device = Some(value.to_owned()),
                ("times", _) => fault.times = Some(value.parse().map_err(|_| refused())?),
                ("retry-after", Trouble::Status { retry_after, .. }) => *retry_after = Some(value.to_owned()),
                _ => return Err(refused()),
            }
        }
        Ok(fault)
    }
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let calls =
            [Self::Enrol, Self::Register, Self::Heartbeat, Self::Configuration, Self::Control, Self::Other];
        calls
            .into_iter()
            .find(|call| call.to_string() == text)
            .ok_or_else(|| format!("there is no call '{text}'"))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.times.map_or(Ok(()), |left| write!(f, " ({left} left)"))
    }
}

/// The rules in force, in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn all(&self) -> &[Fault] {
        &self.0
    }

    /// The one for this request, counted.
    pub(crate) fn take(&mut self, call: Call, device: &str) -> Option<Fault> {
        let at = self.0.iter().position(|fault| {
            fault.call.is_none_or(|only| only == call)
                && fault.device.as_deref().is_none_or(|only| only == device)
                && fault.times != Some(0)
        })?;
        let fault = &mut self.0[at];
        let taken = fault.clone();
        if let Some(left) = &mut fault.times {
            *left -= 1;
            if *left == 0 {
                self.0.remove(at);
            }
        }
        Some(taken)
    }
}
