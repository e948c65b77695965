//! The device's profiles: which of their conditions hold, given the newest value of each metric.
//!
//! A metric leads to the conditions that mention it, so that a post costs what it touches and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error, fmt, mem,
    sync::Arc,
    time::Duration,
};

use hysteresis::Hysteresis;

use super::{
    expression::{Expression, ExpressionError, MetricIndex, NIL},
    model::{
        event::Sample,
        hysteresis::HysteresisState,
        time::Wake,
        workload::{self, Profile},
    },
};

pub(super) mod built_in_metrics;
mod devices;
mod hardware;
pub(super) mod hysteresis;
mod known;
mod local_time;
mod memory;
#[cfg(test)]
mod tests;
mod times;

/// Names a condition until the next [`Conditions::define`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConditionId(pub(super) u32);

impl ConditionId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// The metrics, and the conditions over them.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// How old a value may get; without it, any age.
    pub(super) ttl: Option<Duration>,
    /// Every metric that has a value or that a condition mentions; hashed, since each post looks one up.
    pub(super) metrics: HashMap<Arc<str>, Metric>,
    /// With a time to live: when each value was posted, oldest first.
    pub(super) ages: BTreeSet<(Duration, Arc<str>)>,
    /// By index, and only for what conditions mention: the value, NaN for nil.
    pub(super) values: Vec<f64>,
    /// By index: whom to ask again when the value changes.
    pub(super) mentions: Vec<Vec<ConditionId>>,
    /// By id.
    pub(super) conditions: Vec<Condition>,
    pub(super) ids: BTreeMap<Arc<str>, BTreeMap<Arc<str>, ConditionId>>,
    /// Waiting to be asked again, each once; kept for its memory.
    pub(super) touched: Vec<ConditionId>,
    /// The workloads that conditions ask for, and by which names.
    workloads: BTreeMap<Arc<str>, built_in_metrics::WorkloadMetricRefs>,
    /// What is to be kept has changed.
    has_news: bool,
    /// Of the device's time, if a condition asks for it.
    hours: Option<local_time::LocalTimeValidity>,
    /// Of the device's hardware, what conditions ask for.
    hardware: hardware::HardwarePoll,
    /// When conditions are to be asked again although no metric changes.
    timers: BTreeSet<(Duration, ConditionId)>,
    /// What conditions remember that aren't defined now.
    remembered: Vec<HysteresisState>,
    /// What they remember has changed.
    has_lasting_news: bool,
    #[cfg(test)]
    pub(super) evaluations: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Metric {
    /// NaN for nil.
    pub(super) value: f64,
    /// Since boot.
    pub(super) posted: Duration,
    /// Where the conditions look for it, if one mentions it.
    pub(super) index: Option<MetricIndex>,
}

/// A condition that the device defines.
#[derive(Debug)]
pub(super) struct Condition {
    /// The profile it belongs to.
    pub profile: Arc<str>,
    /// Its name in the profile.
    pub name: Arc<str>,
    /// Its expression; with an error it never holds.
    pub expression: Result<Expression, ExpressionError>,
    /// What else makes it true, and no more.
    pub(super) lasting: Option<Box<Hysteresis>>,
    /// Whether it holds now.
    pub holds: bool,
    pub(super) is_touched: bool,
}

impl Conditions {
    /// No metrics and no conditions yet. A metric that was posted `ttl` ago is nil again; without it, never.
    pub(super) fn new(ttl: Option<Duration>) -> Self {
        Self { ttl, ..Self::default() }
    }

    /// Replaces what was defined before, and evaluates all of it once. Metrics keep their values, those too
    /// that nothing mentioned until now. All [`ConditionId`]s from before are void.
    ///
    /// What can't be used is told: a condition whose expression doesn't parse never holds, and of two with the
    /// same name the first counts.
    pub(super) fn define(&mut self, profiles: &[Profile], now: Duration) -> Vec<DefinitionError> {
        self.expire(now, &mut Vec::new());
        self.remembered = self.all_hysteresis_states();
        self.timers.clear();
        self.metrics.retain(|_, metric| {
            metric.index = None;
            !metric.value.is_nan()
        });
        self.values.clear();
        self.mentions.clear();
        self.conditions.clear();
        self.ids.clear();

        let mut errors = Vec::new();
        for profile in profiles {
            let profile_name: Arc<str> = profile.name.as_str().into();
            if self.ids.contains_key(&profile_name) {
                errors.push(DefinitionError::Profile(profile_name));
                continue;
            }
            let mut ids = BTreeMap::new();
            for condition in &profile.conditions {
                let name: Arc<str> = condition.name.as_str().into();
                if ids.contains_key(&name) {
                    errors.push(DefinitionError::Name(profile_name.clone(), name));
                    continue;
                }
                let id = self.add(profile_name.clone(), name.clone(), condition, now);
                if let Err(error) = &self.conditions[id.index()].expression {
                    let names = (profile_name.clone(), name.clone());
                    errors.push(DefinitionError::Expression(names.0, names.1, error.clone()));
                }
                ids.insert(name, id);
            }
            self.ids.insert(profile_name, ids);
        }
        self.collect_referenced_workloads();
        self.collect_referenced_hardware(now);
        errors
    }

    fn add(
        &mut self,
        profile: Arc<str>,
        name: Arc<str>,
        condition: &workload::Condition,
        now: Duration,
    ) -> ConditionId {
        let index =
            &mut |metric: &str| index_of(&mut self.metrics, &mut self.values, &mut self.mentions, metric);
        let mut expression = Expression::compile(&condition.expression, index);
        let lasting = Hysteresis::new(condition, index).unwrap_or_else(|error| {
            expression = Err(error);
            None
        });
        let id = ConditionId(u32::try_from(self.conditions.len()).unwrap_or(u32::MAX));
        let until = lasting.iter().filter_map(|it| it.until.as_ref());
        for MetricIndex(index) in expression.iter().chain(until).flat_map(Expression::metrics) {
            self.mentions[*index as usize].push(id);
        }
        let is_touched = false;
        self.conditions.push(Condition { profile, name, expression, lasting, holds: false, is_touched });
        self.resume_hysteresis(id);
        self.evaluate(id, now);
        id
    }

    /// Takes in what was posted, oldest first, and pushes each condition that holds now and didn't, or the
    /// other way round. Only conditions that mention a metric whose value changed are looked at, once each.
    pub(super) fn set(&mut self, samples: &[Sample], now: Duration, changed: &mut Vec<ConditionId>) {
        for sample in samples {
            self.put(&sample.name, sample.value.unwrap_or(NIL), now);
        }
        self.evaluate_touched(now, changed);
    }

    /// Makes metrics nil that are too old by now, and conditions true whose expressions were for long enough; pushes
    /// like [`set`](Self::set).
    pub(super) fn expire(&mut self, now: Duration, changed: &mut Vec<ConditionId>) {
        while matches!(self.next_metric_expiry(), Wake::At(at) if at <= now) {
            let Some((_, name)) = self.ages.pop_first() else { break };
            self.put(&name, NIL, now);
        }
        self.touch_due(now);
        self.evaluate_touched(now, changed);
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(super) fn next_expiry(&self) -> Wake {
        self.timers.first().map_or(Wake::Never, |(at, _)| Wake::At(*at)).earlier(self.next_metric_expiry())
    }

    /// When the next metric is too old.
    fn next_metric_expiry(&self) -> Wake {
        match (self.ttl, self.ages.first()) {
            (Some(ttl), Some((posted, _))) => Wake::At(posted.saturating_add(ttl)),
            _ => Wake::Never,
        }
    }

    /// The condition with exactly this name in the profile with exactly this name.
    pub(super) fn find(&self, profile: &str, condition: &str) -> Option<ConditionId> {
        self.ids.get(profile)?.get(condition).copied()
    }

    /// What the condition compares; none: it can't be read.
    pub(super) fn expression(&self, id: ConditionId) -> Option<&Expression> {
        self.conditions.get(id.index())?.expression.as_ref().ok()
    }

    /// Whether the condition holds.
    pub(super) fn holds(&self, id: ConditionId) -> bool {
        self.conditions.get(id.index()).is_some_and(|condition| condition.holds)
    }

    /// Stores a value, and touches the conditions that it may change.
    fn put(&mut self, name: &str, value: f64, now: Duration) {
        let ages = self.ttl.is_some() && !built_in_metrics::is_built_in_metric(name);
        if let (true, Some((name, metric))) = (ages, self.metrics.get_key_value(name)) {
            self.ages.remove(&(metric.posted, name.clone()));
            if !value.is_nan() {
                self.ages.insert((now, name.clone()));
            }
        }
        let Some(metric) = self.metrics.get_mut(name) else {
            // how many there may be is decided where they are acknowledged: what was counts here
            if !value.is_nan() {
                let name: Arc<str> = name.into();
                self.ages.extend(ages.then(|| (now, name.clone())));
                self.metrics.insert(name, Metric { value, posted: now, index: None });
            }
            return;
        };
        let before = mem::replace(&mut metric.value, value);
        metric.posted = now;
        let Some(MetricIndex(index)) = metric.index else {
            if value.is_nan() {
                self.metrics.remove(name);
            }
            return;
        };
        if !is_same(value, before) {
            self.values[index as usize] = value;
            for id in &self.mentions[index as usize] {
                let condition = &mut self.conditions[id.index()];
                if !mem::replace(&mut condition.is_touched, true) {
                    self.touched.push(*id);
                }
            }
        }
    }

    fn evaluate_touched(&mut self, now: Duration, changed: &mut Vec<ConditionId>) {
        let mut touched = mem::take(&mut self.touched);
        for id in touched.drain(..) {
            if self.evaluate(id, now) {
                changed.push(id);
            }
        }
        self.touched = touched;
    }

    /// Says whether it holds now and didn't, or the other way round.
    fn evaluate(&mut self, id: ConditionId, now: Duration) -> bool {
        #[cfg(test)]
        (self.evaluations += 1);
        let condition = &mut self.conditions[id.index()];
        condition.is_touched = false;
        let is_true = condition.expression.as_ref().is_ok_and(|expression| expression.holds(&self.values));
        let holds =
            if condition.lasting.is_some() { self.evaluate_hysteresis(id, is_true, now) } else { is_true };
        mem::replace(&mut self.conditions[id.index()].holds, holds) != holds
    }
}

/// Whether two values are the same, nil too.
fn is_same(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan()
}

/// Where conditions find the metric; a new place if none mentioned it before.
fn index_of(
    metrics: &mut HashMap<Arc<str>, Metric>,
    values: &mut Vec<f64>,
    mentions: &mut Vec<Vec<ConditionId>>,
    name: &str,
) -> MetricIndex {
    let unset = Metric { value: NIL, posted: Duration::ZERO, index: None };
    let metric = metrics.entry(name.into()).or_insert(unset);
    *metric.index.get_or_insert_with(|| {
        values.push(metric.value);
        mentions.push(Vec::new());
        MetricIndex(u32::try_from(values.len() - 1).unwrap_or(u32::MAX))
    })
}

/// What can't be used of a definition. Names the profile and, but for the first, the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DefinitionError {
    /// There is another profile of this name before it.
    Profile(Arc<str>),
    /// There is another condition of this name before it.
    Name(Arc<str>, Arc<str>),
    /// The expression doesn't parse.
    Expression(Arc<str>, Arc<str>, ExpressionError),
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(profile) => {
                write!(f, "the device defines the profile '{profile}' twice: only the first one counts")
            }
            Self::Name(profile, name) => {
                write!(
                    f,
                    "the profile '{profile}' defines the condition '{name}' twice: only the first one counts"
                )
            }
            Self::Expression(profile, name, error) => {
                write!(f, "failed to read the condition '{name}' of the profile '{profile}': {error}")
            }
        }
    }
}

impl error::Error for DefinitionError {}
