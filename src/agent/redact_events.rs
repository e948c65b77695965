//! The texts that events bring: others wrote them. Here they lose the values of `Secret`s and what could not be shown,
//! once, before anything is decided.

use std::sync::Arc;

use super::{
    model::{
        call::{Answer, CallFailure},
        deployment::{Deployment, DeploymentFact, DeploymentWatchEvent, Rollout},
        event::Event,
        notice::Problem,
        order::{ContainerState, Fact, Failure},
        workload::Content,
    },
    redact::Redactor,
    sanitize,
};

/// What must not stand in any text.
#[derive(Debug, Default)]
pub(super) struct EventRedactor {
    redactor: Arc<Redactor>,
    /// Without what was wanted until the last change.
    present: Redactor,
}

impl EventRedactor {
    /// Knows the values of what is wanted, of what it may return to, and of what was wanted until the last change, some
    /// of which still runs.
    pub(super) fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    /// What is wanted, or may be returned to, has changed.
    pub(super) fn update_contents<'a>(&mut self, contents: impl Iterator<Item = &'a Content>) {
        let present = Redactor::of(contents);
        if present == self.present {
            return;
        }
        let mut both = Redactor::default();
        both.merge(&present);
        both.merge(&self.present);
        *self = Self { redactor: Arc::new(both), present };
    }

    /// Makes the event fit to be told of.
    pub(super) fn redact(&self, event: &mut Event) {
        let redactor = &*self.redactor;
        match event {
            Event::Notice(notice) => redact_message(redactor, &mut notice.message),
            Event::Problems(problems) => redact_problems(redactor, problems),
            Event::Watched(DeploymentWatchEvent::Seen(it) | DeploymentWatchEvent::Gone(it)) => {
                redact_deployment(redactor, it)
            }
            Event::Done(outcome) => match &mut outcome.result {
                Ok(fact) => redact_fact(redactor, fact),
                Err(failure) => redact_failure(redactor, failure),
            },
            Event::Deployed(outcome) => match &mut outcome.result {
                Ok(DeploymentFact::Listed(all)) => {
                    all.iter_mut().for_each(|it| redact_deployment(redactor, it))
                }
                Ok(DeploymentFact::Applied(it)) => redact_deployment(redactor, it),
                Ok(DeploymentFact::Gone) => {}
                Err(failure) => redact_failure(redactor, failure),
            },
            Event::Answered(_, Ok(Answer::Configured(it))) => {
                redact_problems(redactor, &mut it.problems);
                sanitize_name(&mut it.version);
            }
            Event::Answered(
                _,
                Err(
                    CallFailure::Refused { message: text, .. }
                    | CallFailure::Unreachable(text)
                    | CallFailure::Untrusted(text)
                    | CallFailure::Nonsense(text)
                    | CallFailure::Local(text),
                ),
            )
            | Event::Stored(_, Err(text)) => redact_line(redactor, text),
            _ => {}
        }
    }
}

fn redact_line(redactor: &Redactor, text: &mut String) {
    let fit = sanitize::sanitize_line(&redactor.redact(text)).into_owned();
    *text = fit;
}

/// One that a value of a `Secret` happens to be stays what it is.
fn sanitize_name(name: &mut String) {
    let fit = sanitize::sanitize_line(name).into_owned();
    *name = fit;
}

/// With the lines of the agent's own.
fn redact_message(redactor: &Redactor, text: &mut String) {
    let fit = sanitize::sanitize_message(&redactor.redact(text)).into_owned();
    *text = fit;
}

fn redact_problems(redactor: &Redactor, problems: &mut [Problem]) {
    for problem in problems {
        redact_message(redactor, &mut problem.message);
        problem.workload.iter_mut().for_each(sanitize_name);
    }
}

fn redact_failure(redactor: &Redactor, failure: &mut Failure) {
    let (Failure::Engine(text) | Failure::Workload(text)) = failure;
    redact_line(redactor, text);
}

fn redact_deployment(redactor: &Redactor, deployment: &mut Deployment) {
    if let Rollout::Unavailable(text) | Rollout::Failed(text) = &mut deployment.rollout {
        redact_line(redactor, text);
    }
}

fn redact_fact(redactor: &Redactor, fact: &mut Fact) {
    match fact {
        Fact::Pulled { stale, .. } => stale.iter_mut().for_each(|text| redact_line(redactor, text)),
        Fact::Pod(pod) => {
            for container in &mut pod.containers {
                if let ContainerState::Stuck(text) = &mut container.state {
                    redact_line(redactor, text);
                }
            }
        }
        Fact::Probed { output, .. } => redact_line(redactor, output),
        Fact::Pods(pods) => pods.iter_mut().for_each(|pod| sanitize_name(&mut pod.workload)),
        Fact::Fit { .. } | Fact::Limited | Fact::Ended | Fact::Gone | Fact::Usage(_) => {}
    }
}
