//! What is done after a container's start and before its stop.

use super::{
    probe::{ExecAction, HttpGetAction},
    types::mapping,
    values::Count,
};

mapping! {
    /// The hooks of a container.
    Lifecycle {
        post_start: Option<LifecycleHandler>,
        pre_stop: Option<LifecycleHandler>,
        stop_signal: Option<String>,
    }
}

mapping! {
    /// A hook: exactly one of these.
    LifecycleHandler {
        exec: Option<ExecAction>,
        http_get: Option<HttpGetAction>,
        sleep: Option<SleepAction>,
    }
}

mapping! {
    /// Nothing for some time.
    SleepAction { seconds: Count }
}
