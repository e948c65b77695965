//! Random lives with a server that vanishes, refuses, lies, forgets the device and lets certificates run out,
//! while its configuration changes and the agent restarts. When the faults stop, the device is linked and runs
//! what it was last told; no event was lost or doubled (the server checks each), and nothing was flooded.

use super::{
    edge::{configuration, refused},
    simulation::Random,
    *,
};

fn some_failure(random: &mut Random) -> CallFailure {
    match random.below(9) {
        0 => CallFailure::Unreachable(["refused", "timed out"][random.below(2)].into()),
        1 => CallFailure::Untrusted("another name".into()),
        2 => CallFailure::Nonsense(format!("byte {}", random.below(100))),
        3 => CallFailure::Local("the disk is full".into()),
        4 => CallFailure::Refused {
            status: 503,
            message: "busy".into(),
            retry_after: Some(S * random.below(600) as u32),
        },
        _ => refused([400, 401, 401, 403, 404, 404, 422, 500][random.below(8)]),
    }
}

fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::managed(PersistedLinkState::default());
    let names = ["a", "b", "c"];
    for step in 0..100_usize {
        match random.below(14) {
            0..=2 => world.edge.broken = Some(some_failure(&mut random)),
            3 | 4 => world.edge.broken = None,
            5 => world.edge.known = random.one_in(2),
            6 => world.edge.certificate = world.edge.certificate.map(|_| world.now.utc),
            7 => world.edge.life = [S, 60 * S, 3600 * S, 86_400 * S][random.below(4)],
            8 if random.one_in(2) => world.restart(),
            9 | 10 => {
                let mut workloads: Vec<_> = names.iter().map(|name| workload(name, 1)).collect();
                workloads.retain(|_| random.one_in(2));
                let workloads: Vec<_> = workloads
                    .into_iter()
                    .map(|it| if random.one_in(2) { changed(&it) } else { it })
                    .collect();
                let version = format!("{step}");
                world.edge.configuration = configuration(&version, &workloads.iter().collect::<Vec<_>>());
                world.edge.configuration.period = S * [5, 60, 300][random.below(3)];
            }
            11 => {
                let clock = SystemTime::UNIX_EPOCH + S * random.below(2_000_000) as u32;
                world.now.utc = clock; // the server's goes with it: its certificates may end, or seem to
            }
            12 => {
                // Calls that wait for their answers while time passes.
                let at = world.now.up + S * random.below(300) as u32;
                world.step(at);
                world.happen(Event::Tick);
                while !world.calls.is_empty() && random.one_in(2) {
                    let nth = random.below(world.calls.len());
                    world.calls.swap(0, nth);
                    match world.calls[0] {
                        Call::Heartbeat(_) => world.call(), // lost on its way back, its events would come twice
                        _ if random.one_in(3) => world.lose_answer(),
                        _ => world.call(),
                    }
                }
            }
            _ => {
                let since = world.now.up;
                world.pass(S * random.below(1200) as u32);
                let minutes = (world.now.up - since).as_secs() / 60 + 1;
                let most = 3 * 13 + 7; // a period of 5 s is the shortest
                let calls = world.edge.all_since(since) as u64;
                assert!(calls <= 20 + most * minutes, "seed {seed}: {calls} calls in {minutes} minutes");
            }
        }
    }
    world.edge.broken = None;
    world.edge.life = 86_400 * S;
    world.edge.configuration.period = 300 * S;
    world.edge.configuration.version = "last".into();
    world.pass(3 * 3600 * S);
    let wanted: BTreeSet<_> = world.edge.configuration.desired.workloads.iter().map(|it| &it.id).collect();
    let running: BTreeSet<_> = world.pods.keys().collect();
    assert_eq!(running, wanted, "seed {seed}: {:#?}", world.said);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!((beat.version.as_str(), beat.degraded), ("last", false), "seed {seed}");
    assert_eq!(world.edge.unheard(), 0, "seed {seed}");
    world.said.clear();
    let since = world.now.up;
    world.pass(3600 * S);
    assert!(world.heard().is_empty(), "seed {seed}: it does not come to rest");
    assert!((30..=42).contains(&world.edge.all_since(since)), "seed {seed}");
}

#[test]
fn whatever_the_server_does_the_device_is_linked_again_and_runs_what_it_was_last_told() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(30);
    for seed in 1..=seeds {
        live(seed);
    }
}
