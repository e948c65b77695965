//! What a container may take whose author set no limit, and how large its log may get.

/// `<this>/<container>` bounds the number of a container's processes.
const PIDS_LIMIT_ANNOTATION: &str = "io.podman.annotations.pids-limit";

/// podman drops the older half of a container's log beyond these bytes. (Its journal has limits of its own.)
pub const LOG_SIZE: u64 = 10_000_000;

/// What a container may take whose author set no limit. Another limit is no reason to restart a pod: it counts
/// from its next start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultLimits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu: Option<u32>,
    /// Processes.
    pub pids: Option<u32>,
}

impl Default for DefaultLimits {
    fn default() -> Self {
        // 512 shells fit into the smallest device
        Self { memory: None, cpu: None, pids: Some(512) }
    }
}

/// The annotation that bounds the number of this container's processes.
pub fn pids_limit_annotation(container: &str) -> String {
    format!("{PIDS_LIMIT_ANNOTATION}/{container}")
}
