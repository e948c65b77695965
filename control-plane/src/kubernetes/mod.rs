//! The store that is a Kubernetes API server: it keeps everything, and people use `kubectl`.

pub(crate) mod resources;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// What the clock says.
pub(crate) fn now() -> Time {
    Time(Timestamp::now())
}
