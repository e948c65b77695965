//! When each engine is asked for its list of pods, and whether it answers.

use std::time::Duration;

use super::model::{
    call::MAX_PERIOD, gather::gather, order::Ticket, report::EngineState, time::Wake, vec_map::VecMap,
    workload::Engine,
};

/// Between two full looks at an engine, unless the server asks for another time.
pub const DEFAULT_LIST_INTERVAL: Duration = Duration::from_secs(60);
/// How long an engine that doesn't answer is left alone, at most.
const MAX_ENGINE_BACKOFF: Duration = Duration::from_secs(30);
/// A full look costs the engine far more than the agent.
const MIN_LIST_INTERVAL: Duration = Duration::from_secs(10);

/// The engines of this device.
#[derive(Debug)]
pub(super) struct Engines {
    /// Between two full looks.
    interval: Duration,
    /// The same, where no server says otherwise.
    own_interval: Duration,
    states: VecMap<Engine, EngineContact>,
}

#[derive(Debug, Default)]
struct EngineContact {
    /// It has told which pods there are, and nothing went wrong since.
    ready: bool,
    /// It has answered, or failed to.
    heard: bool,
    /// It was told to people that it doesn't answer.
    missed: bool,
    /// Why it doesn't.
    cause: String,
    /// In a row.
    failures: u32,
    listing: Option<Ticket>,
    /// The list under way was asked for before something went wrong, and tells nothing any more.
    void: bool,
    /// It is gone and not needed, and is forgotten once that list is over.
    unused: bool,
    list_at: Duration,
}

impl Engines {
    pub(super) fn new(engines: &[Engine], interval: Duration) -> Self {
        let states = gather(engines.iter().map(|engine| (*engine, EngineContact::default())));
        Self { interval, own_interval: interval, states }
    }

    /// Between two full looks from now on: what a server asks for, or the agent's own.
    pub(super) fn set_interval(&mut self, asked: Option<Duration>, now: Duration) {
        self.interval = asked.map_or(self.own_interval, |asked| asked.clamp(MIN_LIST_INTERVAL, MAX_PERIOD));
        for state in self.states.values_mut() {
            state.list_at = state.list_at.min(now.saturating_add(self.interval));
        }
    }

    /// Whether it may be given orders.
    pub(super) fn is_ready(&self, engine: Engine) -> bool {
        self.states.get(&engine).is_some_and(|state| state.ready)
    }

    /// All that are used.
    pub(super) fn all(&self) -> Vec<Engine> {
        self.states.iter().map(|(engine, _)| *engine).collect()
    }

    /// Whether a podman has neither told which pods there are, nor failed to. One that has gone is not waited for.
    pub(super) fn awaits_a_podman(&self) -> bool {
        let awaits = |state: &EngineContact| !state.heard && !state.unused;
        self.states.iter().any(|(engine, state)| *engine != Engine::Kubernetes && awaits(state))
    }

    /// The engines that don't answer.
    pub(super) fn missing(&self) -> impl Iterator<Item = Engine> + '_ {
        self.states.iter().filter(|(_, state)| state.missed).map(|(engine, _)| *engine)
    }

    /// For people.
    pub(super) fn engine_states(&self) -> Vec<EngineState> {
        let shown = |(engine, state): (&Engine, &EngineContact)| {
            let cause = (!state.ready && state.heard).then(|| state.cause.clone());
            EngineState { name: engine.to_string(), ready: state.ready, cause }
        };
        self.states.iter().map(shown).collect()
    }

    /// Why it can't be given orders; none: it can.
    pub(super) fn unready_reason(&self, engine: Engine) -> Option<String> {
        match self.states.get(&engine) {
            Some(state) if state.ready => None,
            Some(state) if state.heard => Some(format!("{engine} doesn't answer: {}", state.cause)),
            _ => Some(format!("{engine} has not answered yet")),
        }
    }

    /// It could not be asked: a list comes before anything else. Answers whether that is news.
    pub(super) fn mark_lost(&mut self, engine: Engine, cause: &str, now: Duration) -> bool {
        let Some(state) = self.states.get_mut(&engine) else { return false };
        cause.clone_into(&mut state.cause);
        (state.ready, state.heard) = (false, true);
        state.void = state.listing.is_some();
        let wait = match state.failures {
            0 => Duration::ZERO,
            many => Duration::from_secs(1 << (many - 1).min(5)).min(MAX_ENGINE_BACKOFF),
        };
        state.failures = state.failures.saturating_add(1);
        state.list_at = now + wait;
        // Once may be a restart of its service: the list that follows at once tells.
        let news = state.failures > 1 && !state.missed;
        state.missed |= news;
        news
    }

    /// It is used from now on.
    pub(super) fn add(&mut self, engine: Engine, now: Duration) {
        match self.states.get_mut(&engine) {
            Some(state) => state.unused = false,
            None => {
                self.states.insert(engine, EngineContact { list_at: now, ..EngineContact::default() });
            }
        }
    }

    /// It is gone, and nothing needs it.
    pub(super) fn remove(&mut self, engine: Engine) {
        match self.states.get_mut(&engine) {
            Some(state) if state.listing.is_some() => state.unused = true,
            _ => drop(self.states.remove(&engine)),
        }
    }

    /// A full look is wanted now.
    pub(super) fn request_list(&mut self, engine: Engine, now: Duration) {
        if let Some(state) = self.states.get_mut(&engine) {
            state.list_at = now;
        }
    }

    /// The outcome of a list has come. Answers whether it tells anything.
    pub(super) fn end_list(&mut self, engine: Engine, ticket: Ticket) -> bool {
        let Some(state) = self.states.get_mut(&engine) else { return false };
        if state.listing != Some(ticket) {
            return false;
        }
        if state.unused {
            self.states.remove(&engine);
            return false;
        }
        state.listing = None;
        !std::mem::take(&mut state.void)
    }

    /// The list was whole. Answers whether the engine had been missed.
    pub(super) fn mark_answered(&mut self, engine: Engine, now: Duration) -> bool {
        let Some(state) = self.states.get_mut(&engine) else { return false };
        if state.ready {
            state.failures = 0; // and not earlier: orders may fail although lists don't
        }
        (state.ready, state.heard) = (true, true);
        state.list_at = now.saturating_add(self.interval);
        std::mem::take(&mut state.missed)
    }

    /// The engines to ask now; [`mark_list_ordered`](Self::mark_list_ordered) must follow for each.
    pub(super) fn engines_to_list(&self, now: Duration) -> Vec<Engine> {
        let due = |state: &EngineContact| state.listing.is_none() && state.list_at <= now;
        self.states.iter().filter(|(_, state)| due(state)).map(|(engine, _)| *engine).collect()
    }

    pub(super) fn mark_list_ordered(&mut self, engine: Engine, ticket: Ticket) {
        if let Some(state) = self.states.get_mut(&engine) {
            state.listing = Some(ticket);
        }
    }

    /// When the next list is due.
    pub(super) fn next_wake(&self) -> Wake {
        let waiting = self.states.iter().filter(|(_, state)| state.listing.is_none());
        waiting.map(|(_, state)| Wake::At(state.list_at)).min().unwrap_or(Wake::Never)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODMAN: Engine = Engine::Podman { rootless: false };
    const S: Duration = Duration::from_secs(1);

    #[test]
    fn one_failure_is_looked_into_at_once_and_a_second_is_told_once() {
        let mut engines = Engines::new(&[PODMAN], 60 * S);
        assert!(!engines.mark_answered(PODMAN, S));
        assert!(!engines.mark_lost(PODMAN, "", 10 * S));
        assert_eq!((engines.is_ready(PODMAN), engines.next_wake()), (false, Wake::At(10 * S)));
        assert!(engines.mark_lost(PODMAN, "", 10 * S));
        assert!(!engines.mark_lost(PODMAN, "", 11 * S));
        assert_eq!(engines.missing().collect::<Vec<_>>(), [PODMAN]);
        assert!(engines.mark_answered(PODMAN, 12 * S));
        assert!(engines.is_ready(PODMAN));
    }

    #[test]
    fn an_engine_that_stays_away_is_asked_ever_less_often_but_every_30_s() {
        let mut engines = Engines::new(&[PODMAN], 60 * S);
        let waits: Vec<_> = (0..9)
            .map(|_| {
                engines.mark_lost(PODMAN, "", Duration::ZERO);
                let Wake::At(at) = engines.next_wake() else { panic!() };
                at.as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_list_is_asked_for_once_per_interval() {
        let mut engines = Engines::new(&[PODMAN], 60 * S);
        assert_eq!(engines.engines_to_list(Duration::ZERO), [PODMAN]);
        engines.mark_list_ordered(PODMAN, Ticket(1));
        assert_eq!((engines.engines_to_list(S), engines.next_wake()), (vec![], Wake::Never));
        assert!(engines.end_list(PODMAN, Ticket(1)));
        engines.mark_answered(PODMAN, 2 * S);
        assert_eq!(engines.next_wake(), Wake::At(62 * S));
    }

    #[test]
    fn an_interval_of_years_is_cut_to_a_day() {
        let mut engines = Engines::new(&[PODMAN], 60 * S);
        engines.set_interval(Some(Duration::MAX), S);
        engines.mark_answered(PODMAN, S);
        assert_eq!(engines.next_wake(), Wake::At(S + MAX_PERIOD));
    }

    #[test]
    fn an_engine_that_goes_and_comes_back_is_asked_for_one_list_at_a_time() {
        let mut engines = Engines::new(&[PODMAN], 60 * S);
        engines.mark_list_ordered(PODMAN, Ticket(1));
        engines.remove(PODMAN);
        engines.add(PODMAN, S);
        assert_eq!(engines.engines_to_list(S), []);
        assert!(engines.end_list(PODMAN, Ticket(1)));
        engines.mark_list_ordered(PODMAN, Ticket(2));
        engines.remove(PODMAN);
        assert!(!engines.end_list(PODMAN, Ticket(2)));
        assert_eq!(engines.all(), []);
    }

    #[test]
    fn a_list_asked_for_before_a_failure_tells_nothing() {
        let mut engines = Engines::new(&[PODMAN], 60 * S);
        engines.mark_list_ordered(PODMAN, Ticket(1));
        engines.mark_lost(PODMAN, "", S);
        assert!(!engines.end_list(PODMAN, Ticket(1)));
        assert_eq!(engines.engines_to_list(S), [PODMAN]);
    }
}
