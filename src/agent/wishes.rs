//! What a person at the device wants of a workload: whether that can be, and what to reply.

use std::{sync::Arc, time::UNIX_EPOCH};

use super::{
    agenda::Agenda,
    conditions::Conditions,
    context::Turn,
    deployments::Deployments,
    eviction::Evictions,
    model::{
        notice::{Notice, Reason},
        question::{Asker, Question, Reply, Wish},
        workload::{Engine, Workload},
    },
    profiles,
    reconcile::Workloads,
};

/// Of a Deployment: the cluster knows what ran before.
const ROLLOUT_UNDO_COMMAND: &str = "kubectl rollout undo deployment/";

/// What a wish can need.
pub(super) struct WishHandler<'a, 'b> {
    pub(super) workloads: &'a mut Workloads,
    pub(super) deployments: &'a Deployments,
    pub(super) conditions: &'a Conditions,
    pub(super) evictions: &'a Evictions,
    pub(super) agenda: &'a mut Agenda,
    pub(super) turn: &'a mut Turn<'b>,
}

impl WishHandler<'_, '_> {
    /// Does what is asked for, or says why not; none: that will be told later.
    pub(super) fn answer(self, asker: Asker, question: &Question) -> Option<Reply> {
        match question {
            Question::Wish(name, wish) => self.fulfil(asker, name, *wish),
            Question::RollBack(name, before) => Some(self.roll_back(name, before.clone())),
            Question::Report | Question::History => None,
        }
    }

    fn fulfil(mut self, asker: Asker, name: &str, wish: Wish) -> Option<Reply> {
        let tracked = self.workloads.get(name).and_then(|it| it.wanted_workload());
        let Some(wanted) = tracked.or_else(|| self.deployments.wanted_workload(name)).cloned() else {
            return Some(Reply::Unknown);
        };
        let (told, reply) = match wish {
            Wish::Restart => return self.restart(asker, &wanted),
            Wish::Run => return Some(self.run(&wanted)),
            Wish::Update => return Some(self.update(&wanted)),
            Wish::Stop { until_changed } => self.stop(&wanted, until_changed),
            Wish::Start => {
                let told = self.turn.context.stops.start(name);
                let is = if told.is_some() { "may run again" } else { "was not stopped" };
                (told, format!("{name} {is}; 'device-worker-ng explain {name}' tells how it is"))
            }
        };
        told.into_iter().for_each(|notice| self.turn.tell(notice));
        self.agenda.add(name.into());
        Some(Reply::Done(reply))
    }

    fn stop(&mut self, wanted: &Workload, until_changed: bool) -> (Option<Notice>, String) {
        let (name, context, now) = (wanted.name(), &mut *self.turn.context, self.turn.now);
        // what is wanted may be what ran before, and is back
        let failed = context.fallbacks.get(name).and_then(|it| it.failed.as_ref());
        let waiting = context.waiting.get(name).map(|it| &it.to);
        let asked = waiting.or(failed.map(|it| &it.id)).unwrap_or(&wanted.id);
        let is_right = context.clock_lag(now).is_none();
        let since = now.utc.duration_since(UNIX_EPOCH).ok().filter(|_| is_right).map(|at| at.as_secs());
        match context.stops.stop(name, until_changed.then(|| asked.clone()), since) {
            Err(before) => (None, format!("{name} is stopped already: {before}")),
            Ok(told) => {
                let until = if until_changed { ", or another content of it is asked for" } else { "" };
                let later = self.turn.engines.unready_reason(wanted.content.engine);
                let later = later.map(|why| format!("; {why}: it goes later")).unwrap_or_default();
                (Some(told), format!("{name} is stopped until 'device-worker-ng start {name}'{until}{later}"))
            }
        }
    }

    /// Lets it return to what ran before, or says why not. What is wanted is to be looked at anew then.
    fn roll_back(self, name: &str, before: Option<Arc<Workload>>) -> Reply {
        let tracked = self.workloads.get_mut(name).filter(|it| it.wanted_workload().is_some());
        let Some(tracked) = tracked else {
            return match self.deployments.wanted_workload(name) {
                Some(_) => Reply::Refused(format!("a cluster runs it: use '{ROLLOUT_UNDO_COMMAND}{name}'")),
                None => Reply::Unknown,
            };
        };
        match tracked.roll_back(before, self.turn) {
            Err(why) => Reply::Refused(why.to_owned()),
            Ok(id) => {
                let message = format!("workload '{name}' returns to '{id}', as was asked for on the device");
                self.turn.tell(Notice::info(Reason::Commanded, message));
                let until = "until another content of it is asked for";
                Reply::Done(format!("{name} returns to what ran before, pod '{id}', {until}"))
            }
        }
    }

    /// Why nothing of it can be started now.
    fn refusal_reason(&self, wanted: &Workload) -> Option<String> {
        if let Some((why, remedy)) = self.turn.context.stops.stop_reason_and_remedy(wanted.name()) {
            return Some(format!("{why}; {remedy}"));
        }
        if let Some((why, _)) = profiles::unmet_profile(
            &self.conditions.listed_profile_reports(&wanted.profiles, self.turn.now.up),
        ) {
            return Some(why);
        }
        let shortages = || self.evictions.shortages().join("; ");
        self.turn.context.short.then(|| format!("nothing new is started: {}", shortages()))
    }

    fn restart(self, asker: Asker, wanted: &Workload) -> Option<Reply> {
        let (name, engine) = (wanted.name(), wanted.content.engine);
        if engine == Engine::Kubernetes {
            return Some(Reply::Refused(format!(
                "it runs on {engine}: use 'kubectl rollout restart deployment/{name}'"
            )));
        }
        if let Some(why) = self.refusal_reason(wanted) {
            return Some(Reply::Refused(why));
        }
        self.agenda.add(name.into());
        self.workloads.get_mut(name)?.restart(asker, self.turn).err().map(Reply::Refused)
    }

    fn update(self, wanted: &Workload) -> Reply {
        let name = wanted.name();
        let why = "that was asked for on the device";
        let goes = match self.workloads.get_mut(name) {
            Some(tracked) => tracked.release_update(why, self.turn),
            None => self.turn.context.waiting.release(name),
        };
        self.agenda.add(name.into());
        if goes {
            return Reply::Done(format!(
                "{name} is updated now; 'device-worker-ng explain {name}' tells how it is"
            ));
        }
        Reply::Refused("no update of it waits".to_owned())
    }

    fn run(self, wanted: &Workload) -> Reply {
        let name = wanted.name();
        let forbids = self.refusal_reason(wanted).filter(|_| !wanted.is_service());
        let begun = match (forbids, self.workloads.get_mut(name)) {
            (Some(why), _) => Err(why),
            (None, Some(tracked)) => tracked.begin_run_by_hand(self.turn),
            (None, None) => Err("a Deployment has no runs".to_owned()),
        };
        self.agenda.add(name.into());
        match begun {
            Ok(()) => Reply::Done(format!("{name} gets a run now; its slots stay as they are")),
            Err(why) => Reply::Refused(why),
        }
    }
}
