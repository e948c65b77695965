//! What a person's command reads of podman by itself, in its own process: it costs the agent nothing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{Access, access},
    io::Errno,
};
use serde_json::Value;

use super::api::{Error, PodmanClient, Query};

/// For an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One podman.
pub struct PodmanReader {
    client: PodmanClient,
    socket: PathBuf,
}

impl PodmanReader {
    /// Of the podman that listens on this socket.
    pub fn new(socket: &Path) -> Self {
        Self { client: PodmanClient::new(socket), socket: socket.into() }
    }

    /// What podman answers to this path of its API.
    ///
    /// # Errors
    /// It refuses or can't be reached: why, and what to do.
    pub fn get(&self, path: &str, query: Query) -> Result<Value, String> {
        self.client
            .get(path, query, ANSWER_TIMEOUT)
            .and_then(|answer| answer.json())
            .map_err(|error| self.error_message(error))
    }

    /// The same, where the answer has a line of JSON for each thing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_lines(&self, path: &str, query: Query) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        let line = |line: &[u8]| all.extend(serde_json::from_slice::<Value>(line));
        self.client.stream_lines(path, query, line).map_err(|error| self.error_message(error))?;
        Ok(all)
    }

    /// Hands on what a container printed, in pieces, each with the number of its stream; until `hear` says no, or the time
    /// is over, if there is a limit.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn logs(
        &self,
        container: &str,
        query: Query,
        limit: Option<Duration>,
        hear: &mut dyn FnMut(u8, &[u8]) -> bool,
    ) -> Result<(), String> {
        let path = format!("containers/{container}/logs");
        self.client.stream_frames(&path, query, limit, hear).map_err(|error| self.error_message(error))
    }

    fn error_message(&self, error: Error) -> String {
        match error {
            Error::Broken(_) if access(&self.socket, Access::WRITE_OK) == Err(Errno::ACCESS) => {
                format!("'{}' belongs to another user: try with sudo", self.socket.display())
            }
            Error::Refused(why) | Error::Broken(why) | Error::Late(why) => why,
        }
    }
}
