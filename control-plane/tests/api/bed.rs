//! A running edge API, and devices to talk to it.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig},
};

use crate::cluster::Space;

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_flotta-edge-api");

/// One server; it ends with this.
pub(crate) struct Bed {
    pub(crate) dir: TempDir,
    pub(crate) url: String,
    /// Of the test, where the store is a cluster.
    pub(crate) space: Option<Space>,
    server: Child,
}

/// How a test gets its server.
pub(crate) type Start = fn(&[&str]) -> Option<Bed>;

/// Waits until it is so; for what another program does meanwhile.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        // (devices that ask meanwhile may do so only so often)
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Certificate and key, PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Bed {
    /// Over a directory.
    pub(crate) fn start(options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("manifests")).unwrap();
        fs::create_dir(dir.path().join("edge")).unwrap();
        Self::start_in(dir, None, options)
    }

    /// The same, for tests of both.
    pub(crate) fn in_directory(options: &[&str]) -> Option<Self> {
        Some(Self::start(options))
    }

    /// Over a cluster, if there is one. Like the other one it lets every device in, unless told otherwise.
    pub(crate) fn in_cluster(options: &[&str]) -> Option<Self> {
        let space = Space::new()?;
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("edge")).unwrap();
        Some(Self::start_in(dir, Some(space), options))
    }

    fn start_in(dir: TempDir, space: Option<Space>, options: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-json"]).arg(dir.path().join("log.json"));
        match &space {
            Some(space) => {
                command.env("KUBECONFIG", space.kubeconfig());
                command.args(["--kubernetes", "--namespace", &space.name]);
                if !options.contains(&"--approve") {
                    command.args(["--approve", "auto"]);
                }
            }
            None => {
                command.arg("--manifests").arg(dir.path().join("manifests"));
                command.arg("--dir").arg(dir.path().join("edge"));
            }
        }
        let mut server = command.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| Some(line.strip_prefix("listening: ")?.to_owned())).unwrap();
        // It is not read any more: it must not end by that, but neither must the pipe fill.
        std::thread::spawn(move || lines.for_each(drop));
        if let Some(space) = &space {
            for name in ["ca.pem", "bootstrap.pem", "bootstrap.key"] {
                fs::write(dir.path().join("edge").join(name), space.secret("flotta-bootstrap", name))
                    .unwrap();
            }
        }
        Self { dir, url, space, server }
    }

    /// One more server over the same cluster.
    pub(crate) fn replica(&self) -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("edge")).unwrap();
        let space = self.space.as_ref().map(Space::again);
        Self::start_in(dir, space, &[])
    }

    /// Another process over the same store.
    pub(crate) fn restart(mut self, options: &[&str]) -> Self {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        let dir = std::mem::replace(&mut self.dir, TempDir::new().unwrap());
        let space = self.space.take();
        Self::start_in(dir, space, options)
    }

    /// What another command of the program says, run by the server's user.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let kubeconfig = self.space.as_ref().unwrap().kubeconfig();
        let output = Command::new(BINARY).args(arguments).env("KUBECONFIG", kubeconfig).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn server_id(&self) -> u32 {
        self.server.id()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        kill_process(Pid::from_raw(self.server.id() as i32).unwrap(), Signal::TERM).unwrap();
    }

    /// How it ended, within 20 seconds.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let began = Instant::now();
        while status.is_none() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
            status = self.server.try_wait().unwrap();
        }
        status.expect("its end")
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("https://").unwrap()
    }

    /// A connection on which nothing was said yet but TLS.
    pub(crate) fn connect(&self, identity: &Identity) -> Tls {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = fs::read(self.edge().join("ca.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = Arc::new(config.with_client_auth_cert(vec![certificate], key).unwrap());
        let name = ServerName::try_from("project-flotta.io").unwrap();
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).unwrap();
        }
        tls
    }

    /// Lets a device in.
    pub(crate) fn approve(&self, id: &str) {
        match &self.space {
            None => drop(self.tell(&format!("approve {id}"))),
            Some(space) => {
                space.patch("EdgeDeviceSignedRequest", id, &json!({"spec": {"approved": true}}));
                until("it is let in", || !space.get("EdgeDevice", id).is_null());
            }
        }
    }

    pub(crate) fn refuse(&self, id: &str) {
        match &self.space {
            None => drop(self.tell(&format!("refuse {id}"))),
            Some(space) => {
                space.patch("EdgeDeviceSignedRequest", id, &json!({"spec": {"refused": true}}));
            }
        }
    }

    /// As `kubectl delete` does.
    pub(crate) fn disconnect(&self, id: &str) {
        match &self.space {
            None => drop(self.tell(&format!("disconnect {id}"))),
            Some(space) => space.delete("EdgeDevice", id),
        }
    }

    /// What is there for devices.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let Some(space) = &self.space else {
            return fs::write(self.dir.path().join("manifests").join(name), text).unwrap();
        };
        for document in serde_yaml::Deserializer::from_str(text) {
            space.apply(&Value::deserialize(document).unwrap());
        }
    }

    pub(crate) fn edge(&self) -> std::path::PathBuf {
        self.dir.path().join("edge")
    }

    /// A command that works.
    pub(crate) fn tell(&self, command: &str) -> String {
        let output = self.try_tell(command);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that doesn't work is answered.
    pub(crate) fn refused(&self, command: &str) -> String {
        let output = self.try_tell(command);
        assert!(!output.status.success(), "{command}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn try_tell(&self, command: &str) -> Output {
        Command::new(BINARY).arg("tell").arg(self.edge()).args(command.split(' ')).output().unwrap()
    }

    pub(crate) fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join("log.json")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn bootstrap(&self) -> Identity {
        let read = |name: &str| fs::read_to_string(self.edge().join(name)).unwrap();
        Identity { certificate: read("bootstrap.pem"), key: read("bootstrap.key") }
    }

    pub(crate) fn client(&self, identity: &Identity) -> Client {
        self.client_as(Some(identity))
    }

    /// For another server with the same CA.
    pub(crate) fn client_at(&self, url: &str, identity: &Identity) -> Client {
        let client = self.client(identity);
        Client { base: client.base.replace(&self.url, url), ..client }
    }

    pub(crate) fn client_as(&self, identity: Option<&Identity>) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = fs::read(self.edge().join("ca.pem")).unwrap();
        let identity = identity.map(|identity| {
            let certificate = Certificate::from_pem(identity.certificate.as_bytes()).unwrap();
            ClientCert::new_with_certs(&[certificate], PrivateKey::from_pem(identity.key.as_bytes()).unwrap())
        });
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![Certificate::from_pem(&ca).unwrap()])))
            .client_cert(identity)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(5)));
        Client { agent: config.build().into(), base: format!("{}/api/flotta-management/v1", self.url) }
    }

    /// Enrolled and registered.
    pub(crate) fn device(&self, id: &str) -> Identity {
        let client = self.client(&self.bootstrap());
        until("it is let in", || client.enrol(id) == 208);
        self.registered(&client, id)
    }

    /// With a new certificate, by whatever this client has now.
    pub(crate) fn registered(&self, client: &Client, id: &str) -> Identity {
        let (csr, key) = request(&PKCS_ECDSA_P256_SHA256);
        let answer = client.register(id, &csr);
        assert_eq!(answer.status, 200, "{}", answer.text);
        Identity { certificate: answer.json()["content"]["certificate"].as_str().unwrap().to_owned(), key }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A CSR and its key, PEM.
pub(crate) fn request(algorithm: &'static SignatureAlgorithm) -> (String, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let csr = CertificateParams::new(["elsewhere".to_owned()]).unwrap().serialize_request(&key).unwrap();
    (csr.pem().unwrap(), key.serialize_pem())
}

/// HTTP with one identity.
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub(crate) fn get(&self, path: &str) -> Result<Answer, ureq::Error> {
        whole(self.agent.get(format!("{}{path}", self.base)).call()?)
    }

    pub(crate) fn post(&self, path: &str, kind: &str, body: &str) -> Result<Answer, ureq::Error> {
        whole(self.agent.post(format!("{}{path}", self.base)).content_type(kind).send(body)?)
    }

    pub(crate) fn say(&self, id: &str, directive: &str, content: Value) -> Result<Answer, ureq::Error> {
        let message = json!({"type": "data", "message_id": "1", "directive": directive, "content": content});
        self.post(&format!("/data/{id}/out"), "application/json", &message.to_string())
    }

    pub(crate) fn enrol(&self, id: &str) -> u16 {
        self.say(id, "enrolment", json!({"features": {}, "target_namespace": "default"})).unwrap().status
    }

    pub(crate) fn register(&self, id: &str, csr: &str) -> Answer {
        self.say(id, "registration", json!({"certificate_request": csr})).unwrap()
    }

    pub(crate) fn beat(&self, id: &str) -> u16 {
        self.say(id, "heartbeat", json!({"status": "up", "version": "1"})).unwrap().status
    }

    pub(crate) fn configuration(&self, id: &str) -> Answer {
        self.get(&format!("/data/{id}/in")).unwrap()
    }

    pub(crate) fn control(&self, id: &str) -> Answer {
        self.get(&format!("/control/{id}/in")).unwrap()
    }
}

fn whole(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let text = response.body_mut().with_config().limit(100 << 20).read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), retry_after, text })
}

/// openssl is the reference.
pub(crate) fn openssl(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("openssl").args(arguments).arg("-in").arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What comes until the other side ends the connection, within 40 seconds.
pub(crate) fn read(tls: &mut Tls) -> String {
    let (mut all, began) = (Vec::new(), Instant::now());
    loop {
        let mut bytes = [0; 1024];
        match tls.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => all.extend_from_slice(&bytes[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        assert!(
            began.elapsed() < Duration::from_secs(40),
            "it doesn't end: {}",
            String::from_utf8_lossy(&all)
        );
    }
    String::from_utf8(all).unwrap()
}
