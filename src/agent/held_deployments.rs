//! Deployments whose update has to wait: what is on the cluster stays until then, and so is known over restarts.

use std::sync::Arc;

use super::{
    context::Turn,
    model::{
        deployment::{Deployment, Rollout},
        time::Wake,
        workload::Workload,
    },
    update_gate::{Permit, WHY_ALLOWED, WHY_LATE},
};

/// Whether this content has to wait, and until when; the cluster pulls its images when it goes ahead. `can_begin`: it
/// would be applied now.
pub(super) fn update_wait(
    name: &Arc<str>,
    to: &Workload,
    present: &Deployment,
    permit: Option<Permit>,
    can_begin: bool,
    turn: &mut Turn<'_>,
) -> Option<Wake> {
    let (now, context) = (turn.now, &mut *turn.context);
    let is_update = present.hash != to.hash && present.replicas > 0;
    // one that is unavailable for a moment waits on
    let is_update = is_update && (present.rollout == Rollout::Available || context.waiting.is_waiting(name));
    if is_update && permit.is_none() && context.partial && context.waiting.is_waiting(name) {
        return Some(Wake::Never); // the rules may come from a source that is not read yet
    }
    let permit = permit.filter(|_| is_update);
    let Some(permit) = permit else {
        context.waiting.forget(name);
        return None;
    };
    if context.waiting.get(name).is_some_and(|it| it.passed && it.to == to.id) {
        return None;
    }
    context.record_waiting_update(name, &to.id, None, now);
    let waited = context.update_wait_time(name, now);
    let is_late = permit.is_late(waited);
    if can_begin && (is_late || permit.is_open && context.ask_updates_unlocked()) {
        context.announce_update(name, if is_late { WHY_LATE } else { WHY_ALLOWED });
        context.waiting.release(name);
        return None;
    }
    Some(permit.next_wake(waited, now))
}
