//! What may be wanted of the device: a few names, several contents of each, all schedules and conditions; and an
//! account, apart from the agent's, of what the sources have said and of which conditions hold.

use super::*;

pub(super) const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// How many contents, schedules, conditions and definitions of the device's profiles there are.
pub(super) const CONTENTS: usize = 4;
pub(super) const SCHEDULES: usize = 6;
pub(super) const CONDITIONS: usize = 8;
pub(super) const DEFINITIONS: usize = 4;

/// How long an update waits at most, where there is a limit.
pub(super) const DEADLINE: Duration = Duration::from_secs(600);
/// How long windows are, which begin every ten minutes.
const OPEN: Duration = Duration::from_secs(240);

/// An image that need not be pulled.
pub(super) const BUILT_IN: &str = "built-in";

/// A profile, and for each of its conditions that count the CPU limit that it gives.
type Conditioned = (&'static str, &'static [(&'static str, Option<u64>)]);

fn probe(period: u32, failure_threshold: u32, delay: u32) -> Arc<probe::Probe> {
    Arc::new(probe::Probe {
        check: probe::Check::Exec(vec!["well".into()]),
        initial_delay: S * delay,
        period: S * period,
        timeout: S,
        failure_threshold,
        success_threshold: 1,
    })
}

/// A probe that leads to nothing.
fn ready(period: u32, failure_threshold: u32) -> Arc<probe::Probe> {
    let check = probe::Check::Exec(vec!["ready".into()]);
    Arc::new(probe::Probe { check, ..Arc::unwrap_or_clone(probe(period, failure_threshold, 0)) })
}

/// By what an account knows the probe of this container: readiness is asked for beside the others.
pub(super) fn probe_key(container: &str, probe: &probe::Probe) -> String {
    let is_readiness = matches!(&probe.check, probe::Check::Exec(command) if command[0] == "ready");
    format!("{container}{}", if is_readiness { READY } else { "" })
}

pub(super) const READY: &str = " is ready";

/// A workload, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Spec {
    /// Into [`NAMES`].
    pub(super) name: usize,
    /// Part of the content, as the next one: another makes another id.
    pub(super) content: usize,
    pub(super) rootless: bool,
    pub(super) schedule: usize,
    pub(super) condition: usize,
}

impl Spec {
    pub(super) fn engine(self) -> Engine {
        Engine::Podman { rootless: self.rootless }
    }

    pub(super) fn containers(self) -> usize {
        [1, 2, 2, 2][self.content]
    }

    pub(super) fn restart(self) -> RestartPolicy {
        let on_failure = RestartPolicy::OnFailure;
        [RestartPolicy::Always, on_failure, RestartPolicy::Never, on_failure][self.content]
    }

    /// Whether the container is there for the others, and goes with them.
    pub(super) fn is_sidecar(self, container: &str) -> bool {
        self.content == 3 && container == "a"
    }

    /// Whether it runs although one of its containers can't be started.
    pub(super) fn may_start_partly(self) -> bool {
        let is_main = |name: &char| !self.is_sidecar(&name.to_string());
        let is_service = matches!(self.schedule(), Schedule::Service(_));
        is_service && ('a'..).take(self.containers()).filter(is_main).count() > 1
    }

    /// How long its pod may be active.
    pub(super) fn deadline(self) -> Option<Duration> {
        (self.content == 3).then_some(500 * S)
    }

    /// How often a run of it that failed is tried again; `None`: as often as it takes, or never.
    pub(super) fn retries(self) -> Option<u32> {
        (self.schedule == 5).then_some(2)
    }

    /// How often at most what fails in a run of a slot is tried again.
    pub(super) fn tries(self) -> u32 {
        let endless = self.restart() == RestartPolicy::OnFailure;
        self.retries().unwrap_or(if endless { u32::MAX } else { 0 })
    }

    pub(super) fn schedule(self) -> Schedule {
        let exponential = |initial: u32, multiplier, randomization| {
            Schedule::Service(Backoff::Exponential { initial: S * initial, multiplier, randomization })
        };
        let cron = |text| Schedule::Cron(schedule::Cron::parse(text).unwrap(), Backoff::Constant(S * 7));
        match self.schedule {
            0 => Schedule::default(),
            1 => Schedule::Service(Backoff::Constant(3 * S)),
            2 => exponential(2, 2.0, 0.1),
            3 => exponential(20, 3.0, 0.5),
            4 => cron("*/2 * * * *"),
            _ => cron("1-59/5 * * * *"),
        }
    }

    /// For each profile, the conditions of which one must hold, and the CPU limit that each gives.
    pub(super) fn conditions(self) -> &'static [Conditioned] {
        match self.condition {
            0 | 1 | 7 => &[],
            2 => &[("p", &[("low", None)])],
            3 => &[("p", &[("hot", Some(50_000))])],
            4 => &[("p", &[("hot", Some(20_000)), ("low", None)])],
            5 => &[("p", &[("low", Some(80_000))]), ("q", &[("cool", Some(30_000))])],
            _ => &[("p", &[("missing", None)])],
        }
    }

    /// What an update of it waits for: an expression and a deadline, a window, or nothing.
    pub(super) fn update(self) -> Option<update::UpdateRules> {
        match self.condition {
            1 => Some(update::UpdateRules {
                when: Some("heat == nil || heat < 5".into()),
                deadline: Some(DEADLINE),
                ..Default::default()
            }),
            3 | 5 => {
                let cron = schedule::Cron::parse("*/10 * * * *").unwrap();
                let window = Some(update::Window { cron, duration: OPEN });
                Some(update::UpdateRules { window, ..Default::default() })
            }
            _ => None,
        }
    }

    /// Whether that allows an update now.
    pub(super) fn may_be_updated(self, metrics: &Metrics, now: Now) -> bool {
        match self.condition {
            1 => metrics.heat.is_none_or(|(heat, _)| heat < 5.0),
            3 | 5 => {
                let since_slot =
                    now.utc.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() % (S * 600).as_nanos();
                since_slot < OPEN.as_nanos()
            }
            _ => true,
        }
    }

    /// The name of what must be ready before it is started.
    pub(super) fn depends_on(self) -> Option<usize> {
        let is_service = matches!(self.schedule(), Schedule::Service(_));
        (self.condition == 7 && is_service && self.name + 1 < NAMES.len()).then_some(self.name + 1)
    }

    /// Of each container; some serve several workloads, and [`BUILT_IN`] is on the device from the beginning.
    pub(super) fn images(self) -> &'static [&'static str] {
        match (self.content, self.name % 2) {
            (0, _) => &[BUILT_IN],
            (1 | 3, _) => &["one", BUILT_IN],
            (_, 0) => &["two", "three"],
            _ => &["two", "four"],
        }
    }

    /// The container that is asked whether it is well.
    pub(super) fn probed(self) -> &'static str {
        ["a", "a", "b", "b"][self.content]
    }

    pub(super) fn is_asked_whether_ready(self) -> bool {
        self.content == 1
    }

    /// By its specification; the last content's image brings its own.
    fn probes(self) -> Vec<probe::Probes> {
        let (startup, liveness) = match self.content {
            0 | 3 => (None, probe(30, 2, 0)),
            1 => (Some(probe(5, 3, 0)), probe(30, 1, 20)),
            _ => return Vec::new(),
        };
        let readiness = self.is_asked_whether_ready().then(|| ready(20, 2));
        vec![probe::Probes { container: self.probed().into(), startup, liveness: Some(liveness), readiness }]
    }

    /// What the image of its last container asks for.
    pub(super) fn healthcheck(self, container: &str) -> Option<Arc<probe::Probe>> {
        (self.content == 2 && container == self.probed()).then(|| probe(30, 3, 0))
    }

    fn workload(self) -> Workload {
        let mut content = workload(NAMES[self.name], self.containers()).content;
        content.engine = self.engine();
        content.labels = vec![("content".into(), self.content.to_string())];
        for (at, image) in self.images().iter().enumerate() {
            content.specification.edit(|it| it["containers"][at]["image"] = (*image).into());
        }
        if self.content == 3 {
            content.specification.edit(|it| {
                let mut sidecar = it["containers"].as_array_mut().unwrap().remove(0);
                sidecar["restartPolicy"] = "Always".into();
                it["initContainers"] = vec![sidecar].into();
            });
        }
        let listed = |(profile, conditions): &Conditioned| ListedProfile {
            name: (*profile).into(),
            conditions: conditions
                .iter()
                .map(|(name, cpu)| ListedCondition { name: (*name).into(), cpu: *cpu })
                .collect(),
        };
        Workload {
            restart: self.restart(),
            schedule: self.schedule(),
            grace: S * [1, 10, 30, 5][self.content],
            deadline: self.deadline(),
            retries: self.retries(),
            profiles: self.conditions().iter().map(listed).collect(),
            depends_on: self.depends_on().map(|name| NAMES[name].into()).into_iter().collect(),
            probes: self.probes(),
            update: self.update().map(Box::new),
            ..Workload::new(content)
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' ({:?}", NAMES[self.name], self.restart())?;
        if self.rootless {
            write!(f, ", rootless")?;
        }
        if let Some(limit) = self.deadline() {
            write!(f, ", with a sidecar, for {limit:?}")?;
        }
        match self.schedule() {
            Schedule::Cron(cron, _) => write!(f, ", at {cron}, tried again {} times", self.tries())?,
            Schedule::Service(Backoff::Constant(wait)) => write!(f, ", retried after {wait:?}")?,
            Schedule::Service(Backoff::Exponential { initial, multiplier, .. }) => {
                write!(f, ", retried after {initial:?} and {multiplier} times that")?;
            }
        }
        if let Some(name) = self.depends_on() {
            write!(f, ", after '{}'", NAMES[name])?;
        }
        for (profile, conditions) in self.conditions() {
            let listed = conditions.iter().map(|(name, cpu)| match cpu {
                Some(cpu) => format!("{name} ({cpu} µs)"),
                None => (*name).to_string(),
            });
            write!(f, ", while {profile}: {}", listed.collect::<Vec<_>>().join(" or "))?;
        }
        if let Some(rules) = self.update() {
            write!(f, ", updated when {:?}, in a window: {}", rules.when, rules.window.is_some())?;
        }
        write!(f, ")")
    }
}

/// All workloads that can be wanted, each made once.
pub(super) struct Catalogue {
    workloads: BTreeMap<Spec, Arc<Workload>>,
    /// Whose pods these are.
    ids: BTreeMap<WorkloadId, Spec>,
}

impl Catalogue {
    pub(super) fn new() -> Self {
        let mut new = Self { workloads: BTreeMap::new(), ids: BTreeMap::new() };
        for (name, content, rootless) in (0..NAMES.len()).flat_map(|name| {
            (0..CONTENTS).flat_map(move |content| [false, true].map(|it| (name, content, it)))
        }) {
            for (schedule, condition) in
                (0..SCHEDULES).flat_map(|it| (0..CONDITIONS).map(move |condition| (it, condition)))
            {
                let spec = Spec { name, content, rootless, schedule, condition };
                let workload = Arc::new(spec.workload());
                new.ids.insert(workload.id.clone(), spec);
                new.workloads.insert(spec, workload);
            }
        }
        new
    }

    pub(super) fn workload(&self, spec: Spec) -> &Arc<Workload> {
        &self.workloads[&spec]
    }

    pub(super) fn id(&self, spec: Spec) -> &WorkloadId {
        &self.workloads[&spec].id
    }

    /// What has this id, on some schedule and with some condition.
    pub(super) fn of(&self, id: &WorkloadId) -> Option<Spec> {
        self.ids.get(id).copied()
    }

    /// The index of the name whose pods have this id, if one does.
    pub(super) fn name(&self, id: &WorkloadId) -> Option<usize> {
        self.ids.get(id).map(|spec| spec.name)
    }

    /// What a source says.
    pub(super) fn desired(&self, wishes: &Wishes) -> DesiredState {
        DesiredState {
            profiles: profiles(wishes.definition),
            update: None,
            workloads: wishes.workloads.iter().map(|spec| self.workload(*spec).clone()).collect(),
            unreadable: wishes.unreadable.iter().map(|name| NAMES[*name].to_string()).collect(),
            elsewhere: Vec::new(),
            partial: wishes.partial,
        }
    }
}

/// What one source wants.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Wishes {
    /// Names are unique.
    pub(super) workloads: Vec<Spec>,
    /// Indices of names that can't be understood.
    pub(super) unreadable: Vec<usize>,
    pub(super) partial: bool,
    /// Which of [`DEFINED`] the profiles are.
    pub(super) definition: usize,
}

impl fmt::Display for Wishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let specs: Vec<_> = self.workloads.iter().map(ToString::to_string).collect();
        let specs = if specs.is_empty() { "nothing".into() } else { specs.join(", ") };
        write!(f, "{specs}; profiles {:?}", conditions(self.definition).collect::<Vec<_>>())?;
        for name in &self.unreadable {
            write!(f, "; what it says of '{}' can't be understood", NAMES[*name])?;
        }
        if self.partial {
            write!(f, "; a part can't be read")?;
        }
        Ok(())
    }
}

/// The newest values of the two metrics, and when they were posted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Metrics {
    pub(super) x: Option<(f64, Duration)>,
    pub(super) heat: Option<(f64, Duration)>,
    /// Which of the conditions that remember are true: by their number.
    pub(super) held: [bool; REMEMBERING],
}

type Holds = fn(x: Option<f64>, heat: Option<f64>) -> bool;

/// How many conditions remember something.
pub(super) const REMEMBERING: usize = 3;

/// Of a condition that does, in whichever definition it is: how long its expression must be true, and what ends it.
pub(super) struct Remembering {
    pub(super) definition: usize,
    names: (&'static str, &'static str),
    pub(super) hold: Duration,
    until: Option<(&'static str, Holds)>,
}

pub(super) const REMEMBERED: [Remembering; REMEMBERING] = [
    Remembering {
        definition: 1,
        names: ("p", "low"),
        hold: Duration::ZERO,
        until: Some(("x > 100", |x, _| x.is_some_and(|x| x > 100.0))),
    },
    Remembering { definition: 2, names: ("q", "cool"), hold: Duration::from_secs(20), until: None },
    Remembering {
        definition: 2,
        names: ("p", "hot"),
        hold: Duration::from_secs(5),
        until: Some(("heat < 3", |_, heat| heat.is_some_and(|heat| heat < 3.0))),
    },
];

impl Remembering {
    fn of(definition: usize, names: (&str, &str)) -> Option<usize> {
        REMEMBERED.iter().position(|it| it.definition == definition && it.names == names)
    }

    pub(super) fn profile(&self) -> &'static str {
        self.names.0
    }

    /// Whether its expression is true, and whether it is ended.
    pub(super) fn judge(&self, metrics: &Metrics) -> (bool, Option<bool>) {
        let (x, heat) = (metrics.x.map(|it| it.0), metrics.heat.map(|it| it.0));
        let is_it = |it: &&(_, _, _, Holds)| (it.0, it.1) == self.names;
        let holds = DEFINED[self.definition].iter().find(is_it).is_some_and(|it| (it.3)(x, heat));
        (holds, self.until.map(|(_, ends)| ends(x, heat)))
    }
}

/// Profile, condition, its expression, and what that means: written down twice, so that one can be wrong.
const DEFINED: [&[(&str, &str, &str, Holds)]; DEFINITIONS] = [
    &[
        ("p", "low", "x<3% || x == nil", |x, _| x.is_none_or(|x| x < 3.0)),
        ("p", "hot", "heat > 1", |_, heat| heat.is_some_and(|heat| heat > 1.0)),
        ("q", "cool", "heat <= 5 && x != 9", |x, heat| {
            heat.is_some_and(|heat| heat <= 5.0) && x.is_some_and(|x| x != 9.0)
        }),
    ],
    &[
        ("p", "low", "x < 10", |x, _| x.is_some_and(|x| x < 10.0)),
        ("p", "hot", "heat > 100 || (heat > 1 && x > 1)", |x, heat| {
            heat.is_some_and(|heat| heat > 100.0 || heat > 1.0 && x.is_some_and(|x| x > 1.0))
        }),
    ],
    &[
        ("q", "cool", "heat == nil", |_, heat| heat.is_none()),
        ("p", "low", "this is no expression", |_, _| false),
        ("p", "hot", "heat >= 7", |_, heat| heat.is_some_and(|heat| heat >= 7.0)),
    ],
    &[],
];

fn conditions(definition: usize) -> impl Iterator<Item = &'static str> {
    DEFINED[definition].iter().map(|(_, _, expression, _)| *expression)
}

fn profiles(definition: usize) -> Vec<Profile> {
    let mut profiles: Vec<Profile> = Vec::new();
    for (profile, name, expression, _) in DEFINED[definition] {
        let mut condition =
            Condition { name: (*name).into(), expression: (*expression).into(), ..Condition::default() };
        if let Some(it) = Remembering::of(definition, (profile, name)).map(|at| &REMEMBERED[at]) {
            (condition.hold, condition.until) = (it.hold, it.until.map(|(text, _)| text.into()));
        }
        match profiles.iter_mut().find(|it| it.name == *profile) {
            Some(known) => known.conditions.push(condition),
            None => profiles.push(Profile { name: (*profile).into(), conditions: vec![condition] }),
        }
    }
    profiles
}

/// What one source has said to this process of the agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    pub(super) known: bool,
    partial: bool,
    workloads: BTreeMap<usize, Spec>,
    unreadable: BTreeSet<usize>,
    definition: Option<usize>,
}

impl Heard {
    pub(super) fn hear(&mut self, wishes: &Wishes) {
        let before = std::mem::take(&mut self.workloads);
        self.workloads = wishes.workloads.iter().map(|spec| (spec.name, *spec)).collect();
        self.unreadable = wishes.unreadable.iter().copied().collect();
        for (name, spec) in before {
            if self.unreadable.contains(&name) {
                self.workloads.entry(name).or_insert(spec);
            }
        }
        (self.known, self.partial, self.definition) = (true, wishes.partial, Some(wishes.definition));
    }
}

/// What the sources together ask for, as far as this process of the agent was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) server: Option<Heard>,
    pub(super) manifests: Option<Heard>,
}

impl Wanted {
    fn all(&self) -> impl Iterator<Item = &Heard> {
        self.server.iter().chain(&self.manifests)
    }

    pub(super) fn any_known(&self) -> bool {
        self.all().any(|source| source.known)
    }

    pub(super) fn all_known(&self) -> bool {
        self.all().all(|source| source.known && !source.partial)
    }

    /// By name; the server's comes first, and what it says of a name counts, whether that is understood or not.
    pub(super) fn spec(&self, name: usize) -> Option<Spec> {
        let names = |it: &&Heard| it.workloads.contains_key(&name) || it.unreadable.contains(&name);
        self.all().find(names)?.workloads.get(&name).copied()
    }

    /// It is understood, and the server says nothing of it.
    pub(super) fn is_only_of_manifests(&self, name: usize) -> bool {
        let is_the_servers = |it: &Heard| it.workloads.contains_key(&name) || it.unreadable.contains(&name);
        self.manifests.as_ref().is_some_and(|it| it.workloads.contains_key(&name))
            && !self.server.as_ref().is_some_and(is_the_servers)
    }

    /// What is wanted of this name isn't known.
    pub(super) fn is_unreadable(&self, name: usize) -> bool {
        self.spec(name).is_none() && self.all().any(|source| source.unreadable.contains(&name))
    }

    /// Who defines this profile.
    pub(super) fn definition(&self, profile: &str) -> Option<usize> {
        let mut all = self.all().filter_map(|source| source.definition);
        all.find(|definition| DEFINED[*definition].iter().any(|it| it.0 == profile))
    }

    /// The listed conditions of a profile that hold.
    fn holding(&self, (profile, listed): &Conditioned, metrics: &Metrics) -> Vec<Option<u64>> {
        let (x, heat) = (metrics.x.map(|it| it.0), metrics.heat.map(|it| it.0));
        let defined = self.definition(profile);
        let holds = |it: &&(&str, &str, _, Holds)| match Remembering::of(defined.unwrap(), (it.0, it.1)) {
            Some(at) => metrics.held[at],
            None => (it.3)(x, heat),
        };
        let of_it = defined.into_iter().flat_map(|it| DEFINED[it]).filter(|it| it.0 == *profile);
        let of_defined = of_it.filter(holds);
        of_defined.filter_map(|it| listed.iter().find(|(name, _)| *name == it.1)).map(|it| it.1).collect()
    }

    /// Whether all profiles of the workload hold.
    pub(super) fn allows(&self, spec: Spec, metrics: &Metrics) -> bool {
        spec.conditions().iter().all(|profile| !self.holding(profile, metrics).is_empty())
    }

    /// The smallest limit that a condition which holds gives.
    pub(super) fn cpu(&self, spec: Spec, metrics: &Metrics) -> Option<u64> {
        spec.conditions().iter().flat_map(|profile| self.holding(profile, metrics)).flatten().min()
    }
}

impl Spec {
    pub(super) fn by_chance(random: &mut Random) -> Self {
        Spec {
            name: random.below(NAMES.len()),
            content: random.below(CONTENTS),
            rootless: random.one_in(4),
            schedule: random.below(SCHEDULES),
            condition: random.below(CONDITIONS),
        }
    }
}

impl Wishes {
    pub(super) fn by_chance(random: &mut Random) -> Self {
        let mut workloads: Vec<Spec> = (0..random.below(6)).map(|_| Spec::by_chance(random)).collect();
        workloads.sort_unstable();
        workloads.dedup_by_key(|spec| spec.name);
        let mut unreadable: Vec<usize> = (0..NAMES.len()).filter(|_| random.one_in(8)).collect();
        unreadable.retain(|name| workloads.iter().all(|spec| spec.name != *name));
        Wishes {
            workloads,
            unreadable,
            partial: random.one_in(12),
            definition: random.weighted(&[(6, 0), (2, 1), (1, 2), (DEFINITIONS - 3, 3)]),
        }
    }
}
