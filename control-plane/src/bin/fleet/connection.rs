//! HTTP/1.1 over TLS 1.3 with a certificate of one's own, on a connection that is kept: what the agent does, in little
//! memory.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use device_worker_ng::wire::edge_api::{BASE_PATH, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        client::{Resumption, WebPkiServerVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::TLS13,
    },
};

/// For one call, its answer's last byte included.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const LARGEST: usize = 8 << 20;

/// What devices have in common: whom they trust, and where the server is.
pub(crate) struct Place {
    pub(crate) addresses: Vec<SocketAddr>,
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Place {
    /// `ca` is PEM.
    pub(crate) fn new(addresses: Vec<SocketAddr>, ca: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(certificate.context("the CA's certificate isn't one")?)?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        Ok(Self { addresses, provider, verifier })
    }

    /// How to connect with this certificate and key, PEM.
    pub(crate) fn config(&self, certificate: &str, key: &str) -> Result<Arc<ClientConfig>> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous() // it is the usual verifier, but shared
            .with_custom_certificate_verifier(Arc::clone(&self.verifier) as _)
            .with_client_auth_cert(chain?, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?;
        config.resumption = Resumption::in_memory_sessions(1);
        Ok(Arc::new(config))
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// A connection, once there is one.
#[derive(Default)]
pub(crate) struct Connection(Option<Box<TlsStream<TcpStream>>>);

impl Connection {
    /// Asks. Where a kept connection was closed meanwhile, a fresh one is tried. Says whether one had to be made.
    pub(crate) async fn call(
        &mut self,
        place: &Place,
        config: &Arc<ClientConfig>,
        choice: usize,
        request: &Request,
    ) -> Result<(Answer, bool)> {
        let was_kept = self.0.is_some();
        let first =
            timeout(LIMIT, self.once(place, config, choice, request)).await.context("no answer in time")?;
        match first {
            Err(error) if was_kept && is_closed(&error) => {
                let again = timeout(LIMIT, self.once(place, config, choice, request)).await;
                Ok((again.context("no answer in time")??, true))
            }
            answered => Ok((answered?, !was_kept)),
        }
    }

    async fn once(
        &mut self,
        place: &Place,
        config: &Arc<ClientConfig>,
        choice: usize,
        request: &Request,
    ) -> Result<Answer> {
        // It is kept only after a whole answer.
        let mut stream = match self.0.take() {
            Some(stream) => stream,
            None => {
                let address = place.addresses[choice % place.addresses.len()];
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let name = ServerName::try_from("project-flotta.io")?;
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
            }
        };
        let (method, body) = match &request.body {
            Some(body) => ("POST", body.as_str()),
            None => ("GET", ""),
        };
        let mut head =
            format!("{method} {BASE_PATH}{} HTTP/1.1\r\nhost: project-flotta.io\r\n", request.path);
        if !body.is_empty() {
            head += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        stream.write_all((head + "\r\n" + body).as_bytes()).await?;
        stream.flush().await?;
        let (answer, is_kept) = read(&mut stream).await?;
        if is_kept {
            self.0 = Some(stream);
        }
        Ok(answer)
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    })
}

/// The answer, and whether another may follow.
async fn read(stream: &mut TlsStream<TcpStream>) -> Result<(Answer, bool)> {
    let mut bytes = Vec::with_capacity(1024);
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        ensure!(bytes.len() < 1 << 16, "the answer's head is too long");
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned()).next()
    };
    let length: usize = match header("content-length") {
        Some(length) => length.parse()?,
        None => bail!("an answer without a length"),
    };
    ensure!(length <= LARGEST, "the answer is too long");
    let mut body = bytes.split_off(end);
    body.reserve(length.saturating_sub(body.len()));
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    let retry_after = header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
    Ok((Answer { status, retry_after, body }, header("connection").as_deref() != Some("close")))
}
