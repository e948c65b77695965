//! What changes between two lists: a request that the API server answers line by line.

use std::time::Duration;

use crossbeam_channel::Sender;
use log::debug;
use serde_json::Value;

use super::{api_server::Error, cluster::Cluster};
use crate::{
    agent::{Event, model::deployment::DeploymentWatchEvent},
    wire::kubernetes,
};

/// How long the server goes on, in seconds.
const WATCH_SECONDS: u64 = 240;
/// After the server should have ended it, it doesn't answer any more.
const WATCH_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS + 15);
/// Before it is asked again; after failures in a row longer.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Watches for as long as the process lives.
pub(super) fn watch_deployments(cluster: &Cluster, events: &Sender<Event>) {
    let newer = &cluster.resume_version.receiver;
    let mut pause = RETRY_DELAY;
    let mut version = None;
    while let Ok(from) = version.take().map_or_else(|| newer.recv(), Ok) {
        let mut at = Some(from);
        let started = stream_changes(cluster, events, &mut at);
        if at.is_none() && events.send(Event::Watched(DeploymentWatchEvent::Lost)).is_err() {
            return; // the agent ends
        }
        pause = if started { RETRY_DELAY } else { (pause * 2).min(MAX_RETRY_DELAY) };
        let _ = newer.try_recv(); // older than what was seen since
        version = newer.recv_timeout(pause).ok().or(at);
    }
}

/// Tells changes until the stream ends: `at` is where to go on, if anything is left to go on from. Answers
/// whether it has begun.
fn stream_changes(cluster: &Cluster, events: &Sender<Event>, at: &mut Option<String>) -> bool {
    let version = at.clone().unwrap_or_default();
    let path = format!(
        "{}&watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}",
        cluster.own_deployments_path()
    );
    let mut started = false;
    let result = cluster.api().map_err(Error::Broken).and_then(|api| {
        api.stream_lines(&path, WATCH_TIMEOUT, &mut started, &mut |line| {
            let change: Value = serde_json::from_slice(line).unwrap_or_default();
            let object = &change["object"];
            // an error has none: the server remembers no changes that old
            *at = at.take().and_then(|_| kubernetes::resource_version(object));
            let kind = change["type"].as_str().filter(|_| kubernetes::is_ours(object, &cluster.owner));
            let event = match kind {
                Some("ADDED" | "MODIFIED") => DeploymentWatchEvent::Seen(Box::new(kubernetes::read(object))),
                Some("DELETED") => DeploymentWatchEvent::Gone(Box::new(kubernetes::read(object))),
                _ => return,
            };
            let _ = events.send(Event::Watched(event)); // the agent ends
        })
    });
    if let Err(error) = result {
        if let Error::Refused(401, _) | Error::Broken(_) = &error {
            cluster.reset_api();
        }
        if let Error::Refused(410, _) = &error {
            *at = None;
        }
        let (Error::Refused(_, cause) | Error::Broken(cause)) = error;
        debug!("failed to watch Deployments: {cause}");
        if started {
            let _ = events.send(Event::Watched(DeploymentWatchEvent::Lost));
        }
    }
    started
}
