//! What is done after a container's start and before its stop.

use super::{
    probe::{ExecAction, HttpGetAction},
    reader::mapping,
    values::Count,
};

mapping! {
    /// The hooks of a container.
    Lifecycle {
        post_start: Option<LifecycleHandler> = "postStart",
        pre_stop: Option<LifecycleHandler> = "preStop",
        stop_signal: Option<String> = "stopSignal",
    }
}

mapping! {
    /// A hook: exactly one of these.
    LifecycleHandler {
        exec: Option<ExecAction> = "exec",
        http_get: Option<HttpGetAction> = "httpGet",
        sleep: Option<SleepAction> = "sleep",
    }
}

mapping! {
    /// Nothing for some time.
    SleepAction {
        seconds: Count = "seconds",
    }
}
