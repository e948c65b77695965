//! Against a real TLS server that speaks as the edge API does.

mod peer;

use std::{
    cell::RefCell,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Mutex, atomic::Ordering},
    thread,
    time::SystemTime,
};

use serde_json::json;

use self::peer::{Authority, Peer, Reply};
use super::*;
use crate::{
    agent::model::{
        call::{CallKind, Heartbeat, PersistedLinkState, ServerWorkloadStatus},
        notice::{Notice, Reason},
    },
    io::{
        identity,
        persistence::{self, Stores},
    },
};

/// How long an answer may take that comes, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A device with a bootstrap certificate, and the server it talks to.
struct Scene {
    ca: Authority,
    dir: tempfile::TempDir,
    peer: Peer,
}

impl Scene {
    /// The server's certificate names `project-flotta.io` and loopback, as Flotta's does.
    fn new(answer: impl Fn(&peer::Request) -> Reply + Send + Sync + 'static) -> Self {
        let ca = Authority::new();
        let peer = Peer::start(ca.server(&["project-flotta.io", "127.0.0.1"]), ca.root(), answer);
        Self::with(ca, peer)
    }

    fn with(ca: Authority, peer: Peer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scene = Self { ca, dir, peer };
        fs::write(scene.path("ca.pem"), scene.ca.pem()).unwrap();
        let (cert, key) = scene.ca.client("register");
        fs::write(scene.path("cert.pem"), cert).unwrap();
        fs::write(scene.path("key.pem"), key).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn server(&self) -> Device {
        self.server_of(|_| {})
    }

    /// One that doesn't wait for answers that don't come.
    fn hasty(&self) -> Device {
        self.server_within(Duration::from_millis(800), |_| {})
    }

    fn server_of(&self, change: impl FnOnce(&mut EdgeApiConfig)) -> Device {
        self.server_within(PATIENCE, change)
    }

    fn server_within(&self, limit: Duration, change: impl FnOnce(&mut EdgeApiConfig)) -> Device {
        let mut config = EdgeApiConfig {
            url: self.peer.url(),
            name: None,
            proxy: None,
            namespace: "default".into(),
            unknown_fields: UnknownFields::Refuse,
            identity: IdentityStore {
                state: Store::new(self.path("state")),
                device_id: "dev".into(),
                ca_root: Some(self.path("ca.pem")),
                cert: Some(self.path("cert.pem")),
                key: Some(self.path("key.pem")),
            },
        };
        change(&mut config);
        let (events, inbox) = bounded(16);
        let mut target = Target::new(&config.url, config.name.clone(), config.proxy.clone());
        target.limit = limit;
        let server = CallWorker::with_target(target, config, events);
        Device { server, inbox, kept: RefCell::default(), not_before: RefCell::default() }
    }
}

struct Device {
    server: CallWorker,
    inbox: Receiver<Event>,
    /// Whether each pair could be written down.
    kept: RefCell<Vec<Result<(), String>>>,
    /// What the clock must show at least, as told.
    not_before: RefCell<Vec<SystemTime>>,
}

impl Device {
    fn call(&self, call: Call) -> Result<Answer, CallFailure> {
        let kind = call.kind();
        assert_eq!(self.server.submit(call), None);
        loop {
            match self.inbox.recv_timeout(2 * PATIENCE).unwrap() {
                Event::Answered(answered, result) if answered == kind => return result,
                Event::Stored(Storage::Identity, kept) => self.kept.borrow_mut().push(kept),
                Event::NotBefore(time) => self.not_before.borrow_mut().push(time),
                other => panic!("{other:?}"),
            }
        }
    }

    fn failure(&self, call: Call) -> CallFailure {
        self.call(call).unwrap_err()
    }
}

fn beat(events: Vec<Notice>) -> Call {
    let (version, workloads, hardware) = ("7".to_owned(), Vec::new(), HardwareScope::Omit);
    Call::Heartbeat(Heartbeat { degraded: false, version, workloads, events, hardware })
}

/// As the edge API answers a device that was let in.
fn flotta(ca: &Authority) -> impl Fn(&peer::Request) -> Reply + Send + Sync + 'static {
    let ca = ca.clone();
    move |request| match (request.path(), request.directive()) {
        ("/data/dev/out", "enrolment") => Reply::status(208),
        ("/data/dev/out", "registration") => {
            let csr = request.body["content"]["certificate_request"].as_str().unwrap();
            Reply::ok(json!({"content": {"certificate": ca.sign(csr, "dev")}}))
        }
        ("/data/dev/out", "heartbeat") if request.client == "dev" => Reply::ok(json!({})),
        ("/data/dev/out", "heartbeat") => Reply::status(403),
        ("/control/dev/in", _) if request.client == "dev" => Reply::status(200),
        ("/data/dev/in", _) if request.client == "dev" => {
            Reply::ok(json!({"content": {"device_id": "dev", "version": "1", "workloads": []}}))
        }
        _ => Reply::status(401),
    }
}

fn registered() -> (Scene, Device) {
    let ca = Authority::new();
    let peer = Peer::start(ca.server(&["127.0.0.1"]), ca.root(), flotta(&ca));
    let scene = Scene::with(ca, peer);
    let device = scene.server();
    assert!(matches!(device.call(Call::Register), Ok(Answer::Registered { .. })));
    (scene, device)
}

#[test]
fn a_device_enrols_and_registers_with_the_bootstrap_pair_and_goes_on_with_its_own() {
    let ca = Authority::new();
    let peer = Peer::start(ca.server(&["127.0.0.1"]), ca.root(), flotta(&ca));
    let scene = Scene::with(ca, peer);
    let bootstrap =
        |path: &Path| (fs::read(path.join("cert.pem")).unwrap(), fs::read(path.join("key.pem")).unwrap());
    let before = bootstrap(scene.dir.path());
    let device = scene.server();
    assert_eq!(device.call(Call::Enrol), Ok(Answer::Enrolled));
    assert!(matches!(device.failure(Call::Configuration), CallFailure::Refused { status: 401, .. }));
    let Ok(Answer::Registered { expires }) = device.call(Call::Register) else { panic!() };
    assert_eq!(device.call(beat(Vec::new())), Ok(Answer::Beaten));
    assert!(matches!(device.call(Call::Configuration), Ok(Answer::Configured(_))));
    assert_eq!(device.call(Call::Control), Ok(Answer::Controlled { disconnect: false }));
    assert_eq!(device.not_before.borrow().len(), 1, "what the clock must show is told, once a day");
    assert_eq!(bootstrap(scene.dir.path()), before);
    let (received, until) =
        identity::own_certificate_period(&Store::new(scene.path("state")), "dev").unwrap();
    assert!(until == expires && received > SystemTime::UNIX_EPOCH);

    // a renewal, and a restarted agent: both as itself
    assert!(matches!(device.call(Call::Register), Ok(Answer::Registered { .. })));
    assert_eq!(scene.server().call(beat(Vec::new())), Ok(Answer::Beaten));
    let heard = scene.peer.heard();
    let who: Vec<_> = heard.iter().map(|request| (request.directive(), &*request.client)).collect();
    assert_eq!(who[0], ("enrolment", "register"));
    assert_eq!(who[2], ("registration", "register"));
    assert_eq!(who[7], ("registration", "dev"));
    let posts = heard.iter().filter(|request| request.method == "POST");
    assert!(posts.clone().all(|post| post.content_type == "application/json"), "{heard:?}");
    assert!(posts.clone().all(|post| post.body["message_id"].as_str().unwrap().len() == 36));
}

#[test]
fn calls_share_one_connection() {
    let (scene, device) = registered();
    let before = scene.peer.connections.load(Ordering::Relaxed);
    for _ in 0..5 {
        assert_eq!(device.call(beat(Vec::new())), Ok(Answer::Beaten));
        assert!(device.call(Call::Configuration).is_ok());
    }
    assert_eq!(scene.peer.connections.load(Ordering::Relaxed), before);
}

#[test]
fn a_heartbeat_of_ten_workloads_fits_into_a_kibibyte() {
    let (scene, device) = registered();
    let workloads = (0..10).map(|n| (format!("workld-{n}"), ServerWorkloadStatus::Deploying)).collect();
    let version = "1234567890".to_owned();
    let (events, hardware) = (Vec::new(), HardwareScope::Omit);
    device.call(Call::Heartbeat(Heartbeat { degraded: true, version, workloads, events, hardware })).unwrap();
    let size = scene.peer.heard().last().unwrap().size;
    assert!(size <= 1024, "{size} bytes");
}

#[test]
fn a_pair_that_came_before_a_crash_is_tried_before_another_is_asked_for() {
    let ca = Authority::new();
    let answer = flotta(&ca);
    let refuse = Arc::new(Mutex::new(true));
    let refusing = refuse.clone();
    let peer = Peer::start(ca.server(&["127.0.0.1"]), ca.root(), move |request| {
        match request.path() == "/control/dev/in" && *refusing.lock().unwrap() {
            true => Reply::Reset,
            false => answer(request),
        }
    });
    let scene = Scene::with(ca, peer);
    assert!(matches!(scene.server().failure(Call::Register), CallFailure::Unreachable(_)));
    assert_eq!(identity::own_certificate_period(&Store::new(scene.path("state")), "dev"), None);
    *refuse.lock().unwrap() = false;
    assert!(matches!(scene.server().call(Call::Register), Ok(Answer::Registered { .. })));
    let heard = scene.peer.heard();
    assert_eq!(heard.iter().filter(|request| request.directive() == "registration").count(), 1);
    assert!(identity::own_certificate_period(&Store::new(scene.path("state")), "dev").is_some());
}

#[test]
fn a_pair_that_the_server_refuses_never_takes_the_old_ones_place() {
    let ca = Authority::new();
    let (answer, good) = (flotta(&ca), Arc::new(Mutex::new(true)));
    let is_good = good.clone();
    let peer = Peer::start(ca.server(&["127.0.0.1"]), ca.root(), move |request| {
        match request.path() == "/control/dev/in" && !*is_good.lock().unwrap() {
            true => Reply::status(401),
            false => answer(request),
        }
    });
    let scene = Scene::with(ca, peer);
    let device = scene.server();
    device.call(Call::Register).unwrap();
    let own = || fs::read(scene.path("state/identity")).unwrap();
    let before = own();
    *good.lock().unwrap() = false;
    assert!(matches!(device.failure(Call::Register), CallFailure::Refused { status: 401, .. }));
    assert_eq!(own(), before);
    assert_eq!(device.call(beat(Vec::new())), Ok(Answer::Beaten));
}

#[test]
fn a_renewed_pair_that_the_disk_does_not_take_is_used_and_is_written_when_the_disk_takes_it() {
    let (scene, device) = registered();
    assert_eq!(device.kept.take(), [Ok(())]);
    let own = || fs::read(scene.path("state/identity")).unwrap();
    let before = own();
    for name in ["identity.new", "identity-next.new"] {
        fs::create_dir(scene.path("state").join(name)).unwrap();
    }
    assert!(matches!(device.call(Call::Register), Ok(Answer::Registered { .. })));
    assert!(device.call(Call::Configuration).is_ok());
    let kept = device.kept.take();
    assert!(
        kept.len() == 2 && kept.iter().all(|it| it.as_ref().is_err_and(|it| it.contains("directory"))),
        "{kept:?}"
    );
    assert_eq!(own(), before);
    for name in ["identity.new", "identity-next.new"] {
        fs::remove_dir(scene.path("state").join(name)).unwrap();
    }
    for _ in 0..2 {
        assert!(device.call(Call::Configuration).is_ok());
    }
    assert_eq!(device.kept.take(), [Ok(())]);
    assert_ne!(own(), before);
}

#[test]
fn a_server_that_does_not_know_the_devices_ca_any_more_is_shown_the_bootstrap_certificate() {
    let ca = Authority::new();
    let answer = flotta(&ca);
    let peer = Peer::start(ca.server(&["127.0.0.1"]), ca.root(), move |request| {
        let is_new = request.heard_before > 1;
        match request.client == "dev" && request.directive() == "registration" && is_new {
            true => Reply::status(401),
            false => answer(request),
        }
    });
    let scene = Scene::with(ca, peer);
    let device = scene.server();
    device.call(Call::Register).unwrap();
    assert!(matches!(device.call(Call::Register), Ok(Answer::Registered { .. })));
    let heard = scene.peer.heard();
    let who: Vec<_> =
        heard.iter().filter(|it| it.directive() == "registration").map(|it| &*it.client).collect();
    assert_eq!(who, ["register", "dev", "register"]);
}

#[test]
fn of_two_certificates_the_answer_to_the_one_that_is_accepted_counts() {
    let ca = Authority::new();
    let answer = flotta(&ca);
    let peer = Peer::start(ca.server(&["127.0.0.1"]), ca.root(), move |request| {
        match (request.heard_before, &*request.client, request.directive()) {
            (0..2, ..) => answer(request),
            (_, "dev", _) => Reply::status(401), // another CA by now, where the device is unknown
            (_, _, "registration") => Reply::status(404),
            _ => answer(request),
        }
    });
    let scene = Scene::with(ca, peer);
    let device = scene.server();
    device.call(Call::Register).unwrap();
    assert!(matches!(device.failure(Call::Register), CallFailure::Refused { status: 404, .. }));
    assert_eq!(device.call(Call::Enrol), Ok(Answer::Enrolled));
    assert!(matches!(device.failure(Call::Register), CallFailure::Refused { status: 404, .. }));
}

#[test]
fn a_device_that_the_server_has_already_is_told_what_to_do() {
    let scene = Scene::new(|request| match request.directive() {
        "registration" => Reply::status(500),
        _ => Reply::status(208),
    });
    let device = scene.server();
    device.call(Call::Enrol).unwrap();
    let CallFailure::Taken(sentence) = device.failure(Call::Register) else { panic!() };
    assert!(sentence.contains("'kubectl delete edgedevice dev -n default'"), "{sentence}");
}

#[test]
fn to_register_anew_means_from_the_beginning_whatever_there_is() {
    for knows_it in [false, true] {
        let ca = Authority::new();
        let answer = flotta(&ca);
        let peer = Peer::start(ca.server(&["127.0.0.1"]), ca.root(), move |request| {
            let is_stranger = request.client == "register" && request.directive() == "registration";
            match knows_it && is_stranger && request.heard_before >= 2 {
                true => Reply::status(500),
                false => answer(request),
            }
        });
        let scene = Scene::with(ca, peer);
        scene.server().call(Call::Register).unwrap();
        let stores = Stores::new(&scene.path("state"), &scene.path("run"));
        assert!(persistence::load_server_state(&stores, "dev").certificate.is_some());
        persistence::clear_disconnected(&stores.state).unwrap();
        assert_eq!(persistence::load_server_state(&stores, "dev").certificate, None);
        let device = scene.server();
        device.call(Call::Enrol).unwrap();
        device.call(Call::Register).unwrap();
        let heard = scene.peer.heard();
        let who: Vec<_> = heard
            .iter()
            .filter(|it| !it.directive().is_empty())
            .map(|it| (it.directive(), &*it.client))
            .collect();
        let asked = [("registration", "register"), ("enrolment", "register"), ("registration", "register")];
        assert_eq!(who[..3], asked);
        assert_eq!(&who[3..], if knows_it { &[("registration", "dev")][..] } else { &[] });
        assert!(
            persistence::load_server_state(&stores, "dev").certificate.is_some(),
            "the beginning is over"
        );
    }
}

#[test]
fn a_status_that_says_no_is_handed_on() {
    let scene = Scene::new(|request| match request.heard_before {
        0 => Reply::Status(503, "Retry-After: 7\r\n", "busy\nvery".into()),
        1 => Reply::status(404),
        2 => Reply::Status(500, "", "{\"message\":\"x\"}".into()),
        3 => Reply::Status(302, "Location: https://127.0.0.1:1/\r\n", String::new()),
        _ => Reply::status(403),
    });
    let device = scene.server();
    let refused = |status, message: &str, retry_after| CallFailure::Refused {
        status,
        message: message.into(),
        retry_after,
    };
    assert_eq!(device.failure(Call::Enrol), refused(503, "busy", Some(Duration::from_secs(7))));
    assert_eq!(device.failure(Call::Register), refused(404, "", None));
    assert_eq!(device.failure(Call::Configuration), refused(500, "{\"message\":\"x\"}", None));
    assert_eq!(device.failure(Call::Control), refused(302, "", None));
    let message = "the server doesn't accept the bootstrap certificate";
    assert_eq!(device.failure(beat(Vec::new())), refused(403, message, None));
}

#[test]
fn bad_answers_end_in_time_and_in_an_error() {
    for (reply, expected) in [
        (Reply::Truncated, "Unreachable"),
        (Reply::Reset, "Unreachable"),
        (Reply::Drip, "Unreachable"),
        (Reply::Silence, "Unreachable"),
        (Reply::Status(200, "", "<html>".into()), "Nonsense"),
        (Reply::Status(200, "", String::new()), "Nonsense"),
        (Reply::Status(200, "", " ".repeat(9 << 20)), "Nonsense"),
        (Reply::Raw("SSH-2.0-OpenSSH\r\n\r\n"), "Nonsense"),
    ] {
        let name = format!("{reply:?}");
        let name = &name[..name.len().min(40)];
        let never_ends = matches!(reply, Reply::Drip | Reply::Silence);
        let scene = Scene::new(move |_| reply.clone());
        let device = if never_ends { scene.hasty() } else { scene.server() };
        let failure = format!("{:?}", device.failure(Call::Configuration));
        assert!(failure.starts_with(expected), "{name}: {failure}");
    }
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_opened_again_but_no_event_is_told_twice() {
    // answered, then the next request on the same connection is met by its end
    let scene = Scene::new(|request| match (request.number_on_connection, request.path()) {
        (0, "/control/dev/in") => Reply::status(200),
        (0, _) => Reply::ok(json!({})),
        _ => Reply::Reset,
    });
    let device = scene.server();
    for _ in 0..3 {
        assert_eq!(device.call(Call::Control), Ok(Answer::Controlled { disconnect: false }));
        assert_eq!(device.call(beat(Vec::new())), Ok(Answer::Beaten));
    }
    assert!(device.call(Call::Control).is_ok());
    let event = Notice::info(Reason::Started, "web runs");
    let before = scene.peer.heard().len();
    assert!(matches!(device.failure(beat(vec![event])), CallFailure::Unreachable(_)));
    assert_eq!(scene.peer.heard().len(), before + 1);
}

fn distrust(server: peer::Certificate, change: impl FnOnce(&Scene, &mut EdgeApiConfig)) -> String {
    let ca = Authority::new();
    let server = match server {
        peer::Certificate::Of(names, years) => ca.server_for(&names, years),
        peer::Certificate::OfAnother => Authority::new().server(&["127.0.0.1"]),
    };
    let scene = Scene::with(ca.clone(), Peer::start(server, ca.root(), |_| Reply::status(200)));
    match scene.server_of(|config| change(&scene, config)).failure(Call::Control) {
        CallFailure::Untrusted(sentence) => sentence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_cannot_be_trusted_is_named_with_the_cause() {
    use peer::Certificate::{Of, OfAnother};
    let loopback = || vec!["127.0.0.1"];
    let names = vec!["project-flotta.io", "::1"];
    let sentence = distrust(Of(names, None), |_, _| {});
    assert!(
        sentence.contains("for project-flotta.io, ") && sentence.contains(" and not for 127.0.0.1"),
        "{sentence}"
    );
    let sentence = distrust(Of(loopback(), None), |_, config| config.name = Some("edge.example".into()));
    assert!(sentence.contains("is for 127.0.0.1, and not for edge.example: see SERVER_NAME"), "{sentence}");
    let sentence = distrust(OfAnother, |_, _| {});
    assert!(sentence.contains("not signed by a CA in '") && sentence.contains("ca.pem'"), "{sentence}");
    let sentence = distrust(Of(loopback(), Some((2019, 2020))), |_, _| {});
    assert!(sentence.contains("expired on 2020-01-01T00:00:00Z, and the clock reads 20"), "{sentence}");
    let sentence = distrust(Of(loopback(), Some((2090, 2099))), |_, _| {});
    assert!(sentence.contains("not valid before 2090-01-01T00:00:00Z, and the clock reads 20"), "{sentence}");
}

#[test]
fn a_server_that_does_not_trust_the_device_is_named_with_the_cause() {
    let stranger = Authority::new();
    let sentence = distrust(peer::Certificate::Of(vec!["127.0.0.1"], None), |scene, config| {
        let (cert, key) = stranger.client("register");
        fs::write(scene.path("other.pem"), cert + &key).unwrap();
        config.identity.cert = Some(scene.path("other.pem"));
        config.identity.key = Some(scene.path("other.pem"));
    });
    assert!(sentence.contains("doesn't accept the bootstrap certificate (TLS alert "), "{sentence}");
    let sentence = distrust(peer::Certificate::Of(vec!["127.0.0.1"], None), |scene, config| {
        let (cert, key) = scene.ca.client_for("register", Some((2019, 2020)));
        fs::write(scene.path("old.pem"), cert + &key).unwrap();
        config.identity.cert = Some(scene.path("old.pem"));
        config.identity.key = Some(scene.path("old.pem"));
    });
    assert!(sentence.contains("which expired on 2020-01-01T00:00:00Z, and the clock reads"), "{sentence}");
}

#[test]
fn the_name_to_verify_need_not_be_the_host() {
    let scene = Scene::new(|_| Reply::status(200));
    let device = scene.server_of(|config| config.name = Some("project-flotta.io".into()));
    assert_eq!(device.call(Call::Control), Ok(Answer::Controlled { disconnect: false }));
    assert_eq!(scene.peer.heard()[0].asked_for.as_deref(), Some("project-flotta.io"));
}

/// Passes connections on as it is asked to by `CONNECT host:port`, and keeps what it was asked.
fn connect_proxy() -> (std::net::SocketAddr, Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (asked, requests)) = (listener.local_addr().unwrap(), bounded(16));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                (&client).read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.strip_prefix("CONNECT ").and_then(|head| head.split(' ').next()).unwrap();
            let server = TcpStream::connect(target).unwrap();
            (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            asked.send(target.to_owned()).unwrap();
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (address, requests)
}

#[test]
fn an_http_proxy_passes_the_tls_of_both_ends_on_and_is_asked_once_for_all_calls() {
    let (scene, _) = registered();
    let (proxy, requests) = connect_proxy();
    let device = scene.server_of(|config| config.proxy = Some(format!("http://{proxy}")));
    for _ in 0..3 {
        assert_eq!(device.call(beat(Vec::new())), Ok(Answer::Beaten));
    }
    assert_eq!(
        requests.try_iter().map(|target| format!("https://{target}")).collect::<Vec<_>>(),
        [scene.peer.url()]
    );
    assert_eq!(
        scene.peer.heard().last().unwrap().client,
        "dev",
        "the server sees the device's own certificate"
    );
}

#[test]
fn a_proxy_that_refuses_or_is_away_is_an_error_that_names_the_server() {
    let scene = Scene::new(|_| Reply::status(200));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let refusing = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 4096]).unwrap();
        client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let device = scene.server_of(|config| config.proxy = Some(proxy));
    for _ in ["refuses", "is away"] {
        let CallFailure::Unreachable(sentence) = device.failure(Call::Control) else { panic!() };
        assert!(sentence.contains(&scene.peer.url()), "{sentence}");
    }
    refusing.join().unwrap();
    assert!(scene.peer.heard().is_empty());
}

#[test]
fn files_that_cannot_be_used_are_said_and_looked_at_again() {
    let scene = Scene::new(|_| Reply::status(200));
    let good = fs::read(scene.path("ca.pem")).unwrap();
    fs::write(scene.path("ca.pem"), "").unwrap();
    let device = scene.server();
    let CallFailure::Local(sentence) = device.failure(Call::Control) else { panic!() };
    assert!(sentence.ends_with("ca.pem' is empty"), "{sentence}");
    fs::write(scene.path("ca.pem"), good).unwrap();
    assert!(device.call(Call::Control).is_ok());
    let device = scene.server_of(|config| config.identity.key = Some("/nonexistent".into()));
    assert!(matches!(device.failure(Call::Enrol), CallFailure::Local(_)));
}

#[test]
fn a_server_that_is_away_or_speaks_no_tls_is_an_error() {
    let scene = Scene::new(|_| Reply::status(200));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let device = scene.server_of(|config| config.url = format!("https://{closed}"));
    let CallFailure::Unreachable(sentence) = device.failure(Call::Control) else { panic!() };
    assert!(sentence.contains("Connection refused") && sentence.contains(&closed.to_string()), "{sentence}");
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 1024]);
    });
    let CallFailure::Untrusted(sentence) = scene.server_of(|config| config.url = url).failure(Call::Control)
    else {
        panic!()
    };
    assert!(sentence.contains("doesn't speak TLS"), "{sentence}");
}

#[test]
fn a_slow_call_holds_up_no_other_for_long() {
    let scene = Scene::new(|request| match request.path() {
        "/data/dev/in" => Reply::Silence,
        _ => Reply::status(200),
    });
    let device = scene.server_within(PATIENCE / 4, |_| {});
    assert_eq!(device.server.submit(Call::Configuration), None);
    assert_eq!(device.server.submit(Call::Control), None);
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        match device.inbox.recv_timeout(2 * PATIENCE).unwrap() {
            Event::Answered(kind, result) => kinds.push((kind, result.is_ok())),
            Event::NotBefore(_) => {}
            other => panic!("{other:?}"),
        }
    }
    kinds.sort();
    assert_eq!(kinds, [(CallKind::Configuration, false), (CallKind::Control, true)]);
}

#[test]
fn hardware_goes_along_when_asked_for_and_again_only_when_it_changed() {
    let scene = Scene::new(|_| Reply::ok(json!({})));
    let device = scene.server();
    let beat = |hardware| match beat(Vec::new()) {
        Call::Heartbeat(beat) => Call::Heartbeat(Heartbeat { hardware, ..beat }),
        other => other,
    };
    for hardware in
        [HardwareScope::IfChanged, HardwareScope::IfChanged, HardwareScope::Full, HardwareScope::Omit]
    {
        device.call(beat(hardware)).unwrap();
    }
    device.server.shared.known_hardware.lock().unwrap().as_mut().unwrap()["hostname"] = json!("another");
    device.call(beat(HardwareScope::IfChanged)).unwrap();
    let heard = scene.peer.heard();
    let hardware: Vec<_> = heard.iter().map(|request| &request.body["content"]["hardware"]).collect();
    let told: Vec<_> = hardware.iter().map(|hardware| !hardware.is_null()).collect();
    assert_eq!(told, [true, false, true, false, true]);
    let fields = |hardware: &Value| hardware.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(hardware[4]), fields(hardware[0]), "all of it, as the server forgets the rest");
}

#[test]
fn message_ids_are_random_uuids() {
    let (one, two) = (message_id().unwrap(), message_id().unwrap());
    assert_ne!(one, two);
    assert_eq!((one.len(), &one[14..15]), (36, "4"));
    assert!("89ab".contains(&one[19..20]), "{one}");
}

#[test]
fn what_is_to_be_kept_of_a_configuration_is_understood_after_a_restart() {
    let of = |version: &str, specification: &str| {
        let workload = json!({"name": "web", "specification": specification});
        Reply::ok(json!({"content": {"device_id": "dev", "version": version, "workloads": [workload]}}))
    };
    let scene = Scene::new(move |request| match request.heard_before {
        0 => of("1", "containers: [{name: a, image: busybox}]"),
        1 => of("2", "containers: ["),
        2 => of("3", "containers: [{name: a, image: alpine}]"),
        _ => Reply::Status(200, "", "<html>".into()),
    });
    let (device, stores) = (scene.server(), Stores::new(&scene.path("state"), &scene.path("run")));
    let ask_and_keep = || {
        let Ok(Answer::Configured(configuration)) = device.call(Call::Configuration) else { panic!() };
        stores.state.save(cached_configuration::STORE_KEY, &configuration.raw).unwrap();
        configuration
    };
    let image = || {
        let kept = persistence::load_server_state(&stores, "dev").configuration.unwrap();
        assert!(kept.problems.is_empty());
        kept.desired.workloads[0].content.specification.value()["containers"][0]["image"].clone()
    };
    assert_eq!(persistence::load_server_state(&stores, "dev"), PersistedLinkState::default());
    ask_and_keep();
    assert_eq!(image(), "busybox");
    assert_eq!(ask_and_keep().desired.unreadable, ["web"]);
    assert_eq!(image(), "busybox", "of a broken workload the last good one is kept");
    ask_and_keep();
    assert_eq!(image(), "alpine");
    device.failure(Call::Configuration);
    assert_eq!(image(), "alpine");
    assert_eq!(persistence::load_server_state(&stores, "renamed").configuration, None);
}
