//! Notices that a pod wants more processes than it may have: the kernel counts the refusals in `pids.events`, and wakes
//! whoever watches that file. With control groups of version 1 newer kernels count and wake nobody: there the full look
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
};

use crate::{
    agent::{
        Event,
        part::Part,
        workload::{Engine, WorkloadId},
    },
    io::{lock, spawn},
};

const EVENTS: &str = "pids.events";
/// From one try to get an inotify instance to the next.
const RETRY: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The pods of one podman.
#[derive(Clone)]
pub(super) struct Forks(Arc<Shared>);

struct Shared {
    engine: Engine,
    events: Sender<Event>,
    /// When the kernel has one to give: what is missed without is seen by the full look.
    inotify: OnceLock<OwnedFd>,
    pods: Mutex<Vec<Pod>>,
}

struct Pod {
    id: WorkloadId,
    /// Of its containers.
    groups: Vec<PathBuf>,
    watches: Vec<i32>,
    /// How often it was refused a process.
    refusals: u64,
    /// It was told that it is refused some; until a full look finds no more refusals that goes for all that follow.
    told: bool,
}

impl Pod {
    /// Nothing when all its groups are gone.
    fn count(&self) -> Option<u64> {
        let counts = self.groups.iter().filter_map(|group| {
            let text = fs::read_to_string(group.join(EVENTS)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("max ")?.parse::<u64>().ok())
        });
        counts.reduce(u64::saturating_add)
    }

    /// The lowest of the limits that count for its groups.
    fn limit(&self) -> Option<u64> {
        let read = |group: &Path| fs::read_to_string(group.join("pids.max")).ok()?.trim().parse().ok();
        self.groups.iter().flat_map(|group| group.ancestors()).filter_map(read).min()
    }

    fn watch(&mut self, inotify: Option<&OwnedFd>) {
        let Some(inotify) = inotify else { return };
        let watch = |group: &PathBuf| inotify::add_watch(inotify, group.join(EVENTS), WatchFlags::MODIFY);
        self.watches = self.groups.iter().filter_map(|group| watch(group).ok()).collect();
    }

    /// A fork bomb would wake this thread thousands of times a second.
    fn unwatch(&mut self, inotify: Option<&OwnedFd>) {
        let Some(inotify) = inotify else { return };
        for watch in self.watches.drain(..) {
            let _ = inotify::remove_watch(inotify, watch); // the group is gone, and the watch with it
        }
    }
}

impl Forks {
    /// Starts the one thread that waits, for one engine.
    pub(super) fn start(engine: Engine, events: Sender<Event>) -> io::Result<Self> {
        let shared = Shared { engine, events, inotify: OnceLock::new(), pods: Mutex::default() };
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
                waiting.look(false);
            }
        })?;
        Ok(forks)
    }

    /// Until the kernel has an instance to give, and then watches all pods; `false`: nobody listens any more.
    fn wait_for_inotify(&self, mut error: rustix::io::Errno) -> bool {
        let Shared { engine, events, inotify, pods } = &*self.0;
        let tell = |result| events.send(Event::Works(Part::Forks(*engine), result)).is_ok();
        loop {
            if !tell(Err(format!("no inotify instance: {error}"))) {
                return false;
            }
            let _ = poll(&mut [], Some(&RETRY));
            match inotify::init(CreateFlags::CLOEXEC) {
                Ok(new) => drop(inotify.set(new)),
                Err(again) => {
                    error = again;
                    continue;
                }
            }
            lock(pods).iter_mut().filter(|pod| !pod.told).for_each(|pod| pod.watch(inotify.get()));
            self.look(false);
            return tell(Ok(()));
        }
    }

    /// From now on these are the control groups of the pod's containers.
    pub(super) fn watch(&self, id: &WorkloadId, groups: Vec<PathBuf>) {
        let mut pods = lock(&self.0.pods);
        if pods.iter().any(|pod| pod.id == *id && pod.groups == groups) {
            return;
        }
        pods.retain_mut(|pod| {
            let is_it = pod.id == *id;
            if is_it {
                pod.unwatch(self.0.inotify.get());
            }
            !is_it
        });
        if !groups.is_empty() {
            let mut pod = Pod { id: id.clone(), groups, watches: Vec::new(), refusals: 0, told: false };
            pod.watch(self.0.inotify.get());
            pods.push(pod);
            drop(pods);
            self.look(false); // it may have met its limit before anybody watched
        }
    }

    /// Reads all counters. `full`: it is the full look, which comes once in a while.
    pub(super) fn look(&self, full: bool) {
        let Shared { engine, events, inotify, pods } = &*self.0;
        let inotify = inotify.get();
        lock(pods).retain_mut(|pod| {
            let Some(refusals) = pod.count() else {
                pod.unwatch(inotify);
                return false;
            };
            let more = refusals > std::mem::replace(&mut pod.refusals, refusals);
            if more && !pod.told {
                pod.unwatch(inotify);
                let _ = events.send(Event::Refused(*engine, pod.id.clone(), pod.limit())); // or the agent ends
            } else if pod.told && full && !more {
                pod.watch(inotify);
                pod.told = false;
            }
            pod.told |= more;
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;

    const ENGINE: Engine = Engine::Podman { rootless: false };
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Bed {
        root: tempfile::TempDir,
        forks: Forks,
        events: Receiver<Event>,
    }

    impl Bed {
        /// A pod with two containers, of which one was refused so many processes.
        fn new(refusals: u64) -> Self {
            let root = tempfile::tempdir().unwrap();
            let (sender, events) = unbounded();
            let bed = Self { root, forks: Forks::start(ENGINE, sender).unwrap(), events };
            for container in ["a", "b"] {
                fs::create_dir_all(bed.group(container)).unwrap();
                fs::write(bed.group(container).join("pids.max"), "max\n").unwrap();
                fs::write(bed.group(container).join(EVENTS), "max 0\n").unwrap();
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
            fs::write(self.group("b").join(EVENTS), format!("max {times}\n")).unwrap();
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
            bed.forks.look(true);
        }
        assert!(bed.events.is_empty());
        bed.forks.look(true);
        bed.refuse(10);
        bed.is_told();
    }

    #[test]
    fn what_was_refused_before_anybody_watched_is_told_and_not_again_when_the_pod_is_looked_at() {
        let bed = Bed::new(3);
        bed.is_told();
        let groups = ["a", "b"].map(|container| bed.group(container)).to_vec();
        bed.forks.watch(&Bed::pod(), groups);
        assert!(bed.events.is_empty());
    }

    #[test]
    fn nobody_is_watched_any_more_when_the_pod_is_gone() {
        let bed = Bed::new(0);
        fs::remove_dir_all(bed.root.path().join("pod")).unwrap();
        bed.forks.look(true);
        assert!(lock(&bed.forks.0.pods).is_empty());
    }
}
