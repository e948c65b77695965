//! Random lives of the agent: manifests that change, metrics, exits, pods that vanish, podman that fails or is
//! gone, crashes of the agent itself. Whatever happened, nothing runs twice, and when the faults stop the
//! device ends up as its configuration wants it.

use super::*;

pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub(super) fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }
}

/// Three names, two contents each, gated or not; one is asked whether it is well.
fn some_workload(random: &mut Random) -> Workload {
    let name = ["a", "b", "c"][random.below(3)];
    let mut workload = if random.one_in(2) { gated(name, "low") } else { workload(name, 1) };
    if name == "c" {
        workload.probes = probes::some(&workload);
    }
    if random.one_in(2) {
        workload = changed(&workload);
        workload.restart = RestartPolicy::OnFailure; // part of the content, as in a real specification
    }
    workload
}

fn some_pod(world: &World, random: &mut Random) -> Option<WorkloadId> {
    let index = random.below(world.pods.len().max(1));
    world.pods.keys().nth(index).cloned()
}

/// The agent dies: the orders under way are carried out, or lost; a new one starts.
fn restart(world: &mut World, wanted: &[Workload], x: Option<f64>, random: &mut Random) {
    while let Some(order) = world.orders.pop_front() {
        let Task::Start(workload) = order.task else { continue };
        if random.one_in(2) && !world.pods.values().any(|(name, ..)| name == workload.name()) {
            let state = match random.below(2) {
                0 => ContainerState::Running,
                _ => ContainerState::Stuck("created".into()),
            };
            world.pods.insert(workload.id.clone(), (workload.name().into(), state, random.below(2)));
        }
    }
    let (finished, fallbacks) = (world.remembered.clone(), world.fallbacks.clone());
    world.agent = World::agent(finished, fallbacks, true, None, 1);
    world.post("x", x); // the endpoint keeps what it was told
    if random.one_in(2) {
        world.happen(Event::Tick); // the list is quicker than the manifests
    }
    world.want(&wanted.iter().collect::<Vec<_>>());
    world.happen(Event::Tick);
}

fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::new();
    let mut wanted: Vec<Workload> = Vec::new();
    let mut x = None;
    for step in 0..150 {
        let dice = random.below(13);
        world.log.push(format!("-- step {step}, dice {dice}"));
        match dice {
            0 | 1 => {
                wanted = (0..random.below(4)).map(|_| some_workload(&mut random)).collect();
                wanted.sort_by(|a, b| a.name().cmp(b.name()));
                wanted.dedup_by(|a, b| a.name() == b.name());
                world.want(&wanted.iter().collect::<Vec<_>>());
            }
            2 => {
                x = [None, Some(1.0), Some(9.0)][random.below(3)];
                world.post("x", x);
            }
            3 => {
                if let Some(id) = some_pod(&world, &mut random) {
                    let code = random.below(2) as i32;
                    world.pods.get_mut(&id).unwrap().1 =
                        ContainerState::Exited { code, at: world.now.utc, ran: S };
                    world.happen(Event::Exited(PODMAN, id));
                }
            }
            4 => {
                if let Some(id) = some_pod(&world, &mut random) {
                    world.pods.remove(&id); // `podman rm -f` behind the agent's back
                }
            }
            5 => world.engine_gone = random.one_in(3),
            6 => world.broken = random.one_in(3).then(|| Failure::Workload("no".into())),
            7 if random.one_in(4) => restart(&mut world, &wanted, x, &mut random),
            8 => world.sick = random.one_in(2).then_some("sick"),
            9 => {
                let at = world.now.up + S * random.below(90) as u32;
                world.step(at);
                world.happen(Event::Tick);
            }
            _ if !world.orders.is_empty() => {
                let nth = random.below(world.orders.len());
                world.orders.swap(0, nth); // orders of different workloads end in any order
                world.answer();
            }
            _ => {}
        }
        let touched = world.orders.iter().filter_map(|order| match &order.task {
            Task::Start(workload) => Some(&workload.id),
            Task::Look(id) | Task::Remove { id, .. } => Some(id),
            Task::List
            | Task::Pull(_)
            | Task::Limit { .. }
            | Task::Discard(_)
            | Task::Probe { .. }
            | Task::Usage(_) => None,
            Task::Apply { .. } | Task::Delete(_) => None, // no pods
        });
        let mut seen = BTreeSet::new();
        for id in touched {
            assert!(seen.insert(id), "seed {seed}: two orders for pod '{id}' at once");
        }
    }
    (world.engine_gone, world.broken, world.sick) = (false, None, None);
    world.settle();
    world.pass(20 * 60 * S);
    let allowed = |workload: &&Workload| workload.profiles.is_empty() || x.is_none_or(|x| x < 3.0);
    let finished = |workload: &&Workload| world.remembered.contains_key(&workload.id);
    let content = |w: &Workload| match world.fallbacks.get(w.name()) {
        Some(it) if it.failed.as_ref() == Some(&w.id) => it.good.id.clone(),
        _ => w.id.clone(),
    };
    let ids: Vec<WorkloadId> = wanted.iter().filter(allowed).filter(|w| !finished(w)).map(content).collect();
    let running = world.pods.iter().filter(|(_, pod)| pod.1 == ContainerState::Running);
    assert_eq!(running.map(|(id, _)| id.clone()).collect::<Vec<_>>(), ids, "seed {seed}: {:#?}", world.log);
    world.took();
    let before = world.agent.book.last.0;
    world.pass(600 * S);
    let probes = world.took().iter().filter(|order| order.starts_with("probe")).count() as u64;
    assert_eq!(world.agent.book.last.0 - before - probes, 10, "seed {seed}: it does not come to rest");
    world.want(&[]);
    world.settle();
    world.pass(60 * S);
    assert!(world.pods.is_empty(), "seed {seed}: an emptied configuration leaves {:?}", world.pods);
}

/// `SEEDS=10000` lives that often; the default is quick.
#[test]
fn whatever_happened_the_device_ends_up_as_its_configuration_wants_it() {
    let seeds = std::env::var("SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        live(seed);
    }
}
