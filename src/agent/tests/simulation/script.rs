//! What happens to the device, one step after the other. A step that finds nothing to happen to (the seventh
//! of three orders, a pod where none is) takes the next best or does nothing: any part of a script is a script.

use super::{
    model::{
        pressure::{Level, Resource},
        question::Wish,
    },
    random::Random,
    wishes::{CONTENTS, NAMES, Spec, Wishes},
    *,
};

/// How podman takes an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It does it, and says so.
    Well,
    /// It won't.
    Refused,
    /// It can't be reached.
    Lost,
    /// It does it, but the connection breaks before it says so.
    DoneButLost,
    /// It does it, and says that it won't.
    DoneButRefused,
    /// It doesn't answer in time, and does it later.
    Late,
    /// It does a part: makes some of the containers, or stops a pod and won't remove it.
    Half,
    /// It makes containers that never start.
    Stuck,
    /// What it starts has ended with this code before podman looks.
    Ended(i32),
    /// What it starts is gone before podman looks.
    Vanished,
    /// What it starts runs, and a hook after the start fails.
    Unhooked,
    /// One of the containers can't be started.
    Partly,
}

/// How the server takes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heed {
    Well,
    /// It does it, and no answer comes. (Not with heartbeats: their events would come twice, rightly.)
    DoneButLost,
    Unreachable,
    Untrusted,
    Nonsense,
    Local,
    Status(u16),
    /// With `Retry-After`.
    Busy,
}

/// What becomes of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Away,
    Back,
    Forgets,
    Knows,
    CertificateEnds,
    CertificatesLast(u32),
    Unregisters,
    Approves(bool),
}

/// One thing that happens. Numbers choose among what there is at that time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The manifests are saved, and read.
    Manifests(Wishes),
    /// The manifests are read again, as after a start of the agent.
    Read,
    /// The server has another configuration for the device.
    Server(Wishes),
    Post {
        heat: bool,
        value: Option<u8>,
    },
    /// An order is carried out, if it wasn't, and its outcome comes.
    Answer(usize, How),
    /// An order is carried out, and its outcome will come later.
    CarryOut(usize, How),
    /// An order is carried out of which no outcome is expected any more.
    Haunt(usize),
    Call(usize, Heed),
    Fate(Fate),
    Engine {
        rootless: bool,
        gone: bool,
    },
    /// Containers of a pod end; `told`: the agent is told.
    Exit {
        pod: usize,
        all: bool,
        code: i32,
        ran: u32,
        told: bool,
    },
    /// The agent is told that processes of this name's pod ended, and podman may know better.
    FalseAlarm(usize),
    /// A person asks the agent to do something with this workload.
    Wish(usize, Wish),
    /// A person removes a pod.
    Vanish(usize),
    /// A person lets a workload return to what ran before.
    RollBack(usize),
    /// A person pauses a pod.
    Pause(usize),
    /// What holds a pod's namespaces ends.
    Tear(usize),
    /// A person starts a pod's containers.
    Revive(usize),
    /// A pod's probes fail from now on, or go well again.
    Sicken(usize, bool),
    /// What is made of this content ends at once from now on, or doesn't any more.
    Doom(Spec, bool),
    Press(Resource, Level),
    /// A program takes the lock of updates, or gives it back.
    Lock(bool),
    /// A foreign pod takes the name that this one's would have; or goes.
    Squat(Spec, bool),
    /// Time passes; the agent is woken when it asks for it.
    Wait(u32),
    /// The device is suspended.
    Sleep(u32),
    /// The wall clock is set.
    Clock(i32),
    /// The agent dies, and starts again. The orders under way whose bit is set are carried out some time later.
    Crash {
        haunting: u32,
        registers: bool,
    },
    /// A part of what is to survive can be written, or not.
    Stored(Storage, bool),
    /// All faults stop: everything must come to what is wanted, and to rest. `empty`: and then nothing is wanted.
    Calm {
        empty: bool,
    },
}

/// What doesn't change during a script.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Options {
    pub(super) manifests: bool,
    pub(super) server: bool,
    pub(super) ttl: Option<Duration>,
    pub(super) seed: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Script {
    pub(super) options: Options,
    pub(super) steps: Vec<Step>,
}

/// What a chapter of the script is about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    /// A little of everything.
    Mixed,
    /// Podman breaks more than it does.
    Storm,
    /// Conditions change all the time.
    Flapping,
    /// Manifests change all the time.
    Restless,
    /// The agent dies again and again.
    Crashes,
    /// Long waits: cron slots, retries, full looks.
    Patient,
    /// The server.
    Outage,
    /// Memory and disk run short.
    Pressure,
}

/// Added to the place of an order: it is answered even if it was cut short, which else takes its time.
pub(super) const SURELY: usize = 1000;

/// The script that this seed makes, at least this long.
pub(super) fn script(seed: u64, length: usize) -> Script {
    let mut random = Random::new(seed);
    let server = random.one_in(2);
    let options = Options {
        manifests: !server || random.one_in(2),
        server,
        ttl: random.one_in(3).then_some(400 * S),
        seed,
    };
    let mut steps = Vec::with_capacity(length + 200);
    while steps.len() < length {
        let mood = random.weighted(&[
            (4, Mood::Mixed),
            (2, Mood::Storm),
            (2, Mood::Flapping),
            (2, Mood::Restless),
            (2, Mood::Crashes),
            (2, Mood::Patient),
            (if server { 2 } else { 0 }, Mood::Outage),
            (1, Mood::Pressure),
        ]);
        for _ in 0..20 + random.below(280) {
            step(mood, options, &mut random, &mut steps);
        }
        if options.manifests {
            two_at_once(mood, &mut random, &mut steps);
            beside(mood, &mut random, &mut steps);
            (0..2).for_each(|_| cut_short(mood, &mut random, &mut steps));
            edited_again(&mut random, &mut steps);
            mended_late(mood, &mut random, &mut steps);
            waits_for_leave(&mut random, &mut steps);
            hook_stalls(mood, &mut random, &mut steps);
        }
        let empty = random.one_in(3);
        steps.push(Step::Calm { empty });
    }
    Script { options, steps }
}

/// The oldest order is carried out well, so many times.
fn well(steps: &mut Vec<Step>, count: usize) {
    steps.extend(std::iter::repeat_n(Step::Answer(0, How::Well), count));
}

fn nothing_is_short(steps: &mut Vec<Step>) {
    steps.extend([Resource::Memory, Resource::Disk].map(|resource| Step::Press(resource, Level::Fine)));
}

/// One workload is asked for, and nothing else.
fn only(spec: Spec) -> Step {
    Step::Manifests(Wishes { workloads: vec![spec], ..Wishes::default() })
}

/// What chance alone hardly ever makes: a pod of an earlier content comes too late, and is still being removed when
/// the conditions of the present one become false.
fn two_at_once(mood: Mood, random: &mut Random, steps: &mut Vec<Step>) {
    let first = Spec { schedule: 0, condition: 2, ..Spec::by_chance(random) };
    let second = Spec { content: (first.content + 1) % CONTENTS, ..first };
    nothing_is_short(steps);
    well(steps, 16);
    steps.push(Step::Post { heat: false, value: Some(2) });
    steps.push(only(first));
    steps.extend([Step::Answer(0, How::Well), Step::Answer(0, How::Late)]);
    steps.push(only(second));
    well(steps, 12);
    steps.push(Step::Haunt(0));
    if random.one_in(3) {
        // wanted again, and found while its images come in
        steps.push(Step::Exit { pod: random.below(4), all: true, code: 0, ran: 1, told: false });
        steps.push(only(first));
        steps.push(Step::Wait(61));
        steps.extend(std::iter::repeat_n(Step::Answer(1, How::Well), 3));
        if random.one_in(2) {
            // when they are in, it may not run any more
            steps.push(Step::Post { heat: false, value: Some(200) });
            well(steps, 4);
        }
        return;
    }
    steps.push(Step::Wait(61));
    well(steps, 2);
    match random.below(9) {
        0..3 => steps.push(Step::Post { heat: false, value: Some(200) }),
        3 => steps.push(Step::FalseAlarm(first.name)),
        4..6 => steps.extend([
            Step::Post { heat: false, value: Some(200) },
            Step::Crash { haunting: 0, registers: true },
            Step::Read,
            Step::Answer(0, How::Well),
        ]),
        _ => steps.extend([
            Step::FalseAlarm(first.name),
            Step::Answer(random.below(3), How::Lost),
            Step::Answer(random.below(3), How::Well),
        ]),
    }
    for _ in 0..3 {
        // the removal of the earlier one may well fail
        let how = if random.one_in(2) { How::Refused } else { how(mood, random) };
        steps.push(Step::Answer(random.below(3), how));
    }
}

/// What happens at the side of a phase, while it lasts: a limit comes to its end, the device runs short and doesn't
/// any more, profiles and schedule change.
fn beside(mood: Mood, random: &mut Random, steps: &mut Vec<Step>) {
    let spec = Spec { schedule: 0, condition: 4, ..Spec::by_chance(random) };
    let mut shorten = |steps: &mut Vec<Step>| {
        for level in [Level::Low, Level::Fine] {
            let resource = random.of(&[Resource::Memory, Resource::Disk]);
            steps.push(Step::Press(resource, level));
            if random.one_in(3) {
                steps.push(Step::Answer(random.below(3), how(mood, random)));
            }
        }
        steps.push(match random.below(4) {
            0 => only(Spec { schedule: 1, ..spec }),
            1 => Step::Post { heat: true, value: None },
            2 => Step::Post { heat: true, value: Some(9) },
            _ => Step::Answer(random.below(3), how(mood, random)),
        });
    };
    nothing_is_short(steps);
    steps.extend([Step::Post { heat: false, value: Some(2) }, Step::Post { heat: true, value: Some(9) }]);
    well(steps, 8);
    steps.push(only(Spec { content: (spec.content + 1) % CONTENTS, ..spec }));
    shorten(steps); // while it is pulled
    steps.push(only(spec));
    well(steps, 1);
    shorten(steps); // while it is started
    well(steps, 8);
    steps.extend([Step::Post { heat: true, value: None }, Step::FalseAlarm(spec.name)]);
    shorten(steps); // while it is looked at
    steps.extend([Step::FalseAlarm(spec.name), Step::Answer(1, How::Lost), Step::Answer(1, How::Well)]);
    shorten(steps); // while it is adopted
    well(steps, 4);
}

/// Conditions fail while a pod is made, and more happens before that comes to its end; and a pod that was found goes
/// before it was looked at.
fn cut_short(mood: Mood, random: &mut Random, steps: &mut Vec<Step>) {
    let spec = Spec { schedule: 1, condition: random.of(&[2, 4]), ..Spec::by_chance(random) };
    let heat = |value| Step::Post { heat: true, value };
    nothing_is_short(steps);
    well(steps, 16);
    steps.extend([Step::Post { heat: false, value: Some(2) }, heat(None)]);
    let comes_late = !random.one_in(4);
    if comes_late {
        let earlier = Spec { content: (spec.content + 1) % CONTENTS, ..spec };
        steps.push(only(earlier));
        steps.extend([Step::Answer(0, How::Well), Step::Answer(0, How::Late)]);
    }
    steps.push(only(spec));
    well(steps, if comes_late { 2 + random.below(3) } else { 1 });
    if random.one_in(2) {
        steps.push(Step::CarryOut(0, how(mood, random)));
    }
    // bound, and then it may not run any more
    steps.extend([heat(Some(9)), Step::Post { heat: false, value: Some(200) }, heat(None)]);
    steps.push(Step::Haunt(0));
    if random.one_in(2) {
        steps.push(Step::Wait(61));
        steps.extend(std::iter::repeat_n(Step::Answer(1, How::Well), 4)); // the lists are among these
        steps.extend(std::iter::repeat_n(Step::Answer(1, How::Refused), 2));
    } else if random.one_in(2) {
        steps.push(Step::Manifests(Wishes {
            workloads: vec![Spec { schedule: 0, ..spec }],
            ..Wishes::default()
        }));
    }
    if random.one_in(4) {
        let resource = random.of(&[Resource::Memory, Resource::Disk]);
        steps.extend([Level::Low, Level::Fine].map(|level| Step::Press(resource, level)));
    }
    for _ in 0..random.below(12) {
        let how = match random.below(8) {
            0 => How::Ended(1),
            1 => How::Ended(0),
            2 => How::Stuck,
            3 => How::Half,
            _ => how(mood, random),
        };
        steps.push(Step::Answer(random.below(3), how));
    }
    steps.push(Step::Post { heat: false, value: Some(2) });
    steps.extend(std::iter::repeat_n(Step::Answer(SURELY, How::Well), 6));
    if random.one_in(2) {
        // a container was asked, ended, and its successor is cut short before the answer
        for place in [0, 1] {
            steps.push(Step::Exit { pod: 0, all: true, code: 1, ran: 1, told: true });
            // it is looked at, removed, and made anew
            steps.extend([Step::Answer(place, How::Well), Step::Wait(6), Step::Answer(place, How::Well)]);
            well(steps, 1 - place);
        }
        steps.push(Step::Post { heat: false, value: Some(200) });
        well(steps, 2);
        steps.push(Step::Post { heat: false, value: Some(2) });
        well(steps, 6);
    }
    // its end is known before the limit is there
    steps.extend([heat(Some(9)), Step::Exit { pod: 0, all: true, code: 0, ran: 1, told: true }]);
    steps.extend([Step::Answer(1, How::Well), Step::Answer(0, How::Well)]);
    steps.extend([Step::Crash { haunting: 0, registers: true }, Step::Read]);
    well(steps, 2);
    steps.extend([Step::Vanish(0), Step::Wait(61), Step::Answer(1, How::Well), Step::Answer(1, How::Well)]);
    well(steps, 4);
}

/// What ran well is edited so that it can't start, put back, and at once edited so that it ends as soon as it starts.
fn edited_again(random: &mut Random, steps: &mut Vec<Step>) {
    let good = Spec { schedule: 1, condition: 0, rootless: false, ..Spec::by_chance(random) };
    let bad = Spec { content: (good.content + 1) % CONTENTS, ..good };
    // it may have a host port that the other one wants
    let beside = Spec { name: (good.name + 1) % NAMES.len(), ..good };
    let only = |spec| Step::Manifests(Wishes { workloads: vec![spec, beside], ..Wishes::default() });
    nothing_is_short(steps);
    well(steps, 16);
    steps.push(only(good));
    well(steps, 12);
    steps.extend([Step::Wait(20), only(bad)]);
    well(steps, random.below(2));
    steps.extend([Step::Answer(0, random.of(&[How::Refused, How::Half])), only(good)]);
    well(steps, 2);
    steps.extend([only(bad), Step::Doom(bad, true)]);
    for _ in 0..8 {
        well(steps, 5);
        steps.push(Step::Wait(20));
    }
    steps.push(Step::Doom(bad, false));
}

/// What has come up is asked for with another content while that isn't allowed, and all kinds of things happen before it is.
fn waits_for_leave(random: &mut Random, steps: &mut Vec<Step>) {
    let spec = Spec { schedule: 1, condition: 1, rootless: false, ..Spec::by_chance(random) };
    let only = |content: usize| {
        let spec = Spec { content: (spec.content + content) % CONTENTS, ..spec };
        only(spec)
    };
    let heat = |value| Step::Post { heat: true, value };
    nothing_is_short(steps);
    well(steps, 16);
    steps.extend([heat(Some(9)), only(0)]);
    well(steps, 12);
    steps.extend([Step::Wait(15), only(1)]);
    for _ in 0..2 + random.below(5) {
        match random.below(10) {
            8 => steps.extend([Step::Lock(true), heat(None), heat(Some(9)), Step::Lock(random.one_in(2))]),
            0 | 1 => {
                steps.extend([Step::Crash { haunting: 0, registers: true }, Step::Read]);
                well(steps, 6);
            }
            2 => steps.push(only(random.below(3))),
            3 => steps.push(Step::Wait(random.of(&[20, 130, 300, 610]))),
            4 => steps.push(Step::Wish(spec.name, Wish::Update)),
            5 => steps.push(Step::Exit { pod: 0, all: true, code: 1, ran: 40, told: true }),
            6 => steps.extend([heat(None), heat(Some(9))]),
            7 => {
                // as a reboot does
                steps.extend([Step::Crash { haunting: 0, registers: true }, Step::Vanish(0)]);
                well(steps, 2 * random.below(2)); // podman may answer before manifests are read
                steps.push(Step::Read);
                well(steps, 8);
            }
            _ => steps.extend([Step::Answer(0, How::Refused), Step::Wait(30)]),
        }
        well(steps, random.below(6));
    }
    steps.extend([heat(None), Step::Answer(0, How::Well), Step::Lock(false)]);
    well(steps, 8);
}

/// A container is being ended or started again, which takes long, and more happens to its pod meanwhile.
fn mended_late(mood: Mood, random: &mut Random, steps: &mut Vec<Step>) {
    let content = random.of(&[0, 1, 3]);
    let spec = Spec { schedule: 1, condition: 2, content, rootless: false, ..Spec::by_chance(random) };
    let heat = |value| Step::Post { heat: false, value: Some(value) };
    nothing_is_short(steps);
    well(steps, 16);
    steps.extend([heat(2), only(spec)]);
    well(steps, 12);
    if random.one_in(3) {
        // ended for its probe, and looked at meanwhile
        steps.push(Step::Sicken(0, true));
        for _ in 0..4 {
            steps.push(Step::Wait(31));
            steps.extend([Step::Answer(0, How::Well), Step::FalseAlarm(spec.name)]);
        }
        well(steps, 3);
        return;
    }
    steps.push(Step::Exit { pod: 0, all: random.one_in(2), code: 1, ran: 1, told: true });
    well(steps, 1 + random.below(2));
    steps.push(Step::Wait(3 + random.below(2) as u32));
    match random.below(6) {
        _ if content == 3 => {
            // its time is over
            steps.extend([Step::Wait(500), Step::Answer(1, How::Well), Step::Answer(1, How::Well)]);
        }
        0 => {
            // a person wants another pod, and the present one doesn't go
            steps.extend([
                Step::Wish(spec.name, Wish::Restart),
                Step::Answer(1, How::Well),
                Step::Answer(1, How::Refused),
            ]);
            well(steps, 1);
        }
        1 | 2 => {
            // its pod is gone, and another one is made and not wanted
            steps.extend([heat(200), Step::Answer(1, How::Well), heat(2)]);
            if random.one_in(2) {
                steps.push(Step::Answer(1, How::Well));
            }
            steps.push(heat(200));
            well(steps, 2);
        }
        _ => {
            // podman is lost, and the pod is found again
            steps.extend([heat(200), Step::Answer(1, How::Lost), heat(2)]);
            if random.one_in(2) {
                steps.extend([Step::Wait(31), Step::Answer(1, How::Well), Step::Answer(1, How::Well)]);
            }
            steps.push(Step::Answer(0, how(mood, random)));
        }
    }
    well(steps, 4);
}

/// A container runs, and its hook takes long, after the first start or a later one; more happens meanwhile.
fn hook_stalls(mood: Mood, random: &mut Random, steps: &mut Vec<Step>) {
    let content = random.of(&[0, 1, 3]);
    let spec = Spec { schedule: 1, condition: 2, content, rootless: false, ..Spec::by_chance(random) };
    let heat = |value| Step::Post { heat: false, value: Some(value) };
    nothing_is_short(steps);
    well(steps, 16);
    steps.push(heat(2));
    steps.push(only(spec));
    if random.one_in(2) {
        well(steps, 1 + random.below(3)); // what is left is its start
    } else {
        well(steps, 12);
        steps.push(Step::Exit { pod: 0, all: random.one_in(2), code: 1, ran: 1, told: true });
        well(steps, 1);
        steps.push(Step::Wait(4));
    }
    steps.extend([Step::CarryOut(0, How::Unhooked), Step::Wait(random.of(&[1, 20, 61]))]);
    match random.below(4) {
        0 => steps.extend([Step::Crash { haunting: 0, registers: true }, Step::Read]),
        1 => steps.extend([heat(200), Step::Answer(1, how(mood, random)), heat(2)]),
        2 => steps.extend([Step::FalseAlarm(spec.name), Step::Answer(1, How::Well)]),
        _ => steps.push(Step::Exit { pod: 0, all: false, code: 1, ran: 1, told: true }),
    }
    well(steps, random.below(4));
    steps.push(Step::Answer(SURELY, how(mood, random)));
    well(steps, 4);
}

fn step(mood: Mood, options: Options, random: &mut Random, steps: &mut Vec<Step>) {
    let often = |this: Mood, weight: usize| if mood == this { weight * 8 } else { weight };
    let server = |weight: usize| if options.server { often(Mood::Outage, weight) } else { 0 };
    let any = random.below(64);
    let choice = random.weighted(&[
        (if options.manifests { often(Mood::Restless, 4) } else { 0 }, 0),
        (if options.manifests { often(Mood::Crashes, 3) } else { 0 }, 1),
        (server(4), 2),
        (often(Mood::Flapping, 8), 3),
        (100, 4),
        (20, 5),
        (often(Mood::Flapping, 6), 6),
        (if options.server { often(Mood::Outage, 12) } else { 0 }, 7),
        (server(1), 8),
        (often(Mood::Storm, 1), 9),
        (10, 10),
        (4, 11),
        (3, 12),
        (2, 13),
        (1, 14),
        (1, 15),
        (often(Mood::Patient, 14), 16),
        (2, 17),
        (2, 18),
        (if mood == Mood::Flapping { 8 } else { often(Mood::Crashes, 2) }, 19),
        (1, 20),
        (3, 21),
        (2, 22),
        (1, 24),
        (often(Mood::Pressure, 2), 23),
    ]);
    let last = match choice {
        0 => Step::Manifests(Wishes::by_chance(random)),
        1 => Step::Read,
        2 => Step::Server(Wishes::by_chance(random)),
        3 => {
            let (heat, bursts) =
                (random.one_in(2), if mood == Mood::Flapping { 1 + random.below(8) } else { 1 });
            for _ in 1..bursts {
                let value = random.of(&[None, Some(2), Some(9), Some(2)]);
                steps.push(Step::Post { heat, value });
                if random.one_in(3) {
                    steps.push(Step::Answer(0, How::Well));
                }
            }
            Step::Post { heat, value: random.of(&[None, Some(0), Some(2), Some(9), Some(200)]) }
        }
        4 => Step::Answer(any % 8, how(mood, random)),
        5 => Step::CarryOut(any % 8, how(mood, random)),
        6 => Step::Haunt(any),
        7 => Step::Call(any % 4, heed(mood, random)),
        8 => Step::Fate(random.weighted(&[
            (2, Fate::Away),
            (6, Fate::Back),
            (1, Fate::Forgets),
            (2, Fate::Knows),
            (2, Fate::CertificateEnds),
            (2, Fate::CertificatesLast([1, 60, 3600, 86_400][any % 4])),
            (1, Fate::Unregisters),
            (2, Fate::Approves(!any.is_multiple_of(3))),
        ])),
        9 => Step::Engine { rootless: random.one_in(2), gone: random.one_in(3) },
        10 => Step::Exit {
            pod: any,
            all: !random.one_in(4),
            code: random.of(&[0, 0, 1, 137]),
            ran: random.of(&[0, 1, 30, 299, 300, 4000]),
            told: !random.one_in(4),
        },
        11 => Step::FalseAlarm(any),
        12 if random.one_in(3) => Step::Vanish(any),
        12 if random.one_in(4) => Step::RollBack(any),
        12 => {
            let until_changed = random.one_in(2);
            let wish = random.weighted(&[
                (4, Wish::Restart),
                (1, Wish::Stop { until_changed }),
                (5, Wish::Start),
                (2, Wish::Run),
                (2, Wish::Update),
            ]);
            Step::Wish(any, wish)
        }
        13 => Step::Pause(any),
        14 => Step::Revive(any),
        15 => Step::Squat(Spec::by_chance(random), random.one_in(2)),
        16 => Step::Wait(random.of(&[0, 1, 1, 3, 5, 10, 20, 60, 61, 130, 300])),
        17 => Step::Sleep(random.of(&[1, 30, 61, 600, 7200])),
        18 => Step::Clock(random.of(&[-7200, -120, -30, -1, 1, 30, 120, 7200])),
        19 => Step::Crash { haunting: random.below(1 << 16) as u32, registers: random.one_in(2) },
        20 => {
            Step::Stored(random.of(&[Storage::State, Storage::Identity, Storage::Unheard]), random.one_in(2))
        }
        21 => Step::Sicken(any, !random.one_in(4)),
        22 => Step::Doom(Spec::by_chance(random), random.one_in(2)),
        24 => Step::Tear(any),
        _ => Step::Press(
            random.of(&[Resource::Memory, Resource::Memory, Resource::Disk, Resource::Cpu]),
            random.weighted(&[(5, Level::Fine), (1, Level::Low), (2, Level::Critical)]),
        ),
    };
    steps.push(last);
}

fn how(mood: Mood, random: &mut Random) -> How {
    let well = if mood == Mood::Storm { 8 } else { 80 };
    random.weighted(&[
        (well, How::Well),
        (4, How::Refused),
        (3, How::Lost),
        (2, How::DoneButLost),
        (1, How::DoneButRefused),
        (2, How::Late),
        (2, How::Half),
        (1, How::Stuck),
        (2, How::Ended(0)),
        (2, How::Ended(1)),
        (1, How::Vanished),
        (2, How::Unhooked),
        (2, How::Partly),
    ])
}

fn heed(mood: Mood, random: &mut Random) -> Heed {
    let status = random.of(&[400, 401, 401, 403, 404, 404, 422, 500]);
    random.weighted(&[
        (if mood == Mood::Outage { 8 } else { 60 }, Heed::Well),
        (2, Heed::DoneButLost),
        (3, Heed::Unreachable),
        (1, Heed::Untrusted),
        (1, Heed::Nonsense),
        (1, Heed::Local),
        (3, Heed::Status(status)),
        (1, Heed::Busy),
    ])
}
