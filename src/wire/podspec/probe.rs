//! How a container is asked whether it is well.

use super::{
    reader::{mapping, words},
    values::{Count, Port, PortName},
};

mapping! {
    /// A probe: exactly one of its handlers.
    Probe {
        exec: Option<ExecAction> = "exec",
        http_get: Option<HttpGetAction> = "httpGet",
        tcp_socket: Option<TcpSocketAction> = "tcpSocket",
        grpc: Option<GrpcAction> = "grpc",
        initial_delay_seconds: Count = "initialDelaySeconds",
        period_seconds: Count = "periodSeconds",
        timeout_seconds: Count = "timeoutSeconds",
        failure_threshold: Count = "failureThreshold",
        success_threshold: Count = "successThreshold",
        termination_grace_period_seconds: Option<Count> = "terminationGracePeriodSeconds",
    }
}

mapping! {
    /// A command in the container.
    ExecAction {
        command: Vec<String> = "command",
    }
}

mapping! {
    /// A request to the container.
    HttpGetAction {
        host: String = "host",
        http_headers: Vec<HttpHeader> = "httpHeaders",
        path: String = "path",
        port: PortName = "port",
        scheme: Scheme = "scheme",
    }
}

words! {
    /// How to speak to it.
    Scheme { Http = "HTTP", Https = "HTTPS", }
}

mapping! {
    /// A header of a request.
    HttpHeader {
        name: String = "name",
        value: String = "value",
    }
}

mapping! {
    /// Whether it takes a connection.
    TcpSocketAction {
        host: String = "host",
        port: PortName = "port",
    }
}

mapping! {
    /// A request of the health protocol of gRPC.
    GrpcAction {
        port: Port = "port",
        service: String = "service",
    }
}
