//! Notices that a pod wants more processes than it may have: the kernel counts the refusals in `pids.events`, and wakes
//! what watches that file. With control groups of version 1 newer kernels count and wake nothing: there the full look
//! has to see it.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use crossbeam_channel::Sender;
use rustix::{
    event::{Timespec, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
};

use crate::{
    agent::{
        Event,
        model::{
            subsystem::Subsystem,
            workload::{Engine, WorkloadId},
        },
    },
    io::{lock, spawn},
};

const PIDS_EVENTS_FILE: &str = "pids.events";
/// From one try to get an inotify instance to the next.
const RETRY_INTERVAL: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The pods of one podman.
#[derive(Clone)]
pub(super) struct ForkLimitWatcher(Arc<SharedForkLimitWatcher>);

struct SharedForkLimitWatcher {
    engine: Engine,
    events: Sender<Event>,
    /// When the kernel has one to give: what is missed without is seen by the full look.
    inotify: OnceLock<OwnedFd>,
    pods: Mutex<WatchedForkPods>,
}

#[derive(Default)]
struct WatchedForkPods {
    all: Vec<WatchedPod>,
    /// The kernel has no watch for some, as told.
    short: Option<Errno>,
}

struct WatchedPod {
    id: WorkloadId,
    /// Of its containers.
    groups: Vec<PathBuf>,
    watches: Vec<i32>,
    /// Why it isn't watched as it should be.
    short: Option<Errno>,
    /// How often it was refused a process.
    refusals: u64,
    /// It was told that it is refused some; until a full look finds no more refusals that goes for all that follow.
    told: bool,
}

impl WatchedPod {
    /// Nothing when all its groups are gone.
    fn refused_forks(&self) -> Option<u64> {
        let counts = self.groups.iter().filter_map(|group| {
            let text = fs::read_to_string(group.join(PIDS_EVENTS_FILE)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("max ")?.parse::<u64>().ok())
        });
        counts.reduce(u64::saturating_add)
    }

    /// The lowest of the limits that count for its groups.
    fn lowest_pids_limit(&self) -> Option<u64> {
        let read = |group: &Path| fs::read_to_string(group.join("pids.max")).ok()?.trim().parse().ok();
        self.groups.iter().flat_map(|group| group.ancestors()).filter_map(read).min()
    }

    fn watch(&mut self, inotify: Option<&OwnedFd>) {
        let Some(inotify) = inotify else { return };
        (self.watches, self.short) = (Vec::new(), None);
        for group in &self.groups {
            match inotify::add_watch(inotify, group.join(PIDS_EVENTS_FILE), WatchFlags::MODIFY) {
                Ok(watch) => self.watches.push(watch),
                Err(error @ (Errno::NOSPC | Errno::NOMEM)) => self.short = Some(error),
                Err(_) => {} // the group is gone
            }
        }
    }

    /// A fork bomb would wake this thread thousands of times a second.
    fn unwatch(&mut self, inotify: Option<&OwnedFd>) {
        let Some(inotify) = inotify else { return };
        self.short = None;
        for watch in self.watches.drain(..) {
            let _ = inotify::remove_watch(inotify, watch); // the group is gone, and the watch with it
        }
    }
}

impl ForkLimitWatcher {
    /// Starts the one thread that waits, for one engine.
    pub(super) fn start(engine: Engine, events: Sender<Event>) -> io::Result<Self> {
        let shared =
            SharedForkLimitWatcher { engine, events, inotify: OnceLock::new(), pods: Mutex::default() };
        let forks = Self(Arc::new(shared));
        let first = inotify::init(CreateFlags::CLOEXEC).map(|inotify| forks.0.inotify.set(inotify));
        let waiting = forks.clone();
        spawn("forks", move || {
            if let Err(error) = first
                && !waiting.wait_for_inotify(error)
            {
                return;
            }
            let Some(inotify) = waiting.0.inotify.get() else { return };
            // which file it was doesn't matter
            while rustix::io::retry_on_intr(|| rustix::io::read(inotify, &mut [0; 512])).is_ok() {
                waiting.check_counters(false);
            }
        })?;
        Ok(forks)
    }

    /// Until the kernel has an instance to give, and then watches all pods; `false`: the agent ends.
    fn wait_for_inotify(&self, mut error: Errno) -> bool {
        let SharedForkLimitWatcher { engine, events, inotify, pods } = &*self.0;
        let tell = |result| events.send(Event::Works(Subsystem::Forks(*engine), result)).is_ok();
        loop {
            if !tell(Err(format!("no inotify instance: {error}"))) {
                return false;
            }
            let _ = poll(&mut [], Some(&RETRY_INTERVAL));
            match inotify::init(CreateFlags::CLOEXEC) {
                Ok(new) => drop(inotify.set(new)),
                Err(again) => {
                    error = again;
                    continue;
                }
            }
            lock(pods).all.iter_mut().filter(|pod| !pod.told).for_each(|pod| pod.watch(inotify.get()));
            let goes_on = tell(Ok(()));
            self.check_counters(false);
            return goes_on;
        }
    }

    /// From now on these are the control groups of the pod's containers.
    pub(super) fn watch(&self, id: &WorkloadId, groups: Vec<PathBuf>) {
        let mut pods = lock(&self.0.pods);
        if pods.all.iter().any(|pod| pod.id == *id && pod.groups == groups) {
            return;
        }
        pods.all.retain_mut(|pod| {
            let is_it = pod.id == *id;
            if is_it {
                pod.unwatch(self.0.inotify.get());
            }
            !is_it
        });
        if !groups.is_empty() {
            let mut pod = WatchedPod {
                id: id.clone(),
                groups,
                watches: Vec::new(),
                short: None,
                refusals: 0,
                told: false,
            };
            pod.watch(self.0.inotify.get());
            pods.all.push(pod);
            drop(pods);
            self.check_counters(false); // it may have met its limit before it was watched
        }
    }

    /// Reads all counters. `full`: it is the full look, which comes once in a while.
    pub(super) fn check_counters(&self, full: bool) {
        let SharedForkLimitWatcher { engine, events, inotify, pods } = &*self.0;
        let inotify = inotify.get();
        let mut pods = lock(pods);
        pods.all.retain_mut(|pod| {
            if pod.told && !full {
                return true; // what another pod's refusals wake this for would hide that it is refused more
            }
            let Some(refusals) = pod.refused_forks() else {
                pod.unwatch(inotify);
                return false;
            };
            let more = refusals > std::mem::replace(&mut pod.refusals, refusals);
            if more && !pod.told {
                pod.unwatch(inotify);
                let _ = events.send(Event::Refused(*engine, pod.id.clone(), pod.lowest_pids_limit())); // or the agent ends
            } else if full && !more && (pod.told || pod.short.is_some()) {
                pod.watch(inotify);
                pod.told = false;
            }
            pod.told |= more;
            true
        });
        let short = pods.all.iter().find_map(|pod| pod.short);
        if short != std::mem::replace(&mut pods.short, short) {
            let result = short.map_or(Ok(()), |error| Err(format!("no inotify watch: {error}")));
            let _ = events.send(Event::Works(Subsystem::Forks(*engine), result));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command, time::Duration};

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;

    const ENGINE: Engine = Engine::Podman { rootless: false };
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Bed {
        root: tempfile::TempDir,
        forks: ForkLimitWatcher,
        events: Receiver<Event>,
    }

    impl Bed {
        /// A pod with two containers, of which one was refused so many processes.
        fn new(refusals: u64) -> Self {
            let root = tempfile::tempdir().unwrap();
            let (sender, events) = unbounded();
            let bed = Self { root, forks: ForkLimitWatcher::start(ENGINE, sender).unwrap(), events };
            for container in ["a", "b"] {
                fs::create_dir_all(bed.group(container)).unwrap();
                fs::write(bed.group(container).join("pids.max"), "max\n").unwrap();
                fs::write(bed.group(container).join(PIDS_EVENTS_FILE), "max 0\n").unwrap();
            }
            fs::write(bed.root.path().join("pod/pids.max"), "512\n").unwrap();
            bed.refuse(refusals);
            let groups = ["a", "b"].map(|container| bed.group(container)).to_vec();
            bed.forks.watch(&Self::pod(), groups);
            bed
        }

        fn pod() -> WorkloadId {
            WorkloadId::from_pod_name("p")
        }

        fn group(&self, container: &str) -> PathBuf {
            self.root.path().join("pod").join(container)
        }

        fn refuse(&self, times: u64) {
            fs::write(self.group("b").join(PIDS_EVENTS_FILE), format!("max {times}\n")).unwrap();
        }

        fn is_told(&self) {
            let told = self.events.recv_timeout(PATIENCE);
            assert_eq!(told, Ok(Event::Refused(ENGINE, Self::pod(), Some(512))));
        }
    }

    #[test]
    fn a_pod_that_is_refused_processes_is_told_once_until_it_has_had_enough_for_a_while() {
        let bed = Bed::new(0);
        bed.refuse(7);
        bed.is_told();
        for more in [8, 9] {
            bed.refuse(more);
            bed.forks.check_counters(true);
        }
        assert!(bed.events.is_empty());
        bed.forks.check_counters(true);
        bed.refuse(10);
        bed.is_told();
        bed.refuse(11);
        bed.forks.check_counters(false);
        bed.forks.check_counters(true);
        bed.refuse(12);
        bed.forks.check_counters(true);
        assert!(bed.events.is_empty(), "whatever else wakes it in between");
    }

    #[test]
    fn what_was_refused_before_the_watch_is_told_and_not_again_when_the_pod_is_looked_at() {
        let bed = Bed::new(3);
        bed.is_told();
        let groups = ["a", "b"].map(|container| bed.group(container)).to_vec();
        bed.forks.watch(&Bed::pod(), groups);
        assert!(bed.events.is_empty());
    }

    #[test]
    fn a_pod_that_is_gone_is_watched_no_more() {
        let bed = Bed::new(0);
        fs::remove_dir_all(bed.root.path().join("pod")).unwrap();
        bed.forks.check_counters(true);
        assert!(lock(&bed.forks.0.pods).all.is_empty());
    }

    #[test]
    fn watches_that_are_used_up_are_told_and_so_is_that_there_are_some_again() {
        const INSIDE: &str = "DWNG_FEW_WATCHES";
        const LIMIT: &str = "/proc/sys/user/max_inotify_watches";
        if env::var_os(INSIDE).is_none() {
            // the limit is a user namespace's
            let mut inside = Command::new("unshare");
            inside.args(["--user", "--map-root-user"]).arg(env::current_exe().unwrap()).env(INSIDE, "");
            let output = inside.arg("watches_that_are_used_up").output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            if said.starts_with("unshare: ") {
                return println!("skipped: {said}");
            }
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        fs::write(LIMIT, "1").unwrap();
        let bed = Bed::new(0);
        let told = |result| {
            let works = Event::Works(Subsystem::Forks(ENGINE), result);
            assert_eq!(bed.events.recv_timeout(PATIENCE), Ok(works));
        };
        told(Err("no inotify watch: No space left on device (os error 28)".into()));
        bed.forks.check_counters(true);
        assert!(bed.events.is_empty(), "once");
        fs::write(LIMIT, "100").unwrap();
        bed.forks.check_counters(true);
        told(Ok(()));
    }
}
