//! What may be ordered.

use super::*;

impl Account {
    /// A cron workload is started. Whether a slot has come since its last start, also if the clock was set back by up to
    /// three hours since.
    fn is_new_slot(&mut self, cron: &schedule::Cron, now: Now) -> bool {
        let latest = self.reached.take().map_or(now.utc, |reached| reached.max(now.utc));
        let begun = std::mem::replace(&mut self.begun, Some(now.utc).filter(|_| latest == now.utc));
        let is_near = |begun: &SystemTime| *begun <= now.utc + 3 * 3600 * S;
        begun.filter(is_near).is_none_or(|begun| next_slot(cron, begun).is_some_and(|slot| slot <= latest))
    }
}

impl Rules<'_> {
    /// The agent gives an order; `pending` are those without an outcome.
    pub(in super::super) fn ordered(
        &mut self,
        order: &Order,
        pending: &[Pending],
        finished: &FinishedRuns,
        now: Now,
    ) -> Holds {
        self.newest = order.ticket;
        let told = &mut self.engines[podman_index(order.engine)];
        let (verb, Some(id)) = about(&order.task) else {
            let twice =
                pending.iter().any(|it| it.order.task == order.task && it.order.engine == order.engine);
            match &order.task {
                Task::Discard(image) => return self.may_discard(image, order, twice),
                Task::Usage(_) => return Ok(()), // memory can't wait for the disks to be measured
                // one that was gone is heard anew
                _ => (told.void, told.sound) = (false, told.sound && !told.missing),
            }
            return if twice { broken(Invariant::OneOrder, "two lists at once") } else { Ok(()) };
        };
        if !self.known.contains(id) {
            return broken(
                Invariant::Foreign,
                format!("{} names a pod that it wasn't told of", sentence(order)),
            );
        }
        let Some(name) = self.catalogue.name(id) else {
            return broken(Invariant::Foreign, format!("{} names a foreign pod", sentence(order)));
        };
        if !self.wanted.any_known() {
            return broken(Invariant::Unread, format!("{}, and nothing was read yet", sentence(order)));
        }
        match &order.task {
            Task::Pull(_) if self.updates.is_next(name, id) => {
                self.updates.fetches(name, order.ticket);
                return self.may_fetch(order);
            }
            Task::Limit { .. } | Task::Probe { .. } => return self.may_ask(name, id, order, pending),
            Task::End { container, .. } => return self.may_end(name, id, container, order),
            Task::Restart { container, .. } => {
                return self.may_restart(name, id, container, order, pending, now);
            }
            Task::Cancel(id) => return self.may_cancel(name, id, order, pending, now),
            Task::Pull(_) | Task::Rehearse { .. } => {} // change nothing that a list shows
            _ => self.accounts[name].last_order[podman_index(order.engine)] = order.ticket,
        }
        let others = || pending.iter().filter_map(|it| Some((it, about(&it.order.task).1?)));
        let account = &mut self.accounts[name];
        let before = match verb {
            "pull" => Some(account.pull.replace(order.ticket)),
            "rehearse" => Some(account.rehearsal.replace(order.ticket)),
            _ => None,
        };
        for (other, _) in others().filter(|(_, other)| *other == id) {
            let is_aside = matches!(
                other.order.task,
                Task::Pull(_)
                    | Task::Rehearse { .. }
                    | Task::Limit { .. }
                    | Task::Probe { .. }
                    | Task::End { .. }
                    | Task::Restart { .. }
                    | Task::Cancel(_)
            );
            if before.map_or(!is_aside, |before| before == Some(other.order.ticket)) {
                let both =
                    format!("{}, while this is under way: {}", sentence(order), sentence(&other.order));
                return broken(Invariant::OneOrder, both);
            }
        }
        match &order.task {
            Task::Remove { id, grace } => {
                self.stopped.insert(id.clone());
                let account = &mut self.accounts[name];
                if account.spec.is_some_and(|spec| self.catalogue.id(spec) == id) {
                    account.ready = None;
                    account.sick.clear(); // if it stays it is asked anew
                    account.probes.clear();
                }
                if *grace == Grace::Shortest && self.accounts[name].evicted.is_none() {
                    return broken(Invariant::Pressure, format!("{} is killed for nothing", sentence(order)));
                }
                let own = self.catalogue.of(id).map(|spec| self.catalogue.workload(spec).grace);
                if matches!(grace, Grace::Given(grace) if Some(*grace) != own) {
                    return broken(Invariant::Ends, format!("{} within {grace:?}", sentence(order)));
                }
                self.may_remove(name, id, order, finished, now)
            }
            Task::Start(..) => {
                self.stopped.remove(id);
                for (other, id) in others() {
                    let touches = matches!(other.order.task, Task::Start(..) | Task::Remove { .. });
                    if touches && self.catalogue.name(id) == Some(name) {
                        let both =
                            format!("{}, before this is done: {}", sentence(order), sentence(&other.order));
                        return broken(Invariant::OnePod, both);
                    }
                }
                self.may_start(name, id, order, finished, now)
            }
            Task::Pull(_) | Task::Rehearse { .. } => self.is_wanted(name, id, order, now),
            _ => Ok(()),
        }
    }

    pub(super) fn may_discard(&self, image: &str, order: &Order, twice: bool) -> Holds {
        if !self.wanted.any_known() {
            return broken(Invariant::Unread, format!("{}, and nothing was read yet", sentence(order)));
        }
        if twice {
            return broken(Invariant::OneOrder, format!("{}, which is under way", sentence(order)));
        }
        let image = (order.engine, image.to_owned());
        if self.needed().contains(&image) {
            return broken(Invariant::Images, format!("{}, which is needed", sentence(order)));
        }
        if !self.pulled.contains(&image) {
            return broken(Invariant::Images, format!("{}, which isn't the agent's", sentence(order)));
        }
        Ok(())
    }

    /// The images of all that is to run, or may come back.
    pub(super) fn needed(&self) -> PulledImages {
        let good = self.fallbacks.values().filter_map(|it| self.catalogue.of(&it.good.id));
        let next = self.updates.next().filter_map(|id| self.catalogue.of(id));
        let specs = self.accounts.iter().filter_map(|it| it.spec).chain(good).chain(next);
        specs.flat_map(|it| it.images().iter().map(move |image| (it.engine(), (*image).to_owned()))).collect()
    }

    /// Images that the agent knows of and doesn't need, but for those that podman wouldn't part from.
    pub(in super::super) fn unneeded(&self) -> impl Iterator<Item = &(Engine, String)> {
        let needed = self.needed();
        self.pulled.iter().filter(move |it| !needed.contains(it) && !self.clinging.contains(it))
    }

    /// A pod is limited, or asked whether it is well: at its side, whatever else happens to it.
    pub(super) fn may_ask(
        &mut self,
        name: usize,
        id: &WorkloadId,
        order: &Order,
        pending: &[Pending],
    ) -> Holds {
        let account = &mut self.accounts[name];
        if account.spec.is_none_or(|spec| self.catalogue.id(spec) != id) {
            return broken(Invariant::Probes, format!("{}, which isn't wanted", sentence(order)));
        }
        if self.stopped.contains(id) {
            return broken(Invariant::Probes, format!("{}, which was stopped", sentence(order)));
        }
        let before = match &order.task {
            Task::Probe { container, probe, .. } => {
                account.probes.entry(wishes::probe_key(container, probe)).or_default().0.replace(order.ticket)
            }
            _ => account.limit.replace(order.ticket),
        };
        if pending.iter().any(|it| Some(it.order.ticket) == before) {
            return broken(Invariant::OneOrder, format!("{}, while that is under way", sentence(order)));
        }
        Ok(())
    }

    /// A container is ended whose probe failed, and no other.
    fn may_end(&mut self, name: usize, id: &WorkloadId, container: &str, order: &Order) -> Holds {
        let account = &mut self.accounts[name];
        let is_wanted = account.spec.is_some_and(|spec| self.catalogue.id(spec) == id);
        if !is_wanted || self.stopped.contains(id) || account.sick.remove(container).is_none() {
            return broken(Invariant::Probes, format!("{}, which isn't sick", sentence(order)));
        }
        account.probes.retain(|key, _| key.trim_end_matches(wishes::READY) != container);
        account.killed.insert(container.to_owned());
        Ok(())
    }

    /// A container that ended is started again.
    fn may_restart(
        &mut self,
        name: usize,
        id: &WorkloadId,
        container: &str,
        order: &Order,
        pending: &[Pending],
        now: Now,
    ) -> Holds {
        self.is_wanted(name, id, order, now)?;
        let account = &mut self.accounts[name];
        let is_under_way = |it: &Missed| pending.iter().any(|other| Some(other.order.ticket) == it.order);
        if account.missed.values().any(is_under_way) {
            return broken(Invariant::OneOrder, format!("{}, while one is under way", sentence(order)));
        }
        let wrong = match (account.spec, account.missed.get_mut(container)) {
            (Some(spec), _)
                if spec.restart() == RestartPolicy::Never && !account.refused.contains(container) =>
            {
                "its policy forbids it".to_owned()
            }
            _ if self.stopped.contains(id) => "its pod was stopped".to_owned(),
            _ if !account.ended.contains(container) => "it runs".to_owned(),
            (_, Some(it)) if it.waits && now.up < it.not_before => {
                format!("{:?} too early after {} failures", it.not_before - now.up, it.failures)
            }
            (_, Some(it)) if it.waits => {
                it.order = Some(order.ticket);
                return Ok(());
            }
            _ => "it isn't missed".to_owned(),
        };
        broken(Invariant::Restarts, format!("{}, and {wrong}", sentence(order)))
    }

    /// A start is cut short: once, and not for nothing.
    fn may_cancel(
        &self,
        name: usize,
        id: &WorkloadId,
        order: &Order,
        pending: &[Pending],
        now: Now,
    ) -> Holds {
        let is_its_start = |it: &Pending| {
            matches!(&it.order.task, Task::Start(workload, _) if workload.id == *id) && !it.cancelled
        };
        if !pending.iter().any(is_its_start) {
            return broken(Invariant::OneOrder, format!("{}, which isn't under way", sentence(order)));
        }
        let is_over = self.accounts[name].ends.is_some_and(|at| at <= now.up);
        if !is_over && self.is_wanted(name, id, order, now).is_ok() {
            return broken(Invariant::Conditions, format!("{} for nothing", sentence(order)));
        }
        Ok(())
    }

    /// No start goes on whose pod may not run.
    pub(in super::super) fn starts_are_wanted(&self, pending: &[Pending], now: Now) -> Holds {
        for Pending { order, .. } in pending.iter().filter(|it| !it.cancelled) {
            let Task::Start(workload, _) = &order.task else { continue };
            let Some(name) = self.catalogue.name(&workload.id) else { continue };
            let account = &self.accounts[name];
            self.is_not_halted(name, || format!("{} goes on", sentence(order)))?;
            let wrong = match account.spec {
                Some(spec) if *self.catalogue.id(spec) != workload.id => "another content is wanted",
                Some(_) if account.evicted.is_some() => "it was evicted",
                Some(spec) if !self.allows(spec, now) => "its conditions are false",
                _ => continue,
            };
            return broken(Invariant::Conditions, format!("{} goes on, and {wrong}", sentence(order)));
        }
        Ok(())
    }

    /// However long a container's hook takes after it was started again: its pod goes as soon as it may not run.
    pub(in super::super) fn stalls(&self, agent: &Agent, pending: &[Pending], now: Now) -> Holds {
        for Pending { order, .. } in pending {
            let Task::Restart { id, .. } = &order.task else { continue };
            let Some(name) = self.catalogue.name(id) else { continue };
            let account = &self.accounts[name];
            let runs = agent.workloads.get(NAMES[name]).is_some_and(|it| it.phase == Phase::Running);
            let waits = account.removal_refused.is_some_and(|at| now.up < at + REMOVE_AGAIN);
            let sound = self.engines[podman_index(order.engine)].sound;
            let is_forbidden = |spec: Spec| self.catalogue.id(spec) == id && !self.allows(spec, now);
            if runs && sound && !waits && account.spec.is_some_and(is_forbidden) {
                return broken(Invariant::Hooks, format!("{} holds up its pod's end", sentence(order)));
            }
        }
        Ok(())
    }

    pub(super) fn may_remove(
        &mut self,
        name: usize,
        id: &WorkloadId,
        order: &Order,
        finished: &FinishedRuns,
        now: Now,
    ) -> Holds {
        let account = &self.accounts[name];
        let is_own = account.spec.filter(|spec| self.catalogue.id(*spec) == id);
        if is_own.is_some_and(|spec| matches!(spec.schedule(), Schedule::Service(_)))
            && !account.remake
            && !finished.contains_key(id) // its end was cut short, perhaps by an earlier process's
            && self.is_wanted(name, id, order, now).is_ok()
        {
            return broken(Invariant::Restarts, format!("{}, for nothing", sentence(order)));
        }
        self.accounts[name].remake |= is_own.is_some();
        let account = &self.accounts[name];
        let pods = &self.engines[podman_index(order.engine)].pods;
        let is_there = |id: &WorkloadId| self.engines.iter().any(|told| told.pods.contains_key(id));
        if let Some(spec) = account.spec.filter(|spec| self.catalogue.id(*spec) != id)
            && let new = self.catalogue.id(spec)
            && self.is_wanted(name, new, order, now).is_ok()
            && pods.get(id).is_some_and(|(_, runs)| *runs)
            && !(account.rehearsed || is_there(new) || finished.contains_key(new))
        {
            let what = format!("{}, and it isn't known whether {new} can start", sentence(order));
            return broken(Invariant::Stays, what);
        }
        let is_unreadable = self.wanted.is_unreadable(name);
        if account.spec.is_none() && (is_unreadable || !self.wanted.all_known() && !account.dismissed) {
            return broken(Invariant::Unread, format!("{}, which may be wanted", sentence(order)));
        }
        Ok(())
    }

    pub(super) fn is_wanted(&self, name: usize, id: &WorkloadId, order: &Order, now: Now) -> Holds {
        let account = &self.accounts[name];
        let Some(spec) = account.spec.filter(|spec| self.catalogue.id(*spec) == id) else {
            return broken(Invariant::Conditions, format!("{}, which isn't wanted", sentence(order)));
        };
        self.is_not_halted(name, || sentence(order))?;
        if !self.allows(spec, now) {
            return broken(
                Invariant::Conditions,
                format!("{}, and its conditions are false", sentence(order)),
            );
        }
        if !self.is_fine() || account.evicted.is_some() {
            let what = format!("{}, and the device is short, or it was evicted", sentence(order));
            return broken(Invariant::Pressure, what);
        }
        if now.up < account.rests_until {
            let rest = account.rests_until - now.up;
            return broken(
                Invariant::Flapping,
                format!("{}, which should rest for {rest:?}", sentence(order)),
            );
        }
        Ok(())
    }

    pub(super) fn may_start(
        &mut self,
        name: usize,
        id: &WorkloadId,
        order: &Order,
        finished: &FinishedRuns,
        now: Now,
    ) -> Holds {
        self.is_wanted(name, id, order, now)?;
        if self.failed[name].as_ref() == Some(id) {
            return broken(Invariant::RolledBack, format!("{}, which was taken back", sentence(order)));
        }
        for (other, (of, _)) in self.engines.iter().flat_map(|told| &told.pods) {
            if *of == name && other != id {
                return broken(Invariant::OnePod, format!("{}, while {other} is there", sentence(order)));
            }
        }
        if let Some(other) = self.accounts[name].spec.and_then(Spec::depends_on).filter(|it| !self.ready[*it])
        {
            let what = format!("{}, and '{}' isn't ready", sentence(order), NAMES[other]);
            return broken(Invariant::Depends, what);
        }
        let account = &mut self.accounts[name];
        account.ready = None;
        account.started.get_or_insert(now.up);
        account.lingers = false;
        let ends = account.spec.and_then(Spec::deadline).map(|limit| now.up + limit);
        let is_over = std::mem::take(&mut account.is_over);
        account.ends = account.ends.filter(|_| account.tried > 0 && !is_over).or(ends);
        account.probes.clear();
        (account.sick, account.ended) = (BTreeMap::new(), BTreeSet::new());
        account.refused.clear();
        (account.missed, account.killed) = (BTreeMap::new(), BTreeSet::new());
        (account.pod_since, account.remake) = (None, false);
        if now.up < account.not_before {
            let early = account.not_before - now.up;
            let failures = account.failures;
            let what = format!("{}, {early:?} too early after {failures} failures", sentence(order));
            return broken(Invariant::BackOff, what);
        }
        match account.spec.map(Spec::schedule) {
            Some(Schedule::Cron(cron, _)) => {
                let slot = account
                    .slot_since
                    .map(|since| next_slot(&cron, since).is_some_and(|slot| slot <= now.utc));
                account.slot_since = Some(now.utc);
                let is_asked_for = std::mem::take(&mut account.run).may_start;
                account.run.goes_on = is_asked_for;
                let is_try = std::mem::take(&mut account.next_try).may_start;
                account.tried = if is_try { account.tried } else { 0 }; // the run before may have got lost
                account.next_try.goes_on = is_try;
                let is_new = account.is_new_slot(&cron, now);
                if (slot == Some(false) || !is_new) && !is_asked_for && !is_try {
                    return broken(Invariant::Cron, format!("{}, and no slot has come", sentence(order)));
                }
            }
            _ if finished.contains_key(id) && !account.may_finish_again && !self.meddled.contains(id) => {
                return broken(Invariant::Finished, format!("{}, which has finished", sentence(order)));
            }
            _ => {}
        }
        Ok(())
    }
}
