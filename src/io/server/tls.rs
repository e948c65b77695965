//! Mutual TLS for `ureq`: its own connector verifies the host of the URL, and this agent may have to verify
//! another name. Besides, errors come out here as what they are.

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
    unversioned::{
        resolver::DefaultResolver,
        transport::{
            Buffers, ConnectProxyConnector, ConnectionDetails, Connector, LazyBuffers, NextTimeout,
            TcpConnector, Transport, TransportAdapter,
        },
    },
};

use crate::io::{
    crypto,
    identity::{Clock, Pair},
};

/// How to speak TLS as the owner of `pair`, or as nobody, to a server that `roots` vouch for.
pub(in crate::io) fn config(
    roots: RootCertStore,
    pair: Option<&Pair>,
    clock: Arc<Clock>,
) -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_details(Arc::new(crypto::provider()), clock)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("failed to set TLS up: {}", crypto::words(&error)))?
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

/// Speaks HTTP over such TLS, perhaps by way of a proxy.
pub(in crate::io) fn agent(http: Config, tls: TlsConnector) -> Agent {
    let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(tls);
    Agent::with_parts(http, connector, DefaultResolver::default())
}

/// Makes a connection to the server one of TLS.
#[derive(Debug)]
pub(in crate::io) struct TlsConnector {
    pub(in crate::io) config: Arc<ClientConfig>,
    /// What is verified, and sent as SNI unless it is an address.
    pub(in crate::io) name: ServerName<'static>,
    /// How many connections there have been.
    pub(in crate::io) count: Arc<AtomicUsize>,
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
