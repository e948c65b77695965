//! What tiny_http hands on: posts are read and sent to the agent, and each is answered as the agent did.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use tiny_http::{Header, Method, Request, Response, Server};

use super::{body, pages};
use crate::agent::{Sample, model::event::MAX_METRIC_NAMES};
use crate::io::lock;
use crate::wire::own::frames::{Ack, Post, ReportRefusal, read_ack};

/// Requests that wait for the agent's word; never more than there are backends.
pub(super) type PendingPosts = Arc<Mutex<Vec<(u32, Request)>>>;

/// Reads posts, and asks the agent to store what they say.
pub(super) fn receive_posts(server: &Server, mut agent: UnixStream, pending: &PendingPosts, has_page: bool) {
    let mut frame = Vec::new();
    for (id, mut request) in (0..u32::MAX).cycle().zip(server.incoming_requests()) {
        match read(&mut request, has_page) {
            Ok(post) => {
                frame.clear();
                Post { id, samples: post }.write(&mut frame);
                lock(pending).push((id, request));
                // A failure means that the agent is gone: the frontend sees it too, and ends the process.
                _ = agent.write_all(&frame);
            }
            Err(refusal) => respond(request, refusal),
        }
    }
}

type HttpAnswer = (u16, String);

fn read(request: &mut Request, has_page: bool) -> Result<Vec<Sample>, HttpAnswer> {
    let path = pages::path_without_query(request.url());
    if path != "/metrics" {
        return Err(match (pages::is_status_page_path(path), has_page) {
            (true, true) => (405, "the status page is only read".into()),
            (true, false) => (404, ReportRefusal::Off.reason().into()),
            _ => (404, "metrics are posted to /metrics".into()),
        });
    }
    // Any method with a body is a post: `curl -X -H …`, as printed in many a README, has the method `-H`.
    let length = request.body_length().unwrap_or(0);
    if length == 0 && *request.method() != Method::Post {
        return Err((405, "metrics are posted, or read by GET".into()));
    }
    let mut body = Vec::with_capacity(length);
    request.as_reader().read_to_end(&mut body).map_err(|error| (400, error.to_string()))?;
    body::read(&body).map_err(|reason| (400, reason))
}

/// Answers posts as the agent did.
pub(super) fn answer_posts(mut agent: UnixStream, pending: &PendingPosts) {
    let mut ack = [0; 5];
    while agent.read_exact(&mut ack).is_ok() {
        let (id, ack) = read_ack(ack);
        let mut waiting = lock(pending);
        let request = waiting.iter().position(|(of, _)| *of == id).map(|at| waiting.swap_remove(at).1);
        drop(waiting);
        let answer = match ack {
            Ack::Stored => (200, String::new()),
            Ack::TooManyNames => (400, format!("there are {} names already", MAX_METRIC_NAMES)),
            Ack::NotStored => (503, "the agent could not store it".into()),
        };
        if let Some(request) = request {
            respond(request, answer);
        }
    }
}

fn respond(request: Request, (status, reason): HttpAnswer) {
    let allow = if pages::is_status_page_path(pages::path_without_query(request.url())) {
        "GET, HEAD"
    } else {
        "GET, HEAD, POST"
    };
    let reason = if reason.is_empty() { reason } else { reason + "\n" };
    let mut response = Response::from_string(reason).with_status_code(status);
    if status == 405
        && let Ok(allow) = Header::from_bytes("Allow", allow)
    {
        response.add_header(allow);
    }
    // The frontend holds the other end, and sees it closed.
    _ = request.respond(response);
}
