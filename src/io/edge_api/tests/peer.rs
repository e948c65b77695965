//! The other side: a CA, and a server with client certificates whose answers a test makes up.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustix::net::sockopt::set_socket_linger;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier, sign::CertifiedKey,
};
use serde_json::Value;

type Years = Option<(i32, i32)>;

/// What the server's certificate is.
pub(super) enum Certificate {
    Of(Vec<&'static str>, Years),
    OfAnother,
}

#[derive(Clone)]
pub(super) struct Authority(Arc<(rcgen::Certificate, Issuer<'static, KeyPair>)>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self(Arc::new((certificate, Issuer::new(params, key))))
    }

    pub(super) fn pem(&self) -> String {
        self.0.0.pem()
    }

    pub(super) fn root(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.0.der().clone()).unwrap();
        roots
    }

    pub(super) fn server(&self, names: &[&str]) -> CertifiedKey {
        self.server_for(names, None)
    }

    pub(super) fn server_for(&self, names: &[&str], years: Years) -> CertifiedKey {
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (certificate, key) = self.make(CertificateParams::new(names).unwrap(), "*", years);
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        CertifiedKey::from_der(vec![certificate.der().clone()], der, &ring::default_provider()).unwrap()
    }

    /// PEM of certificate and key.
    pub(super) fn client(&self, name: &str) -> (String, String) {
        self.client_for(name, None)
    }

    pub(super) fn client_for(&self, name: &str, years: Years) -> (String, String) {
        let (certificate, key) = self.make(CertificateParams::default(), name, years);
        (certificate.pem(), key.serialize_pem())
    }

    fn make(&self, mut params: CertificateParams, name: &str, years: Years) -> (rcgen::Certificate, KeyPair) {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some((from, to)) = years {
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0.1).unwrap(), key)
    }

    /// As Flotta does it: whatever subject was asked for, it gets this name.
    pub(super) fn sign(&self, csr: &str, name: &str) -> String {
        let mut csr = CertificateSigningRequestParams::from_pem(csr).unwrap();
        csr.params.distinguished_name = DistinguishedName::new();
        csr.params.distinguished_name.push(DnType::OrganizationalUnitName, "default");
        csr.params.distinguished_name.push(DnType::CommonName, name);
        csr.signed_by(&self.0.1).unwrap().pem()
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    path: String,
    pub(super) content_type: String,
    pub(super) body: Value,
    /// The common name of the client's certificate.
    pub(super) client: String,
    /// The name in the client's SNI.
    pub(super) asked_for: Option<String>,
    /// Of head and body, in bytes.
    pub(super) size: usize,
    pub(super) heard_before: usize,
    pub(super) number_on_connection: usize,
}

impl Request {
    pub(super) fn path(&self) -> &str {
        self.path.strip_prefix("/api/flotta-management/v1").unwrap()
    }

    pub(super) fn directive(&self) -> &str {
        self.body["directive"].as_str().unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Status, further header lines, body.
    Status(u16, &'static str, String),
    Raw(&'static str),
    /// Less than was announced.
    Truncated,
    /// A byte now and then.
    Drip,
    Silence,
    /// The connection is reset instead.
    Reset,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self::Status(status, "", String::new())
    }

    pub(super) fn ok(body: Value) -> Self {
        Self::Status(200, "", body.to_string())
    }
}

pub(super) struct Peer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Request>>>,
    pub(super) connections: Arc<AtomicUsize>,
}

impl Peer {
    /// Its threads end with the test's process.
    pub(super) fn start(
        certified: CertifiedKey,
        clients: RootCertStore,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(clients.into(), provider.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            connections: Arc::default(),
        };
        let (config, answer) = (Arc::new(config), Arc::new(answer));
        let (heard, connections) = (peer.heard.clone(), peer.connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::Relaxed);
                let conn = ServerConnection::new(config.clone()).unwrap();
                let (heard, answer) = (heard.clone(), answer.clone());
                thread::spawn(move || serve(StreamOwned::new(conn, stream), &heard, &*answer));
            }
        });
        peer
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn heard(&self) -> Vec<Request> {
        self.heard.lock().unwrap().clone()
    }
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn serve(stream: Stream, heard: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Reply) {
    let mut stream = BufReader::new(stream);
    for number in 0.. {
        let Some(mut request) = read(&mut stream) else { return };
        request.number_on_connection = number;
        {
            let mut heard = heard.lock().unwrap();
            request.heard_before = heard.len();
            heard.push(request.clone());
        }
        let out = stream.get_mut();
        match answer(&request) {
            Reply::Status(status, headers, body) => {
                let length = body.len();
                let _ = write!(out, "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
            }
            Reply::Raw(text) => {
                let _ = out.write_all(text.as_bytes());
                return;
            }
            Reply::Truncated => {
                let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
                return;
            }
            Reply::Drip => {
                let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
                let (_keep, never) = crossbeam_channel::bounded::<()>(0);
                while out.write_all(b" ").and_then(|()| out.flush()).is_ok() {
                    let _ = never.recv_timeout(std::time::Duration::from_millis(100));
                }
                return;
            }
            Reply::Silence => {
                let _ = out.read(&mut [0]);
                return;
            }
            Reply::Reset => {
                let _ = set_socket_linger(&out.sock, Some(std::time::Duration::ZERO));
                return;
            }
        }
    }
}

fn read(stream: &mut BufReader<Stream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut content_type, mut size) = (0, String::new(), line.len());
    loop {
        let mut line = String::new();
        size += stream.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                content_type = value.to_owned()
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let conn = &stream.get_ref().conn;
    let facts = crate::io::tls::certificate::ParsedCertificate::read(conn.peer_certificates()?.first()?)?;
    Some(Request {
        method,
        path,
        content_type,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        client: facts.common_name?,
        asked_for: conn.server_name().map(str::to_owned),
        size: size + length,
        heard_before: 0,
        number_on_connection: 0,
    })
}
