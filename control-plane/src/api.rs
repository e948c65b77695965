//! The edge API's answers, status by status. A 401, 403 or 404 has no body, as the real ones haven't.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use time::{OffsetDateTime, macros::format_description};
use uuid::Uuid;

use crate::{
    authority::{BOOTSTRAP_NAME, Caller},
    edge::Edge,
    faults::Call,
    store::{Device, Stage, Store},
};

const BASE: &str = "/api/flotta-management/v1/";

/// What the request line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    DataIn,
    DataOut,
    ControlIn,
    ControlOut,
    /// A path that is none.
    Nowhere,
    /// A path that is one, by another method.
    WrongMethod,
}

/// Target and device id.
pub(crate) fn target<'a>(method: &str, path: &'a str) -> (Target, &'a str) {
    let parts: Vec<&str> = path.strip_prefix(BASE).unwrap_or_default().split('/').collect();
    let (wanted, target, id) = match parts[..] {
        ["data", id, "in"] => ("GET", Target::DataIn, id),
        ["data", id, "out"] => ("POST", Target::DataOut, id),
        ["control", id, "in"] => ("GET", Target::ControlIn, id),
        ["control", id, "out"] => ("POST", Target::ControlOut, id),
        _ => return (Target::Nowhere, ""),
    };
    if method == wanted { (target, id) } else { (Target::WrongMethod, id) }
}

/// A request, read whole.
pub(crate) struct Request<'a> {
    pub(crate) target: Target,
    pub(crate) id: &'a str,
    /// None: a certificate of another CA.
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) content_type: &'a str,
    /// The body, if it is JSON.
    pub(crate) message: Option<Value>,
}

impl Request<'_> {
    pub(crate) fn call(&self) -> Call {
        let directive = self.message.as_ref().and_then(|message| message["directive"].as_str());
        match (self.target, directive) {
            (Target::DataIn, _) => Call::Configuration,
            (Target::ControlIn, _) => Call::Control,
            (Target::DataOut, Some("enrolment")) => Call::Enrol,
            (Target::DataOut, Some("registration")) => Call::Register,
            (Target::DataOut, Some("heartbeat")) => Call::Heartbeat,
            _ => Call::Other,
        }
    }

    fn is_from(&self, name: &str) -> bool {
        self.caller.is_some_and(|caller| caller.name == name)
    }

    /// Whether it is this device's, and not of one that had its name before.
    fn is_of(&self, device: &Device) -> bool {
        let uid = self.caller.and_then(|caller| caller.uid.as_ref());
        self.is_own() && (uid.is_none() || uid == device.uid.as_ref())
    }

    /// Whether it comes with a certificate of the device's chain. (Where the device has none yet, the caller knows more.)
    fn is_in_chain(&self, device: &Device) -> bool {
        device.chain.is_none() || self.caller.is_some_and(|caller| caller.chain == device.chain)
    }

    /// The batch whose bootstrap certificate it comes with.
    fn batch(&self) -> Option<&str> {
        self.caller?.batch.as_deref()
    }

    /// Where the device is, by its own certificate.
    fn namespace(&self) -> Option<&str> {
        self.caller.filter(|_| self.is_own())?.namespace.as_deref()
    }

    /// The server compares with the lower-cased id.
    fn is_own(&self) -> bool {
        self.is_from(&self.id.to_lowercase())
    }
}

/// What comes back.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Status(u16),
    Json(u16, Value),
    /// None: the real one crashes over such a request, and drops the connection.
    Dropped,
}

impl Answer {
    fn fault(status: u16, message: impl Into<Value>) -> Self {
        Self::Json(status, json!({"code": status, "message": message.into()}))
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Status(status) | Self::Json(status, _) => *status,
            Self::Dropped => 0,
        }
    }
}

/// Does what was asked, as far as the asker may.
pub(crate) async fn answer<S: Store>(edge: &Edge<S>, request: &Request<'_>) -> Answer {
    let Some(caller) = request.caller else { return Answer::Status(401) };
    match request.target {
        Target::Nowhere => Answer::fault(404, "there is no such path"),
        Target::WrongMethod => Answer::fault(405, "there is no such method for this path"),
        Target::DataIn | Target::ControlIn if caller.is_expired() || request.is_from(BOOTSTRAP_NAME) => {
            Answer::Status(401)
        }
        Target::DataIn | Target::ControlIn if !request.is_own() => Answer::Status(403),
        Target::DataIn => or_fault(edge, request, configuration(edge, request).await),
        Target::ControlIn => or_fault(edge, request, control(edge, request).await),
        Target::DataOut | Target::ControlOut => match envelope(request) {
            Ok(_) if request.target == Target::ControlOut => {
                Answer::Status(if request.is_own() { 200 } else { 403 })
            }
            Ok(message) => or_fault(edge, request, posted(edge, request, message).await),
            Err(answer) => answer,
        },
    }
}

/// What the store could not do is a 500.
fn or_fault<S>(edge: &Edge<S>, request: &Request<'_>, result: anyhow::Result<Answer>) -> Answer {
    result.unwrap_or_else(|error| {
        edge.journal.say(&format!("{}: {error:#}", request.id));
        Answer::Status(500)
    })
}

/// The message posted, checked as the framework does it before any handler sees it.
fn envelope<'a>(request: &'a Request<'_>) -> Result<&'a Value, Answer> {
    if request.content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Answer::fault(415, "unsupported media type, only application/json is allowed"));
    }
    let Some(message) = request.message.as_ref().filter(|message| message.is_object()) else {
        return Err(Answer::fault(400, "parsing message body from \"\" failed"));
    };
    let types = ["connection-status", "command", "event", "data"];
    match &message["type"] {
        Value::Null => Ok(message),
        Value::String(kind) if types.contains(&kind.as_str()) => Ok(message),
        _ => Err(Answer::fault(422, "type in body should be one of [connection-status command event data]")),
    }
}

async fn posted<S: Store>(edge: &Edge<S>, request: &Request<'_>, message: &Value) -> anyhow::Result<Answer> {
    if let Some(batch) = request.batch()
        && !edge.store.admits(batch).await?
    {
        return Ok(Answer::Status(401));
    }
    match request.call() {
        Call::Enrol => enrol(edge, request, &message["content"]).await,
        Call::Register => register(edge, request, message).await,
        _ if !request.is_own() => Ok(Answer::Status(403)),
        Call::Heartbeat => heartbeat(edge, request, &message["content"]).await,
        _ => Ok(Answer::Status(400)),
    }
}

async fn enrol<S: Store>(edge: &Edge<S>, request: &Request<'_>, content: &Value) -> anyhow::Result<Answer> {
    let id = request.id;
    if !is_name(id) || id == BOOTSTRAP_NAME {
        // Like the cluster, which refuses an object of such a name. The other one's certificate would be everyone's.
        return Ok(Answer::Status(400));
    }
    let stage = edge.store.find(id, request.namespace()).await?.map(|device| device.stage);
    match stage {
        Some(Stage::Refused) => return Ok(Answer::Status(400)),
        None if content["features"].is_null() => return Ok(Answer::Dropped),
        None => edge.store.enrol(id, request.batch(), content).await?,
        Some(_) => {}
    }
    Ok(Answer::Status(if stage.is_some_and(Stage::exists) { 208 } else { 200 }))
}

/// Lower-case DNS-1123.
fn is_name(id: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    id.len() <= 253
        && id.split('.').all(|part| {
            !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
        })
}

async fn register<S: Store>(
    edge: &Edge<S>,
    request: &Request<'_>,
    message: &Value,
) -> anyhow::Result<Answer> {
    let Some(device) = known(edge, request).await? else { return Ok(Answer::Status(404)) };
    let goes_on = request.is_of(&device) && request.is_in_chain(&device);
    let begins = match device.stage {
        Stage::Approved => true,
        // The answer to an earlier registration may be lost.
        Stage::Registered => request.is_own() || request.is_from(BOOTSTRAP_NAME),
        _ => false,
    };
    if !goes_on && !begins {
        return Ok(Answer::Status(500));
    }
    let (content, hardware) = (&message["content"], &message["content"]["hardware"]);
    if let Some(label) = bad_label(hardware).filter(|_| edge.may_misbehave) {
        edge.journal.say(&format!("{}: '{label}' can't be a label", request.id));
        return Ok(Answer::Status(500));
    }
    let csr = content["certificate_request"].as_str().unwrap_or_default();
    let (of, life) = (request.caller.filter(|_| goes_on), edge.certificate_seconds.load(Relaxed));
    // Of a chain that was used only its own certificates can say more, and its first key: no one else has that.
    let is_late = |chain: &Option<String>| !goes_on && device.is_used && *chain != device.chain;
    let signed = match edge.authority.sign(csr, &device, of, life) {
        Ok(signed) if is_late(&signed.chain) => return Ok(Answer::Status(500)),
        Ok(signed) => signed,
        Err(_) if is_late(&None) => return Ok(Answer::Status(500)),
        Err(error) => {
            edge.journal.say(&format!("{}: {error:#}", request.id));
            return Ok(Answer::Status(400));
        }
    };
    if let Err(refusal) = edge.store.register(&device, &signed, goes_on, hardware).await {
        edge.journal.say(&format!("{}: {refusal}", request.id));
        return Ok(Answer::Status(500));
    }
    let content = json!({"certificate": signed.pem});
    Ok(Answer::Json(
        200,
        json!({"content": content, "directive": "registration", "message_id": message["message_id"]}),
    ))
}

/// What of the hardware becomes a label and can't: the edge API lower-cases it and takes out what no label may have,
/// but it leaves it as long as it is. It misbehaves there: this one does so only with `--faults`.
fn bad_label(hardware: &Value) -> Option<String> {
    let (cpu, vendor) = (&hardware["cpu"], &hardware["system_vendor"]);
    let all = [
        &hardware["hostname"],
        &cpu["architecture"],
        &cpu["model_name"],
        &vendor["manufacturer"],
        &vendor["product_name"],
        &vendor["serial_number"],
    ];
    let label = |value: &Value| {
        let text = value.as_str().unwrap_or_default().to_lowercase();
        let text = text.trim_matches(|c: char| !c.is_lowercase() && !c.is_ascii_digit());
        text.replace(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && !"-_.".contains(c), "")
    };
    let is_bad = |label: &String| {
        label.len() > 63 || label.starts_with(['-', '_', '.']) || label.ends_with(['-', '_', '.'])
    };
    all.into_iter().map(label).find(is_bad)
}

async fn heartbeat<S: Store>(
    edge: &Edge<S>,
    request: &Request<'_>,
    content: &Value,
) -> anyhow::Result<Answer> {
    if !content.is_object() {
        return Ok(Answer::Status(400));
    }
    let device = match own_device(edge, request).await? {
        Ok(device) => device,
        Err(status) => return Ok(Answer::Status(status)),
    };
    edge.store.heartbeat(&device, content).await?;
    Ok(Answer::Status(200))
}

/// The device that the URL names, if it was let in.
async fn known<S: Store>(edge: &Edge<S>, request: &Request<'_>) -> anyhow::Result<Option<Device>> {
    let mut found = edge.store.find(request.id, request.namespace()).await?;
    // It may have registered a moment ago, at another replica.
    let is_old = |it: &Device| it.stage == Stage::Approved || !request.is_in_chain(it);
    if let Some(device) = found.as_ref().filter(|it| request.is_of(it) && is_old(it)) {
        found = edge.store.find_anew(device).await?;
    }
    Ok(found.filter(|device| device.stage.exists()))
}

/// The device that asks, if its certificate is of the one that now has its name, and of its chain; or what to answer.
async fn own_device<S: Store>(edge: &Edge<S>, request: &Request<'_>) -> anyhow::Result<Result<Device, u16>> {
    let Some(device) = known(edge, request).await?.filter(|device| request.is_of(device)) else {
        return Ok(Err(404));
    };
    if !request.is_in_chain(&device) {
        return Ok(Err(403));
    }
    if device.stage == Stage::Registered && !device.is_used {
        edge.store.use_chain(&device).await?;
    }
    Ok(Ok(device))
}

async fn configuration<S: Store>(edge: &Edge<S>, request: &Request<'_>) -> anyhow::Result<Answer> {
    let device = match own_device(edge, request).await? {
        Ok(device) => device,
        Err(status) => return Ok(Answer::Status(status)),
    };
    let mut message = envelope_of("data", edge.store.configuration(&device).await?);
    message["directive"] = "device".into();
    Ok(Answer::Json(200, message))
}

async fn control<S: Store>(edge: &Edge<S>, request: &Request<'_>) -> anyhow::Result<Answer> {
    match own_device(edge, request).await? {
        Ok(device) if device.stage != Stage::Leaving => return Ok(Answer::Status(200)),
        Ok(device) => edge.store.dismiss(&device).await?,
        // one that it doesn't know is to it one that was unregistered
        Err(404) => {}
        Err(status) => return Ok(Answer::Status(status)),
    }
    Ok(Answer::Json(200, envelope_of("command", json!({"arguments": null, "command": "disconnect"}))))
}

fn envelope_of(kind: &str, content: Value) -> Value {
    // Always three digits, as Go's strfmt has them.
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    json!({
        "content": content,
        "message_id": Uuid::new_v4().to_string(),
        "sent": OffsetDateTime::now_utc().format(format).unwrap_or_default(),
        "type": kind,
        "version": 1,
    })
}
