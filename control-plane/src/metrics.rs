//! What the server tells of itself: health, and OpenMetrics, on a plain HTTP port of its own for the cluster.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, body::Incoming, header::CONTENT_TYPE, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};

use crate::faults::Call;

/// Who asks for metrics asks at once.
const IDLE: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 32;
/// Upper bounds of the times of answers, in seconds.
const BOUNDS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Counted since the start.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Whether devices are served.
    pub(crate) is_ready: AtomicBool,
    pub(crate) connections: AtomicI64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) requests_limited: AtomicU64,
    requests: Mutex<BTreeMap<(Call, u16), u64>>,
    times: Mutex<([u64; BOUNDS.len()], u64, f64)>,
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn note(&self, call: Call, status: u16, took: Duration) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((call, status)).or_default() += 1;
        let (buckets, count, sum) = &mut *self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = took.as_secs_f64();
        for (bucket, bound) in buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        *count += 1;
        *sum += seconds;
    }

    fn text(&self, further: &str) -> String {
        let mut out = String::new();
        gauge(
            &mut out,
            "flotta_connections",
            "Devices that are connected.",
            self.connections.load(Relaxed) as f64,
        );
        counter(
            &mut out,
            "flotta_handshakes_failed",
            "Connections that ended before TLS was agreed.",
            self.handshakes_failed.load(Relaxed),
        );
        counter(
            &mut out,
            "flotta_requests_limited",
            "Requests of devices that ask too often, answered by 429.",
            self.requests_limited.load(Relaxed),
        );
        head(&mut out, "flotta_requests", "counter", "Requests of devices; status 0 was not answered.");
        for ((call, status), count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(out, "flotta_requests_total{{call=\"{call}\",status=\"{status}\"}} {count}");
        }
        head(&mut out, "flotta_request_seconds", "histogram", "How long answers took.");
        let (buckets, count, sum) = &*self.times.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, bound) in buckets.iter().zip(BOUNDS) {
            let _ = writeln!(out, "flotta_request_seconds_bucket{{le=\"{bound}\"}} {bucket}");
        }
        let _ = writeln!(out, "flotta_request_seconds_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "flotta_request_seconds_count {count}\nflotta_request_seconds_sum {sum}");
        out + further + "# EOF\n"
    }
}

/// The lines above a family's values.
pub(crate) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# TYPE {name} {kind}\n# HELP {name} {help}");
}

/// A family of one value.
pub(crate) fn gauge(out: &mut String, name: &str, help: &str, value: f64) {
    head(out, name, "gauge", help);
    let _ = writeln!(out, "{name} {value}");
}

/// A family of one count.
pub(crate) fn counter(out: &mut String, name: &str, help: &str, value: u64) {
    head(out, name, "counter", help);
    let _ = writeln!(out, "{name}_total {value}");
}

/// Serves `/healthz`, `/readyz` and `/metrics`, for ever.
pub(crate) async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    further: Arc<dyn Fn() -> String + Send + Sync>,
) -> Result<()> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    println!("health and metrics: http://{}", listener.local_addr()?);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (metrics, further) = (Arc::clone(&metrics), Arc::clone(&further));
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &metrics, &*further);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(IDLE);
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    further: &(dyn Fn() -> String + Send + Sync),
) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/healthz" => (200, "it runs\n".to_owned()),
        "/readyz" if metrics.is_ready.load(Relaxed) => (200, "devices are served\n".to_owned()),
        "/readyz" => (503, "devices are not served\n".to_owned()),
        "/metrics" => (200, metrics.text(&further())),
        _ => (404, "there are /healthz, /readyz and /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let kind = match request.uri().path() {
        "/metrics" => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
