//! Lives of workloads whose conditions ask for what the agent knows itself: other workloads, the time, hardware. What
//! may run is told by the world here, and never by the agent.

use super::*;
use crate::agent::tests::dependencies::asked;

/// What must hold, as `scripts/mutants` calls it.
pub(super) const INVARIANTS: [&str; 3] = ["Hardware", "Own", "Time"];

const CAMERA: &str = "device.present(\"/dev/video0\")";
const STICK: &str = "device.present(\"usb:1a86:7523\")";
const ETHERNET: &str = "device.present(\"net:eth1\")";
/// When an announcement was lost, all is looked at within this time.
const FULL_LOOK: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(30);
/// How long readiness takes to be seen, and to be believed.
const CHUNK: Duration = Duration::from_secs(5);

/// Of the workload with this name: the condition, and for how long it has to be true.
const CONDITIONS: [(&str, &str, Duration); 7] = [
    ("camera", "device.present(\"/dev/video0\") == 1", Duration::ZERO),
    ("nostick", "device.present(\"usb:1a86:7523\") == 0", Duration::ZERO),
    ("ethernet", "device.present(\"net:eth1\") == 1", HOLD),
    ("client", "workload.broker.ready == 1", Duration::ZERO),
    ("standin", "workload.camera.running == 0 && x == nil", Duration::ZERO),
    ("day", "time.hour >= 14 && time.hour < 16", Duration::ZERO),
    ("monday", "time.weekday == 1 && workload.broker.running == 1", Duration::ZERO),
];

struct Life {
    world: World,
    all: Vec<Workload>,
    x: Option<f64>,
    /// When which hardware changed, where that was not announced.
    lost: BTreeMap<&'static str, Duration>,
    /// Of the broker, when it was looked at last: whether it runs, and whether it is ready.
    broker: [bool; 2],
    story: Vec<String>,
}

impl Life {
    fn new() -> Self {
        let mut world = World::new();
        let condition = |(name, expression, hold): &(&str, &str, Duration)| Condition {
            name: (*name).into(),
            expression: (*expression).into(),
            hold: *hold,
            ..Condition::default()
        };
        world.profiles[0].conditions = CONDITIONS.iter().map(condition).collect();
        let all = CONDITIONS.iter().map(|(name, ..)| gated(name, name)).chain([asked("broker")]).collect();
        let mut life =
            Self { world, all, x: None, lost: BTreeMap::new(), broker: [false; 2], story: Vec::new() };
        life.want();
        life
    }

    fn want(&mut self) {
        self.world.want_and_settle(&self.all.iter().collect::<Vec<_>>());
    }

    fn is_there(&self, name: &str) -> bool {
        self.world.pods.values().any(|(of, ..)| of == name)
    }

    /// Whether it runs, and whether it is ready.
    fn broker(&self) -> [bool; 2] {
        let is_it = |(of, state, _): &(String, ContainerState, usize)| {
            of == "broker" && *state == ContainerState::Running
        };
        let runs = self.world.pods.values().any(is_it);
        [runs, runs && self.world.sick.is_none()]
    }

    fn happen(&mut self, random: &mut Random) {
        match random.below(9) {
            0..4 => {
                let (name, is_lost) = (random.of(&[CAMERA, STICK, ETHERNET]), random.one_in(3));
                let comes = !self.world.plugged.remove(name) && self.world.plugged.insert(name);
                self.story.push(format!("{name} is {comes}; that is lost: {is_lost}"));
                self.lost.insert(name, self.world.now.up);
                if !is_lost {
                    self.lost.clear();
                    self.world.look();
                }
            }
            4 => {
                let hours = random.below(60) as u32;
                self.story.push(format!("the clock is set forward by {hours} h"));
                self.world.now.utc += S * 3600 * hours;
                self.world.happen(Event::Clock);
            }
            5 => {
                self.world.sick = if self.world.sick.is_some() { None } else { Some("exit code 1") };
                self.story.push(format!("the broker's readiness: {:?}", self.world.sick));
            }
            6 if self.broker()[0] => {
                self.story.push("the broker ends".into());
                let id = self.all.iter().find(|it| it.name() == "broker").unwrap().id.clone();
                self.world.exit(&id, 1, S);
            }
            7 => {
                self.story.push("the agent dies, and starts again".into());
                let (built_in_metrics, lasting) =
                    (self.world.built_in_metrics.clone(), self.world.lasting.clone());
                self.world.agent = Agent::new(Setup { built_in_metrics, lasting, ..first_setup() });
                self.world.orders.clear();
                (self.x, self.lost) = (None, BTreeMap::new());
                self.want();
            }
            _ => {
                self.x = random.one_in(2).then_some(1.0);
                self.story.push(format!("x is {:?}", self.x));
                self.world.post("x", self.x);
            }
        }
        self.world.settle();
    }

    /// Conditions don't change so often that workloads rest.
    fn pass(&mut self, chunks: usize) -> Result<(), String> {
        self.story.push(format!("{:?} pass", CHUNK * chunks as u32));
        for _ in 0..chunks {
            self.world.pass(CHUNK);
            self.look()?;
        }
        Ok(())
    }

    /// What is broken, if something is.
    fn look(&mut self) -> Result<(), String> {
        let (now, told) = (self.world.now.up, self.world.told.clone());
        let is_told = |name: &str| told.contains_key(name);
        let plugged = &self.world.plugged;
        let is_late = |(name, at): (&&str, &Duration)| {
            now >= *at + FULL_LOOK && is_told(name) != plugged.contains(name)
        };
        if self.lost.iter().any(is_late) {
            return Err(format!("Hardware is broken: it isn't found what has changed: {:?}", self.lost));
        }
        let lasts = told.get(ETHERNET).is_some_and(|since| now >= *since + HOLD);
        let [hour, weekday] = local(self.world.now.utc).unwrap();
        let mut expected = vec![
            ("Hardware", "camera", is_told(CAMERA)),
            ("Hardware", "nostick", !is_told(STICK)),
            ("Hardware", "ethernet", lasts),
            ("Own", "standin", !self.is_there("camera") && self.x.is_none()),
            ("Time", "day", (14.0..16.0).contains(&hour)),
        ];
        let broker = self.broker();
        if std::mem::replace(&mut self.broker, broker) == broker {
            expected.push(("Own", "client", broker[1]));
            expected.push(("Time", "monday", weekday == 1.0 && broker[0]));
        }
        for (invariant, name, runs) in expected {
            if self.is_there(name) != runs {
                return Err(format!("{invariant} is broken: '{name}' is to run: {runs}"));
            }
        }
        Ok(())
    }
}

#[test]
fn what_the_agent_knows_itself_decides_at_once_whatever_is_lost() {
    for seed in 1..=12 {
        let (mut life, mut random) = (Life::new(), Random::new(seed));
        for _ in 0..40 {
            life.happen(&mut random);
            let (at_once, chunks) = (life.look(), 6 + random.below(20));
            if let Err(what) = at_once.and_then(|()| life.pass(chunks)) {
                panic!(
                    "\n{what}\nseed {seed}: {:#?}",
                    life.story.iter().rev().take(12).rev().collect::<Vec<_>>()
                );
            }
        }
        assert!(
            life.world.said.iter().all(|it| it.reason != Reason::Flapping),
            "rests would hide what is wrong"
        );
    }
}
