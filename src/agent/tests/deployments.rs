//! Workloads on a Kubernetes cluster, by their outcome.

use super::{
    edge::{configuration, linked},
    model::call::ServerWorkloadStatus,
    simulation::Random,
    *,
};
use crate::agent::model::deployment::{Deployment, DeploymentFact, DeploymentWatchEvent, Rollout};

/// A cluster that does as it is told; its pods come up when the test says so.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) all: Vec<Deployment>,
    version: u64,
    /// Why it applies nothing.
    refuses: Option<&'static str>,
    is_away: bool,
}

impl Cluster {
    pub(super) fn answer(&mut self, task: &DeploymentTask) -> Result<DeploymentFact, Failure> {
        if self.is_away {
            return Err(Failure::Engine("connection refused".into()));
        }
        self.version += 1;
        match (task, self.refuses) {
            (DeploymentTask::List, _) => Ok(DeploymentFact::Listed(self.all.clone())),
            (_, Some(cause)) => Err(Failure::Workload(cause.into())),
            (DeploymentTask::Apply { workload, replicas, dependents, settled }, _) => {
                let version = self.version;
                let (namespace, name) = (&workload.content.namespace, workload.name());
                let found = self.all.iter().position(|it| it.namespace == *namespace && it.name == name);
                let index = found.unwrap_or_else(|| {
                    let uid = format!("uid-{version}");
                    let (namespace, name) = (namespace.clone(), name.to_owned());
                    self.all.push(Deployment { namespace, name, uid, ..Deployment::default() });
                    self.all.len() - 1
                });
                let it = &mut self.all[index];
                let is_changed = it.hash != workload.hash || it.replicas != *replicas;
                it.generation += u64::from(is_changed);
                (it.hash, it.replicas, it.version) = (workload.hash.clone(), *replicas, version);
                if is_changed {
                    it.rollout = if *replicas == 0 { Rollout::Available } else { Rollout::Progressing };
                }
                let name = |map: &serde_json::Value| map["metadata"]["name"].to_string();
                it.dependents = workload.content.config_maps.iter().map(name).collect();
                let former: Vec<_> = dependents
                    .iter()
                    .filter(|old| !settled && !it.dependents.contains(old))
                    .cloned()
                    .collect();
                it.has_former = !former.is_empty();
                it.dependents.extend(former);
                Ok(DeploymentFact::Applied(Box::new(it.clone())))
            }
            (DeploymentTask::Delete(deployment), _) => {
                self.all
                    .iter_mut()
                    .filter(|it| it.uid == deployment.uid)
                    .for_each(|it| it.terminating = true);
                Ok(DeploymentFact::Gone)
            }
        }
    }
}

impl World {
    /// The watch shows that a Deployment has come to this.
    fn comes_to(&mut self, name: &str, rollout: Rollout) {
        self.cluster.version += 1;
        let it = self.cluster.all.iter_mut().find(|it| it.name == name).expect("a Deployment");
        (it.rollout, it.version) = (rollout, self.cluster.version);
        let seen = Box::new(it.clone());
        self.happen(Event::Watched(DeploymentWatchEvent::Seen(seen)));
        self.settle();
    }

    /// The terminating ones have gone, which the watch shows.
    fn bury(&mut self) {
        let all = std::mem::take(&mut self.cluster.all).into_iter();
        let (gone, rest): (Vec<_>, _) = all.partition(|it| it.terminating);
        self.cluster.all = rest;
        for it in gone {
            self.happen(Event::Watched(DeploymentWatchEvent::Gone(Box::new(it))));
        }
        self.settle();
    }

    fn status_of(&self, name: &str) -> ServerWorkloadStatus {
        self.agent.deployments.server_status(name).expect("it is wanted")
    }
}

fn on_kubernetes(workload: &Workload) -> Workload {
    let content = Content { engine: Engine::Kubernetes, ..workload.content.clone() };
    Workload { profiles: workload.profiles.clone(), ..Workload::new(content) }
}

fn web() -> Workload {
    on_kubernetes(&gated("web", "low"))
}

/// A world in which it is available.
fn up(workload: &Workload) -> World {
    let mut world = World::new();
    world.want_and_settle(&[workload]);
    world.comes_to(workload.name(), Rollout::Available);
    assert_eq!(world.status_of(workload.name()), ServerWorkloadStatus::Running);
    world.took();
    world.said.clear();
    world
}

/// The same, and another one was applied after it.
fn up_beside(workload: &Workload, other: &Workload) -> World {
    let mut world = up(workload);
    world.want_and_settle(&[workload, other]);
    world.took();
    world.said.clear();
    world
}

#[test]
fn a_workload_is_applied_once_and_runs_when_its_pods_are_available() {
    let web = web();
    let mut world = World::new();
    world.want_and_settle(&[&web]);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Deploying);
    world.comes_to("web", Rollout::Available);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Running);
    world.pass(3600 * S);
    assert_eq!(world.took(), [format!("apply {} 1", web.id)]);
    assert_eq!(world.heard(), [Reason::Started]);
    assert!(world.pods.is_empty(), "podman has no part in it");
}

#[test]
fn profiles_scale_it_to_0_and_back_and_flapping_rests() {
    let web = web();
    let mut world = up(&web);
    world.post_and_settle("x", 5.0);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Stopped);
    world.post_and_settle("x", 1.0);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Deploying);
    assert_eq!(world.took(), [format!("apply {} 0", web.id), format!("apply {} 1", web.id)]);
    for x in [5.0, 1.0, 5.0, 1.0] {
        world.post_and_settle("x", x);
    }
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Stopped, "it rests");
    world.pass(31 * S);
    assert_eq!(world.cluster.all[0].replicas, 1);
    assert!(world.heard().contains(&Reason::Flapping));
}

#[test]
fn what_its_profiles_never_allowed_is_never_made() {
    let mut world = World::new();
    world.want(&[&on_kubernetes(&gated("web", "hot"))]);
    world.pass(600 * S);
    assert!(world.cluster.all.is_empty() && world.took().is_empty());
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Stopped);
}

#[test]
fn another_content_is_applied_to_the_same_deployment() {
    let web = web();
    let mut world = up(&web);
    let next = changed(&web);
    world.want_and_settle(&[&next]);
    assert_eq!(world.took(), [format!("apply {} 1", next.id)]);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Deploying);
    world.comes_to("web", Rollout::Available);
    assert_eq!((world.cluster.all.len(), world.status_of("web")), (1, ServerWorkloadStatus::Running));
}

#[test]
fn failing_pods_are_told_with_the_reason_and_so_is_their_recovery() {
    let mut world = up(&web());
    world.comes_to("web", Rollout::Unavailable("MinimumReplicasUnavailable".into()));
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Crashed, "it had come up");
    world.comes_to("web", Rollout::Available);
    world.comes_to("web", Rollout::Failed("ProgressDeadlineExceeded: no".into()));
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Crashed);
    assert!(world.said.iter().any(|it| it.message.ends_with("fails: ProgressDeadlineExceeded: no")));
    assert_eq!(world.heard(), [Reason::Failed, Reason::Started, Reason::Failed]);
    assert!(world.took().is_empty(), "that is Kubernetes' to put right");
}

#[test]
fn what_was_scaled_up_has_two_minutes_to_come_up() {
    let mut world = up(&web());
    world.post_and_settle("x", 5.0);
    world.post_and_settle("x", 1.0);
    world.comes_to("web", Rollout::Unavailable("no".into()));
    world.pass(119 * S);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Deploying);
    world.pass(2 * S);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Crashed);
}

#[test]
fn what_is_refused_is_tried_again_after_the_back_off_and_told_once() {
    let web = web();
    let mut world = World::new();
    world.cluster.refuses = Some("quota");
    world.want(&[&web]);
    world.pass(61 * S);
    assert_eq!(world.took().len(), 4, "at 0, 20, 40 and 60 s");
    assert_eq!(world.heard(), [Reason::BackOff]);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Crashed);
    world.want_and_settle(&[&changed(&web)]);
    assert_eq!(world.took().len(), 1, "another content waits for nothing");
    world.cluster.refuses = None;
    world.pass(20 * S);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Deploying);
}

#[test]
fn a_next_agent_adopts_what_is_there_and_removes_what_is_not_wanted() {
    let (web, old) = (web(), on_kubernetes(&workload("old", 1)));
    let mut world = up_beside(&web, &old);
    world.agent = World::new().agent;
    world.deployment_orders.clear();
    world.partial = true;
    world.want_and_settle(&[&web]);
    assert!(world.took().is_empty(), "it isn't known whether the other is wanted");
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Running);
    world.partial = false;
    world.want_and_settle(&[&web]);
    assert_eq!(world.took(), ["delete default/old"]);
    world.pass(600 * S);
    assert!(world.took().is_empty(), "it is on its way");
    assert_eq!(world.heard(), [Reason::Adopted, Reason::Removed]);
}

#[test]
fn what_is_wanted_again_while_it_leaves_is_made_anew_when_it_has_gone() {
    let web = web();
    let mut world = up(&web);
    world.want_and_settle(&[]);
    let next = changed(&web);
    world.want(&[&next]);
    world.pass(60 * S);
    assert_eq!(world.took(), ["delete default/web"]);
    world.bury();
    assert_eq!(world.took(), [format!("apply {} 1", next.id)]);
}

#[test]
fn a_workload_that_cannot_be_understood_stays_as_it_is() {
    let web = web();
    let mut world = up(&web);
    world.agent = World::new().agent;
    world.want_with_unreadable(&[], &["web"]);
    // the cluster is asked as soon as anything wants it
    world.want_with_unreadable(&[&on_kubernetes(&workload("other", 1))], &["web"]);
    world.settle();
    assert_eq!(world.took().len(), 1, "but for the other");
    assert_eq!(world.cluster.all.len(), 2);
}

#[test]
fn what_only_an_earlier_content_needed_goes_when_the_next_one_has_come_up() {
    let web = web();
    let mut content = web.content.clone();
    content.config_maps = vec![json!({ "metadata": { "name": "page" } })];
    let mut world = up(&Workload { profiles: web.profiles.clone(), ..Workload::new(content) });
    world.want(&[&web]);
    world.pass(600 * S);
    assert_eq!(world.took(), [format!("apply {} 1", web.id)], "the earlier pod may be the one that works");
    assert_eq!((world.cluster.all[0].dependents.len(), world.cluster.all[0].has_former), (1, true));
    world.comes_to("web", Rollout::Available);
    world.pass(600 * S);
    assert_eq!(world.took(), [format!("apply {} 1", web.id)], "once");
    assert!(world.cluster.all[0].dependents.is_empty());
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Running);
    assert_eq!(world.heard(), [Reason::Started]);
}

#[test]
fn moving_between_namespaces_and_engines_leaves_nothing_behind() {
    let web = web();
    let mut world = up(&web);
    let mut content = web.content.clone();
    content.namespace = "elsewhere".into();
    let moved = Workload::new(content);
    world.want_and_settle(&[&moved]);
    assert_eq!(world.took(), ["delete default/web".to_owned(), format!("apply {} 1", moved.id)]);
    world.bury();
    let pod = workload("web", 1);
    world.want_and_settle(&[&pod]);
    world.bury();
    assert!(world.cluster.all.is_empty());
    assert_eq!(world.ids(), [&pod.id]);
    world.want_and_settle(&[&moved]);
    assert_eq!((world.cluster.all.len(), world.pods.len()), (1, 0));
}

#[test]
fn eval_knows_of_a_deployment_what_conditions_know() {
    let mut world = up(&web());
    let report = world.report();
    let known = |fact: &str| report.built_in_metric(&format!("workload.web.{fact}"));
    assert_eq!(["ready", "running", "last_exit"].map(known), [Some(1.0), Some(1.0), None]);
    assert_eq!(report.built_in_metric("workload.other.ready"), None);
}

#[test]
fn what_others_change_is_put_right_but_not_in_a_race() {
    let web = web();
    let mut world = up(&web);
    world.pass(60 * S);
    for _ in 0..10 {
        let it = &mut world.cluster.all[0];
        (it.replicas, it.generation) = (3, it.generation + 1);
        world.comes_to("web", Rollout::Available);
        world.pass(5 * S);
    }
    assert!(matches!(world.took().len(), 2 | 3), "every 30 s");
    world.cluster.all.clear();
    world.pass(90 * S); // no watch, but a list
    assert_eq!(world.cluster.all.len(), 1);
}

#[test]
fn an_outage_changes_nothing_and_what_happened_meanwhile_is_seen_after_it() {
    let (web, other) = (web(), on_kubernetes(&workload("other", 1)));
    let mut world = up_beside(&web, &other);
    world.cluster.is_away = true;
    world.happen(Event::Watched(DeploymentWatchEvent::Lost));
    world.pass(60 * S);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Running, "as far as is known");
    world.want(&[&web]);
    world.cluster.is_away = false;
    for it in &mut world.cluster.all {
        it.rollout = Rollout::Failed("gone wrong".into());
        it.version += 100;
    }
    world.pass(31 * S);
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Crashed);
    assert_eq!(world.took(), ["delete default/other"]);
    let told = [Reason::EngineMissing, Reason::EngineBack, Reason::Failed, Reason::Removed];
    assert!(world.heard().iter().all(|reason| told.contains(reason)));
}

#[test]
fn what_is_older_than_what_is_known_says_nothing() {
    let mut world = up(&web());
    let mut old = world.cluster.all[0].clone();
    (old.version, old.rollout) = (0, Rollout::Failed("long ago".into()));
    world.happen(Event::Watched(DeploymentWatchEvent::Seen(Box::new(old))));
    assert_eq!(world.status_of("web"), ServerWorkloadStatus::Running);
}

#[test]
fn the_server_hears_how_it_is_and_a_disconnected_device_removes_it() {
    let web = on_kubernetes(&workload("web", 1));
    let mut world = linked(&[]);
    world.edge.configuration = configuration("2", &[&web]);
    world.pass(70 * S);
    world.comes_to("web", Rollout::Available);
    world.pass(70 * S);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!(
        (&beat.workloads[..], beat.degraded),
        (&[("web".into(), ServerWorkloadStatus::Running)][..], false)
    );
    world.comes_to("web", Rollout::Failed("no".into()));
    world.pass(70 * S);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!((beat.workloads[0].1, beat.degraded), (ServerWorkloadStatus::Crashed, true));
    world.edge.disconnects = true;
    world.pass(70 * S);
    assert!(world.cluster.all[0].terminating);
}

#[test]
fn a_new_one_is_as_it_is_since_it_came_and_a_removed_one_leaves_since_then() {
    let web = web();
    let mut world = World::new();
    world.want(&[]);
    world.pass(500 * S);
    world.want(&[&web]);
    world.pass(30 * S);
    let since = |world: &World| world.agent.report(world.now).workloads[0].since;
    assert_eq!(since(&world), Some(30));
    world.comes_to("web", Rollout::Available);
    world.pass(7 * S);
    assert_eq!(since(&world), Some(7));
    world.want(&[]);
    world.pass(3 * S);
    assert_eq!(since(&world), Some(3));
}

/// A life of changes, outages, refusals, lost watches and strangers. When the trouble stops, the cluster has what is
/// wanted, and nothing else of ours; and then it is quiet.
fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::new();
    let names = ["a", "b", "c"];
    let mut wanted = Vec::new();
    for _ in 0..60 {
        match random.below(9) {
            0 => world.cluster.is_away = true,
            1 => world.cluster.is_away = false,
            2 => world.cluster.refuses = [None, Some("quota")][random.below(2)],
            3 | 4 => {
                wanted =
                    names.map(|name| on_kubernetes(&gated(name, ["low", "hot"][random.below(2)]))).into();
                wanted.retain(|_| random.one_in(2));
                if random.one_in(2) {
                    wanted = wanted.iter().map(changed).collect();
                }
                world.want(&wanted.iter().collect::<Vec<_>>());
            }
            5 => world.post(["x", "hot"][random.below(2)], random.below(6) as f64),
            6 => world.bury(),
            7 if !world.cluster.all.is_empty() => {
                let it = random.below(world.cluster.all.len());
                let it = &mut world.cluster.all[it];
                (it.replicas, it.generation) = (random.below(3) as u32, it.generation + 1);
                let name = it.name.clone();
                if random.one_in(2) {
                    world.comes_to(&name, Rollout::Unavailable("x".into()));
                }
            }
            _ if random.one_in(3) => {
                world.agent = World::new().agent;
                world.deployment_orders.clear();
                world.want(&wanted.iter().collect::<Vec<_>>());
            }
            _ => world.happen(Event::Watched(DeploymentWatchEvent::Lost)),
        }
        if random.one_in(2) {
            world.pass(S * random.below(100) as u32);
        } else if random.one_in(2) && !world.deployment_orders.is_empty() {
            world.answer();
        }
    }
    (world.cluster.is_away, world.cluster.refuses) = (false, None);
    wanted.push(on_kubernetes(&gated("z", "low"))); // so that the cluster is asked
    world.want(&wanted.iter().collect::<Vec<_>>());
    world.post("x", 1.0);
    world.post("hot", 0.0);
    for _ in 0..3 {
        world.pass(600 * S);
        world.bury();
    }
    world.took();
    world.pass(600 * S);
    assert!(world.took().is_empty(), "seed {seed}: it isn't quiet");
    for workload in &wanted {
        let runs = workload.profiles[0].conditions[0].name == "low";
        let it = world.cluster.all.iter().find(|it| it.name == workload.name());
        assert_eq!(it.map_or(0, |it| it.replicas), u32::from(runs), "seed {seed}: {}", workload.name());
        assert!(it.is_none_or(|it| !runs || it.hash == workload.hash), "seed {seed}");
    }
    let strangers =
        world.cluster.all.iter().filter(|it| wanted.iter().all(|wanted| wanted.name() != it.name));
    assert_eq!(strangers.count(), 0, "seed {seed}");
}

#[test]
fn after_any_trouble_the_cluster_has_what_is_wanted() {
    (0..100).for_each(live);
}

#[test]
fn an_update_of_a_deployment_waits_and_what_runs_stays_over_a_restart() {
    let rules = update::UpdateRules { when: Some("moving == 0".into()), ..update::UpdateRules::default() };
    let web = Workload { update: Some(Box::new(rules)), ..web() };
    let new = Workload { update: web.update.clone(), ..changed(&web) };
    let mut world = up(&web);
    world.post("moving", 1.0);
    for _ in 0..2 {
        world.want(&[&new]);
        world.pass(60 * S);
        assert_eq!(world.took(), [""; 0]);
        assert_eq!(world.status_of("web"), ServerWorkloadStatus::Deploying, "what is asked for isn't there");
        let said = world.explain("web");
        assert!(said.starts_with("web is running\n"), "{said}");
        assert!(said.contains(": moving == 0, and moving is 1; "), "{said}");
        let (updates, orders) = (world.updates.clone(), world.deployment_orders.len());
        assert_eq!((updates.len(), orders), (1, 0));
        world.agent = Agent::new(Setup { updates, ..first_setup() });
        world.post("moving", 1.0);
    }
    world.want(&[&new]);
    world.pass(S);
    world.post("moving", 0.0);
    world.post("moving", 1.0);
    world.pass(S);
    assert_eq!(world.took(), [format!("apply {} 1", new.id)]);
    world.comes_to("web", Rollout::Available);
    world.pass(S);
    assert!(world.updates.is_empty() && world.shown("web").update.is_none());
    // one that isn't available is no loss
    world.comes_to("web", Rollout::Unavailable("crashes".into()));
    world.want(&[&web]);
    world.pass(S);
    assert_eq!(world.took(), [format!("apply {} 1", web.id)]);
}
