//! The texts that events bring: others wrote them. Here they lose the values of `Secret`s and what could not be shown,
//! once, before anything is decided.

use std::sync::Arc;

use super::{
    legible,
    model::{
        call::{Answer, CallFailure},
        deployment::{Deployment, DeploymentFact, Rollout, Watched},
        event::Event,
        notice::Problem,
        order::{ContainerState, Fact, Failure},
        workload::Content,
    },
    redact::Redactor,
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
    pub(super) fn keep<'a>(&mut self, contents: impl Iterator<Item = &'a Content>) {
        let present = Redactor::of(contents);
        if present == self.present {
            return;
        }
        let mut both = Redactor::default();
        both.join(&present);
        both.join(&self.present);
        *self = Self { redactor: Arc::new(both), present };
    }

    /// Makes the event fit to be told of.
    pub(super) fn redact(&self, event: &mut Event) {
        let redactor = &*self.redactor;
        match event {
            Event::Notice(notice) => message(redactor, &mut notice.message),
            Event::Problems(problems) => problems_in(redactor, problems),
            Event::Watched(Watched::Seen(it) | Watched::Gone(it)) => deployment(redactor, it),
            Event::Done(outcome) => match &mut outcome.result {
                Ok(fact) => fact_in(redactor, fact),
                Err(failure) => failure_in(redactor, failure),
            },
            Event::Deployed(outcome) => match &mut outcome.result {
                Ok(DeploymentFact::Listed(all)) => all.iter_mut().for_each(|it| deployment(redactor, it)),
                Ok(DeploymentFact::Applied(it)) => deployment(redactor, it),
                Ok(DeploymentFact::Gone) => {}
                Err(failure) => failure_in(redactor, failure),
            },
            Event::Answered(_, Ok(Answer::Configured(it))) => {
                problems_in(redactor, &mut it.problems);
                name(&mut it.version);
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
            | Event::Stored(_, Err(text)) => line(redactor, text),
            _ => {}
        }
    }
}

fn line(redactor: &Redactor, text: &mut String) {
    let fit = legible::line(&redactor.redact(text)).into_owned();
    *text = fit;
}

/// One that a value of a `Secret` happens to be stays what it is.
fn name(name: &mut String) {
    let fit = legible::line(name).into_owned();
    *name = fit;
}

/// With the lines of the agent's own.
fn message(redactor: &Redactor, text: &mut String) {
    let fit = legible::message(&redactor.redact(text)).into_owned();
    *text = fit;
}

fn problems_in(redactor: &Redactor, problems: &mut [Problem]) {
    for problem in problems {
        message(redactor, &mut problem.message);
        problem.workload.iter_mut().for_each(name);
    }
}

fn failure_in(redactor: &Redactor, failure: &mut Failure) {
    let (Failure::Engine(text) | Failure::Workload(text)) = failure;
    line(redactor, text);
}

fn deployment(redactor: &Redactor, deployment: &mut Deployment) {
    if let Rollout::Unavailable(text) | Rollout::Failed(text) = &mut deployment.rollout {
        line(redactor, text);
    }
}

fn fact_in(redactor: &Redactor, fact: &mut Fact) {
    match fact {
        Fact::Pulled { stale, .. } => stale.iter_mut().for_each(|text| line(redactor, text)),
        Fact::Pod(pod) => {
            for container in &mut pod.containers {
                if let ContainerState::Stuck(text) = &mut container.state {
                    line(redactor, text);
                }
            }
        }
        Fact::Probed { output, .. } => line(redactor, output),
        Fact::Pods(pods) => pods.iter_mut().for_each(|pod| name(&mut pod.workload)),
        Fact::Fit { .. } | Fact::Limited | Fact::Ended | Fact::Gone | Fact::Usage(_) => {}
    }
}
