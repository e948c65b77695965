//! What the edge API is told: Flotta's message envelope and the contents in it.

use std::{borrow::Cow, time::SystemTime};

use serde::Serialize;
use serde_json::Value;

use crate::{
    agent::model::{
        call::{Call, Heartbeat, ServerWorkloadStatus},
        notice::{Notice, Severity},
        time::format_timestamp,
    },
    wire::text::truncate,
};

/// Where the API's paths start.
pub const BASE_PATH: &str = "/api/flotta-management/v1";

/// Who says something, and when.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// This device's id.
    pub device: &'a str,
    /// The namespace on the server into which this device enrols.
    pub namespace: &'a str,
    /// Tells this message from all others: a UUID.
    pub message_id: &'a str,
    /// The time of sending.
    pub sent: SystemTime,
}

/// A request to the edge API: a POST if it has a body, otherwise a GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// After [`BASE_PATH`].
    pub path: String,
    /// JSON.
    pub body: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a, Content> {
    #[serde(rename = "type")]
    kind: &'static str,
    message_id: &'a str,
    directive: &'static str,
    version: u32,
    sent: String,
    content: Content,
}

#[derive(Serialize)]
struct Enrolment<'a> {
    // without this field the server drops the connection
    features: Features<'a>,
    target_namespace: &'a str,
}

#[derive(Serialize)]
struct Features<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<&'a Value>,
}

#[derive(Serialize)]
struct Registration<'a> {
    certificate_request: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<&'a Value>,
}

#[derive(Serialize)]
struct HeartbeatContent<'a> {
    status: &'static str,
    version: &'a str,
    workloads: Vec<Workload<'a>>,
    events: Vec<Event<'a>>,
    // an empty structure would overwrite what the server knows
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<&'a Value>,
}

#[derive(Serialize)]
struct Workload<'a> {
    name: &'a str,
    status: &'static str,
}

#[derive(Serialize)]
struct Event<'a> {
    reason: String,
    message: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The request for a call. `certificate_request` is the PEM of a CSR, for [`Call::Register`] only.
///
/// # Errors
/// What `serde_json` can't write, which nothing here is.
pub fn request(
    call: &Call,
    header: Header<'_>,
    hardware: Option<&Value>,
    certificate_request: &str,
) -> Result<Request, serde_json::Error> {
    let Header { device, namespace, .. } = header;
    let body = match call {
        Call::Configuration => {
            return Ok(Request { path: format!("/data/{device}/in"), body: None });
        }
        Call::Control => {
            return Ok(Request { path: format!("/control/{device}/in"), body: None });
        }
        Call::Enrol => {
            let content = Enrolment { features: Features { hardware }, target_namespace: namespace };
            header.envelope("enrolment", content)?
        }
        Call::Register => header.envelope("registration", Registration { certificate_request, hardware })?,
        Call::Heartbeat(beat) => {
            header.envelope("heartbeat", HeartbeatContent::from_heartbeat(beat, hardware))?
        }
    };
    Ok(Request { path: format!("/data/{device}/out"), body: Some(body) })
}

impl Header<'_> {
    fn envelope(self, directive: &'static str, content: impl Serialize) -> Result<String, serde_json::Error> {
        let sent = format_timestamp(self.sent);
        let kind = "data";
        serde_json::to_string(&Envelope {
            kind,
            message_id: self.message_id,
            directive,
            version: 1,
            sent,
            content,
        })
    }
}

impl<'a> HeartbeatContent<'a> {
    fn from_heartbeat(beat: &'a Heartbeat, hardware: Option<&'a Value>) -> Self {
        let workload = |(name, at): &'a (String, _)| Workload { name, status: status_word(*at) };
        Self {
            status: if beat.degraded { "degraded" } else { "up" },
            version: &beat.version,
            workloads: beat.workloads.iter().map(workload).collect(),
            events: beat.events.iter().map(Event::from_notice).collect(),
            hardware,
        }
    }
}

/// The words of the resource's type.
fn status_word(status: ServerWorkloadStatus) -> &'static str {
    match status {
        ServerWorkloadStatus::Deploying => "Deploying",
        ServerWorkloadStatus::Running => "Running",
        ServerWorkloadStatus::Exited => "Exited",
        ServerWorkloadStatus::Crashed => "Crashed",
        ServerWorkloadStatus::Stopped => "Stopped",
    }
}

impl<'a> Event<'a> {
    /// What Kubernetes takes as an event's message, in bytes.
    const MAX_MESSAGE_BYTES: usize = 1024;

    fn from_notice(notice: &'a Notice) -> Self {
        let times = if notice.times > 1 { format!(" ({} times)", notice.times) } else { String::new() };
        let message = &notice.message;
        Self {
            reason: format!("{:?}", notice.reason),
            message: match message.len() {
                length if length + times.len() > Self::MAX_MESSAGE_BYTES => {
                    format!("{}…{times}", truncate(message, Self::MAX_MESSAGE_BYTES - times.len() - 3)).into()
                }
                _ if times.is_empty() => message.into(),
                _ => format!("{message}{times}").into(),
            },
            kind: match notice.severity {
                Severity::Info => "info",
                Severity::Warning => "warn",
            },
        }
    }
}
