//! What an order's outcome means for what may come next.

use super::*;

impl Rules<'_> {
    /// Whether the agent knows of this pod, and that it runs if it does.
    pub(in super::super) fn was_told_of(&self, id: &WorkloadId, runs: bool) -> bool {
        let told = self.engines.iter().find_map(|told| told.pods.get(id));
        told.is_some_and(|(_, told)| *told || !runs)
    }

    /// A pod is taken over, if it goes on, whose time the agent doesn't know better: it counts from now.
    pub(in super::super) fn adopted(&mut self, name: usize, pod: &Pod) {
        let account = &mut self.accounts[name];
        let is_whole = account.spec.is_some_and(|spec| pod.containers.len() >= spec.containers());
        let is_stuck = pod.containers.iter().any(|it| matches!(it.state, ContainerState::Stuck(_)));
        account.ends = account.ends.filter(|_| !is_whole || is_stuck || pod.torn);
    }

    /// An order's outcome comes. `own`: the workload waits for it; `cancelled`: but wants it no more.
    pub(in super::super) fn answered(
        &mut self,
        order: &Order,
        own: bool,
        cancelled: bool,
        result: &Result<Fact, Failure>,
        lists: bool,
        now: Now,
    ) {
        let told = &mut self.engines[podman_index(order.engine)];
        let is_list = order.task == Task::List;
        let is_aside = matches!(order.task, Task::Probe { .. } | Task::Usage(_) | Task::Discard(_));
        if matches!(result, Err(Failure::Engine(_))) && !is_aside || is_list && result.is_err() {
            (told.sound, told.missing) = (false, true);
            told.void |= lists && !is_list;
        }
        if let (true, Ok(Fact::Pods(pods))) = (is_list, result) {
            self.known.extend(pods.iter().map(|pod| pod.id.clone()));
            if std::mem::take(&mut told.void) {
                told.pods.clear(); // the agent may have passed it over, or not: it can't be said what it knows
                return;
            }
            (told.sound, told.missing) = (true, order.ticket <= told.left);
            let accounts = &self.accounts;
            let newer = |name: usize| accounts[name].last_order[podman_index(order.engine)] >= order.ticket;
            // One that an outcome told of since the list was asked for may be there all the same.
            told.pods.retain(|_, (name, _)| newer(*name));
            for pod in pods {
                let Some(name) = self.catalogue.name(&pod.id) else { continue };
                if !newer(name) {
                    told.pods.insert(pod.id.clone(), (name, pod.running));
                }
            }
            return;
        }
        if let (Task::Discard(image), result) = (&order.task, result) {
            let image = (order.engine, image.clone());
            if result.is_ok() {
                self.clinging.remove(&image);
                self.pulled.remove(&image);
            } else if matches!(result, Err(Failure::Workload(_))) {
                self.clinging.insert(image);
            }
            return;
        }
        if let Ok(Fact::Pulled { fetched, .. } | Fact::Fit { fetched, .. }) = result {
            for PulledImage { image, before } in fetched {
                let image = (order.engine, image.clone());
                if before.is_none() || self.pulled.contains(&image) {
                    self.pulled.insert(image);
                    self.pulled.extend(before.iter().map(|id| (order.engine, id.clone())));
                }
            }
        }
        let Some(id) = about(&order.task).1 else { return };
        let Some(name) = self.catalogue.name(id) else { return };
        if let (Task::Pull(_), Ok(_)) = (&order.task, result) {
            self.updates.fetched(order.ticket, id);
        }
        if matches!(order.task, Task::Start(..) | Task::Look(_) | Task::Remove { .. }) {
            self.accounts[name].last_order[podman_index(order.engine)] = self.newest;
        }
        let is_refused = match result {
            // a port that another workload keeps
            Ok(Fact::Fit { holders, .. }) => holders.iter().any(|(_, holder)| {
                let other = self.catalogue.name(holder).filter(|other| *other != name);
                let spec = other.and_then(|other| self.accounts[other].spec);
                spec.is_some_and(|spec| self.catalogue.id(spec) == holder)
            }),
            result => matches!(result, Err(Failure::Workload(_))),
        };
        if self.accounts[name].spec.is_some_and(|spec| self.catalogue.id(spec) == id) {
            let account = &mut self.accounts[name];
            account.rehearsed |= matches!(order.task, Task::Rehearse { .. }) && result.is_ok() && !is_refused;
            account.rehearsed &= !(matches!(order.task, Task::Start(..)) && is_refused);
        }
        let told = &mut self.engines[podman_index(order.engine)];
        match (&order.task, result) {
            (Task::Probe { container, probe, .. }, result) => {
                self.asked_container(name, order.ticket, container, probe, result);
            }
            // one for an earlier pod of this name comes as it likes
            (Task::Limit { .. }, _) if self.accounts[name].limit != Some(order.ticket) => {
                told.limits.remove(id);
            }
            (Task::Limit { cpu, .. }, Ok(Fact::Limited)) => drop(told.limits.insert(id.clone(), *cpu)),
            (Task::Limit { cpu, .. }, result) => {
                told.limits.remove(id);
                if !matches!(result, Err(Failure::Engine(_))) {
                    self.accounts[name].denied = Some(*cpu);
                }
            }
            (Task::Start(..) | Task::Look(_), Ok(Fact::Pod(pod))) => {
                told.limits.insert(id.clone(), pod.cpu);
                self.stopped.remove(id);
                let runs = pod.containers.iter().any(|it| it.state == ContainerState::Running);
                told.pods.insert(id.clone(), (name, runs));
                if own {
                    self.judged(name, pod, now);
                }
            }
            (Task::Restart { container, .. }, result) => {
                if matches!(result, Ok(Fact::Gone)) {
                    told.pods.remove(id);
                }
                self.restarted_container(name, order, container, own, result, now);
            }
            (Task::End { container, .. }, Err(Failure::Workload(_)))
                if own
                    && (self.accounts[name].killed.contains(container)
                        || !self.accounts[name].ended.contains(container)) =>
            {
                self.accounts[name].sick.insert(container.clone(), Invariant::Probes);
                self.accounts[name].removal_refused = Some(now.up);
            }
            (Task::End { .. } | Task::Cancel(_), _) => {} // what is cancelled tells by its own outcome
            (_, Ok(Fact::Gone)) | (Task::Start(..), Err(_)) => {
                told.pods.remove(id);
                let account = &mut self.accounts[name];
                account.remake = true;
                // the start of a try got lost: the try is still to be made
                account.next_try.may_start |=
                    account.next_try.goes_on && matches!(result, Err(Failure::Engine(_)));
            }
            // a list will tell again
            (Task::Look(_), Err(_)) => {
                told.pods.remove(id);
                self.accounts[name].remake = true;
            }
            // The removal of a sick one that is not to run again may get lost: it is started again then.
            (Task::Remove { .. }, Err(Failure::Engine(_))) => {
                self.meddled.insert(id.clone());
                self.accounts[name].removal_refused = Some(now.up);
            }
            (Task::Remove { .. }, Err(_)) => self.accounts[name].removal_refused = Some(now.up),
            _ => {}
        }
        if own
            && !cancelled
            && matches!(order.task, Task::Start(..) | Task::Pull(_) | Task::Rehearse { .. })
            && is_refused
        {
            self.failed(name, now.up);
        }
    }

    pub(super) fn asked_container(
        &mut self,
        name: usize,
        ticket: Ticket,
        container: &str,
        probe: &probe::Probe,
        result: &Result<Fact, Failure>,
    ) {
        let account = &mut self.accounts[name];
        let key = wishes::probe_key(container, probe);
        let Some((asked, failures)) = account.probes.get_mut(&key) else { return };
        if *asked != Some(ticket) {
            return;
        }
        *asked = None;
        if let (Ok(Fact::Probed { healthy, .. }), false) = (result, key == container) {
            account.ready = match account.ready {
                _ if *healthy => Some(0),
                Some(contrary) if contrary + 1 < probe.failure_threshold => Some(contrary + 1),
                _ => None,
            };
        }
        let (Ok(Fact::Probed { healthy, .. }), true) = (result, key == container) else { return };
        *failures = if *healthy { 0 } else { *failures + 1 };
        // of one that ended meanwhile it is no news
        if *failures >= probe.failure_threshold && !account.ended.contains(container) {
            account.sick.insert(container.to_owned(), Invariant::Probes);
        }
    }

    /// A container was started again, or not; `own`: its pod runs.
    fn restarted_container(
        &mut self,
        name: usize,
        order: &Order,
        container: &str,
        own: bool,
        result: &Result<Fact, Failure>,
        now: Now,
    ) {
        let account = &mut self.accounts[name];
        let (spec, alone) = (account.spec, account.running == 0);
        let missed = account.missed.get_mut(container).filter(|it| it.order == Some(order.ticket));
        let (Some(it), Some(spec)) = (missed, spec) else { return };
        it.order = None;
        match result {
            Ok(Fact::Pod(pod)) if own => {
                it.waits = false;
                let ended =
                    pod.containers.iter().find(|it| it.name == container).and_then(|it| it.state.ended_at());
                if ended != Some(it.at) {
                    account.killed.remove(container); // it ran anew, however briefly
                }
                self.engines[podman_index(order.engine)]
                    .limits
                    .insert(self.catalogue.id(spec).clone(), pod.cpu);
                self.judged(name, pod, now);
            }
            Err(Failure::Workload(_)) if own && alone => {
                it.waits = false; // the pod does
                self.failed(name, now.up);
            }
            Err(Failure::Workload(_)) if own => {
                account.refused.insert(container.to_owned());
                let (shortest, longest) = wait(spec, it.failures);
                it.failures += 1;
                account.uncounted += 1;
                (it.not_before, it.by) = (now.up + shortest, now.up + longest);
            }
            Ok(_) if own => self.failed(name, now.up),
            _ => it.by = now.up, // at once, if it is so
        }
    }

    pub(super) fn judged(&mut self, name: usize, pod: &Pod, now: Now) {
        let account = &mut self.accounts[name];
        (account.denied, account.unjudged) = (None, false);
        account.started.get_or_insert(now.up); // found, and perhaps started by an earlier process
        let runs = |it: &&Container| it.state == ContainerState::Running;
        account.running = pod.containers.iter().filter(runs).count();
        account.ended = pod.containers.iter().filter(|it| !runs(it)).map(|it| it.name.clone()).collect();
        account.probes.retain(|key, _| !account.ended.contains(key.trim_end_matches(wishes::READY)));
        let Some(spec) = account.spec else { return };
        let is_cron = matches!(spec.schedule(), Schedule::Cron(..));
        let is_over = is_cron && spec.restart() != RestartPolicy::OnFailure;
        for (container, _) in
            pod.failed_starts.iter().filter(|(it, _)| !is_over || !account.ended.contains(it))
        {
            match account.ended.contains(container) {
                true => drop(account.refused.insert(container.clone())),
                false => drop(account.sick.insert(container.clone(), Invariant::Hooks)),
            }
        }
        if account.spec.is_some_and(|spec| account.ended.contains(spec.probed())) {
            account.ready = None;
        }
        account.refused.retain(|it| account.ended.contains(it));
        let is_stuck = |it: &Container| {
            matches!(it.state, ContainerState::Stuck(_)) && !account.refused.contains(&it.name)
        };
        let is_wanted_back = |it: &Container, code: i32| match spec.restart() {
            RestartPolicy::Always => !is_cron,
            // (also one that ended before it was ended)
            RestartPolicy::OnFailure => {
                code != 0 || account.killed.contains(&it.name) || account.sick.contains_key(&it.name)
            }
            RestartPolicy::Never => false,
        };
        let main = || pod.containers.iter().filter(|it| !spec.is_sidecar(&it.name));
        let comes_back = |it: &&Container| match it.state {
            ContainerState::Exited { code, .. } => is_wanted_back(it, code),
            _ => false,
        };
        let back: Vec<_> = main().filter(comes_back).collect();
        let goes_on = !account.gives_up(&back)
            && main().any(|it| comes_back(&it) || !matches!(it.state, ContainerState::Exited { .. }));
        let is_torn = pod.torn && goes_on; // what has finished needs no network
        if is_torn || pod.containers.len() < spec.containers() || pod.containers.iter().any(is_stuck) {
            (account.not_before, account.remake) = (Duration::ZERO, true);
            if is_cron {
                let id = self.catalogue.id(spec); // left until its next slot, or until a list tells of it
                self.engines[podman_index(spec.engine())].pods.remove(id);
            }
            return;
        }
        account.pod_since.get_or_insert(now.up);
        account.ends = account.ends.or(spec.deadline().map(|limit| now.up + limit));
        account.lingers = !goes_on && account.running > 0;
        account.remake = !goes_on;
        let wanted_back: BTreeSet<&str> = pod
            .containers
            .iter()
            .filter(|it| match it.state {
                ContainerState::Exited { .. } if spec.is_sidecar(&it.name) => goes_on,
                ContainerState::Exited { code, .. } => goes_on && is_wanted_back(it, code),
                _ => false,
            })
            .map(|it| &*it.name)
            .collect();
        let fell = |it: &Container| {
            let ContainerState::Exited { code, ran, .. } = it.state else { return None };
            let is_bad =
                code != 0 || account.killed.contains(&it.name) || account.sick.contains_key(&it.name);
            let is_back = wanted_back.contains(&*it.name) || spec.is_sidecar(&it.name);
            (is_bad && !is_back).then_some(ran)
        };
        account.lacks = pod.containers.iter().filter_map(fell).min();
        for container in &pod.containers {
            let known = account.missed.get_mut(&container.name);
            let is_stuck = matches!(container.state, ContainerState::Stuck(_));
            if is_stuck && account.refused.contains(&container.name) {
                if known.as_ref().is_some_and(|it| it.order.is_some() || it.waits) {
                    continue;
                }
                let failures = known.map_or(0, |it| it.failures);
                let (shortest, longest) = wait(spec, failures);
                let (not_before, by) = (now.up + shortest, now.up + longest);
                let missed =
                    Missed { at: now.utc, failures: failures + 1, not_before, by, waits: true, order: None };
                account.missed.insert(container.name.clone(), missed);
                continue;
            }
            let ContainerState::Exited { at, ran, .. } = container.state else {
                account.killed.remove(&container.name);
                known.into_iter().for_each(|it| it.waits = false);
                continue;
            };
            if !wanted_back.contains(&*container.name) {
                known.into_iter().for_each(|it| it.waits = false);
                continue;
            }
            if account.sick.remove(&container.name).is_some() {
                account.killed.insert(container.name.clone());
            }
            if known.as_ref().is_some_and(|it| it.order.is_some() || it.waits && it.at == at) {
                continue;
            }
            let is_same = known.as_ref().is_some_and(|it| it.at == at);
            let failures = known.map_or(0, |it| if ran >= Backoff::MAX_DELAY { 0 } else { it.failures });
            let (shortest, longest) = wait(spec, failures);
            let since = now.utc.duration_since(at).unwrap_or_default();
            let from = if is_same { now.up } else { now.up.saturating_sub(since) };
            let (not_before, by) = (from + shortest, from + longest);
            let is_told = !account.killed.contains(&container.name); // by that it is counted
            account.tried += u32::from(is_cron && !is_told && !spec.is_sidecar(&container.name));
            let missed = Missed { at, failures: failures + 1, not_before, by, waits: true, order: None };
            account.missed.insert(container.name.clone(), missed);
        }
    }

    /// The pod as a whole failed.
    pub(super) fn failed(&mut self, name: usize, at: Duration) {
        let account = &mut self.accounts[name];
        account.remake = true;
        if account.pod_since.take().is_some_and(|since| at >= since + Backoff::MAX_DELAY) {
            account.failures = 0;
        }
        let tries = |spec: &Spec| match spec.schedule() {
            Schedule::Cron(..) => account.tried < spec.tries(),
            Schedule::Service(_) => true,
        };
        let tried = account.spec.filter(tries);
        let shortest = tried.map_or(Duration::ZERO, |spec| wait(spec, account.failures).0);
        account.failures += 1;
        account.not_before = at + shortest;
    }
}

/// The shortest and the longest wait after so many failures.
fn wait(spec: Spec, failures: u32) -> (Duration, Duration) {
    match *spec.schedule().backoff() {
        Backoff::Constant(wait) => (wait, wait),
        Backoff::Exponential { initial, multiplier, randomization } => {
            let grown = initial.as_secs_f64() * multiplier.powi(failures.min(1000) as i32);
            (Duration::from_secs_f64(grown.min(300.0) * (1.0 - randomization)), Backoff::MAX_DELAY)
        }
    }
}
