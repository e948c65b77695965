//! TLS for `ureq`, with a certificate of ours if there is one: `ureq`'s own connector verifies the host of the URL, and
//! this agent may have to verify another name. Besides, errors come out here as what they are.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, client::Resumption, pki_types::ServerName,
    sign::SingleCertAndKey,
};
use ureq::{
    Agent, Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::DefaultResolver,
        transport::{
            Buffers, ConnectProxyConnector, ConnectionDetails, Connector, LazyBuffers, NextTimeout,
            TcpConnector, Transport, TransportAdapter,
        },
    },
};

use super::{clock::TrustedClock, crypto, pem::KeyAndCertificates};

/// What the server's certificate must name: `name`, or else the URL's host. In an error the URL is called `what`, and
/// `remedy` says what helps against a bad name.
pub(crate) fn server_name(
    what: &str,
    url: &str,
    name: Option<&str>,
    remedy: &str,
) -> Result<ServerName<'static>, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{what}: {error}"))?;
    let host = uri.host().ok_or_else(|| format!("{what} names no host"))?;
    let name = name.unwrap_or(host).trim_matches(['[', ']']).to_owned();
    ServerName::try_from(name.clone())
        .map_err(|_| format!("'{name}' can't be the name in a certificate{remedy}"))
}

/// Speaks HTTP over TLS, perhaps by way of a proxy, to a server of this name that `roots` vouch for; as the owner of
/// `pair`, or without a certificate. Besides, how many connections there have been.
pub(crate) fn https_client(
    http: Config,
    name: ServerName<'static>,
    roots: RootCertStore,
    pair: Option<&KeyAndCertificates>,
    clock: Arc<TrustedClock>,
) -> Result<(Agent, Arc<AtomicUsize>), String> {
    let count = Arc::new(AtomicUsize::new(0));
    let tls = TlsConnector { config: tls_config(roots, pair, clock)?, name, count: count.clone() };
    let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(tls);
    Ok((Agent::with_parts(http, connector, DefaultResolver::default()), count))
}

fn tls_config(
    roots: RootCertStore,
    pair: Option<&KeyAndCertificates>,
    clock: Arc<TrustedClock>,
) -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_details(Arc::new(crypto::provider()), clock)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("failed to set TLS up: {}", crypto::tls_error_message(&error)))?
        .with_root_certificates(roots);
    let mut config = match pair {
        Some(pair) => {
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified.clone())))
        }
        None => config.with_no_client_auth(),
    };
    // there is one server
    config.resumption = Resumption::in_memory_sessions(1);
    Ok(Arc::new(config))
}

/// Makes a connection to the server one of TLS.
#[derive(Debug)]
struct TlsConnector {
    config: Arc<ClientConfig>,
    /// What is verified, and sent as SNI unless it is an address.
    name: ServerName<'static>,
    /// How many connections there have been.
    count: Arc<AtomicUsize>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Box::new(transport))); // on the way to a proxy
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut conn =
            ClientConnection::new(self.config.clone(), self.name.clone()).map_err(io::Error::other)?;
        let mut sock = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Box::new(TlsTransport { buffers, stream: StreamOwned { conn, sock } })))
    }
}

struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let Err(error) = self.stream.write_all(&self.buffers.output()[..amount]) else { return Ok(()) };
        // A server that doesn't like the certificate says so after its part of the handshake, and hangs up:
        // what it said is still to be read, and tells more than that the pipe is broken.
        match self.stream.read(&mut [0]) {
            Err(said) if said.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) => Err(said.into()),
            _ => Err(error.into()),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}
