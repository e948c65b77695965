//! How a container is asked whether it is well.

use super::{
    types::{mapping, words},
    values::{Count, Port, PortNumberOrName},
};

mapping! {
    /// A probe: exactly one of its handlers.
    Probe {
        exec: Option<ExecAction>,
        http_get: Option<HttpGetAction>,
        tcp_socket: Option<TcpSocketAction>,
        grpc: Option<GrpcAction>,
        initial_delay_seconds: Count,
        period_seconds: Count,
        timeout_seconds: Count,
        failure_threshold: Count,
        success_threshold: Count,
        termination_grace_period_seconds: Option<Count>,
    }
}

mapping! {
    /// A command in the container.
    ExecAction { command: Vec<String> }
}

mapping! {
    /// A request to the container.
    HttpGetAction {
        host: String,
        http_headers: Vec<HttpHeader>,
        path: String,
        port: PortNumberOrName,
        scheme: Scheme,
    }
}

words! {
    /// How to speak to it.
    Scheme { Http = "HTTP", Https = "HTTPS" }
}

mapping! {
    /// A header of a request.
    HttpHeader { name: String, value: String }
}

mapping! {
    /// Whether it takes a connection.
    TcpSocketAction { host: String, port: PortNumberOrName }
}

mapping! {
    /// How a gRPC server says that it is.
    GrpcAction { port: Port, service: String }
}
