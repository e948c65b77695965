//! Notices that a container's process ended, without asking podman: the kernel tells.
//!
//! A container has two processes: its own, and `conmon`, which waits for it. When the first ends, podman still
//! calls it running; only when `conmon` ends as well, a tenth of a second later, is podman's clean-up through.
//! So the end of the first starts a wait for the end of the second.
//!
//! An agent that lives in another PID namespace than podman can't see these processes. It registers them by
//! name only, and what hears of their end calls [`ExitWatcher::report_death`].

mod conmon;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod memory;

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crossbeam_channel::Sender;
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{lock, since_boot, spawn_with_stack};
use crate::agent::{
    Event,
    model::workload::{Engine, WorkloadId},
};
pub use conmon::Exit;
use conmon::ExitFiles;

/// How long podman's clean-up may take after the process has ended, before the pod is looked at all the same.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);
const STACK: usize = 64 * 1024;
/// Of the containers that ran out of memory, so many are remembered.
const MAX_OOM_REMEMBERED: usize = 64;
/// In the epoll set: the exit files.
const EXIT_FILES_TOKEN: u64 = u64::MAX;

/// One container's processes.
#[derive(Debug)]
pub struct ContainerProcesses {
    container: String,
    /// Of its own, while that is open.
    pid: i32,
    /// Until it has ended.
    own: Option<OwnedFd>,
    /// Until it has ended; a container whose `conmon` was killed lives on without.
    conmon: Option<OwnedFd>,
    /// Where that writes how the container ended.
    exit_file: Option<PathBuf>,
    /// What it wrote.
    exit: Option<Exit>,
    /// Where the kernel counts what it kills in its control group.
    kills: Option<PathBuf>,
    /// Known by name only.
    elsewhere: bool,
}

/// Why a process can't be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchError {
    /// Neither process exists (here).
    Gone,
    /// These processes are others than podman means, or the kernel can't watch processes.
    Unknown,
}

impl ContainerProcesses {
    /// Opens the processes that podman names for a container, and makes sure that they are it: pids are
    /// reused, and mean something else in another namespace.
    pub fn open(container: &str, pid: i32, conmon_pid: i32) -> Result<Self, WatchError> {
        let open = |pid: i32, is_it: &mut dyn FnMut() -> bool| -> Result<Option<OwnedFd>, WatchError> {
            let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
            match pidfd_open(pid, PidfdFlags::empty()) {
                // checked only now: from here on the descriptor is this very process, whatever it is
                Ok(process) if is_it() => Ok(Some(process)),
                Ok(_) => Err(WatchError::Unknown),
                Err(rustix::io::Errno::SRCH) => Ok(None),
                Err(_) => Err(WatchError::Unknown),
            }
        };
        let mut cmdline = Vec::new();
        let conmon = open(conmon_pid, &mut || {
            cmdline = proc_file(conmon_pid, "cmdline");
            mentions(&cmdline, container)
        })?;
        let is_child = || conmon.is_some() && parent_pid(pid) == Some(conmon_pid);
        let own = open(pid, &mut || is_child() || proc_file_mentions(pid, "cgroup", container))?;
        if own.is_none() && conmon.is_none() {
            return Err(WatchError::Gone);
        }
        let exit_file = conmon::exit_file(&cmdline, container);
        let kills = own.as_ref().and_then(|_| memory::oom_kills_file(&proc_file(pid, "cgroup"), container));
        let (container, exit, elsewhere) = (container.into(), None, false);
        Ok(Self { container, pid, own, conmon, exit_file, exit, kills, elsewhere })
    }

    /// Whether its own process lives, and `conmon` waits for it.
    pub fn has_both_processes(&self) -> bool {
        self.own.is_some() && self.conmon.is_some()
    }

    /// A container whose end has to be noticed elsewhere.
    pub fn watched_elsewhere(container: &str) -> Self {
        Self {
            container: container.into(),
            pid: 0,
            own: None,
            conmon: None,
            exit_file: None,
            exit: None,
            kills: None,
            elsewhere: true,
        }
    }
}

/// Whether the process's file in `/proc` holds this text.
pub(super) fn proc_file_mentions(pid: i32, file: &str, text: &str) -> bool {
    mentions(&proc_file(pid, file), text)
}

fn proc_file(pid: i32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

fn mentions(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The process that waits for this one.
pub(super) fn parent_pid(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state parent`, and a name may contain anything
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Watches the processes of pods, and tells of the first one that ends in each as [`Event::Exited`].
#[derive(Clone)]
pub struct ExitWatcher {
    shared: Arc<SharedExitWatcher>,
}

struct SharedExitWatcher {
    engine: Engine,
    events: Sender<Event>,
    epoll: OwnedFd,
    /// Unless the kernel has none to give: podman knows as well.
    files: Option<ExitFiles>,
    pods: Mutex<WatchedPods>,
}

#[derive(Default)]
struct WatchedPods {
    next: u64,
    watched: HashMap<WorkloadId, Vec<WatchedProcess>>,
    /// What is known of those that ended in pods that were not looked at since.
    ended: HashMap<WorkloadId, Vec<(String, Exit)>>,
    /// Containers that ended for want of memory, by their ids: few, and the newest.
    ran_out: VecDeque<String>,
}

impl WatchedPods {
    fn forget(&mut self, pod: &WorkloadId) {
        // a closed descriptor leaves the epoll set by itself
        self.watched.remove(pod);
        self.ended.remove(pod);
    }
}

/// A process with its number in the epoll set: twice this, and one more for `conmon`.
struct WatchedProcess {
    number: u64,
    process: ContainerProcesses,
    /// Since boot, once the container's own process has ended: podman's clean-up takes no longer.
    ended_by: Option<Duration>,
}

impl WatchedProcess {
    fn has_ended(&self, now: Duration) -> bool {
        !self.process.elsewhere
            && self.process.own.is_none()
            && (self.process.conmon.is_none() || self.ended_by.is_some_and(|by| by <= now))
    }
}

/// While it lives, no exit is told.
pub struct ExitEventsGuard<'a> {
    _pods: MutexGuard<'a, WatchedPods>,
}

impl ExitWatcher {
    /// Starts the one thread that waits, for one engine.
    pub fn start(engine: Engine, events: Sender<Event>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let files = ExitFiles::new().ok();
        if let Some(files) = &files {
            epoll::add(&epoll, files, epoll::EventData::new_u64(EXIT_FILES_TOKEN), epoll::EventFlags::IN)?;
        }
        let shared = Arc::new(SharedExitWatcher { engine, events, epoll, files, pods: Mutex::default() });
        let exits = Self { shared: Arc::clone(&shared) };
        spawn_with_stack("exits", STACK, move || shared.watch_loop())?;
        Ok(exits)
    }

    /// From now on these are the pod's processes; a pod that has none is not watched. Told once: after an
    /// exit the pod has to be registered anew.
    ///
    /// Who keeps what this returns until it has told what it found can be sure that no exit overtakes it.
    pub fn watch(&self, pod: &WorkloadId, processes: Vec<ContainerProcesses>) -> ExitEventsGuard<'_> {
        let mut pods = self.shared.lock();
        pods.forget(pod);
        let mut watched = Vec::with_capacity(processes.len());
        for process in processes {
            let number = pods.next;
            pods.next += 1;
            for (fd, data) in [(&process.own, number * 2), (&process.conmon, number * 2 + 1)] {
                let Some(fd) = fd else { continue };
                let data = epoll::EventData::new_u64(data);
                if let Err(error) = epoll::add(&self.shared.epoll, fd, data, epoll::EventFlags::IN) {
                    log::warn!("failed to watch a process of '{pod}': {error}");
                }
            }
            if let (Some(files), Some(file)) = (&self.shared.files, &process.exit_file) {
                files.watch(file);
            }
            // it was started again
            pods.ran_out.retain(|id| *id != process.container);
            watched.push(WatchedProcess { number, process, ended_by: None });
        }
        if !watched.is_empty() {
            pods.watched.insert(pod.clone(), watched);
        }
        ExitEventsGuard { _pods: pods }
    }

    /// The pod goes: its exits don't matter any more.
    pub fn forget(&self, pod: &WorkloadId) {
        self.shared.lock().forget(pod);
    }

    /// Those of the pod's containers that are known to have ended, and how; told once.
    pub fn take_exits(&self, pod: &WorkloadId) -> Vec<(String, Exit)> {
        self.shared.lock().ended.remove(pod).unwrap_or_default()
    }

    /// Whether this container ended for want of memory, as far as the kernel could be asked.
    pub fn was_oom_killed(&self, container: &str) -> bool {
        self.shared.lock().ran_out.iter().any(|id| id == container)
    }

    /// The containers that run: the pod, the container's id, and its first process if it can be seen from here.
    pub fn running_containers(&self) -> Vec<(WorkloadId, String, Option<i32>)> {
        let pods = self.shared.lock();
        let all = pods.watched.iter().flat_map(|(pod, all)| all.iter().map(move |one| (pod, &one.process)));
        let alive = all.filter(|(_, process)| process.own.is_some() || process.elsewhere);
        alive
            .map(|(pod, it)| (pod.clone(), it.container.clone(), it.own.is_some().then_some(it.pid)))
            .collect()
    }

    /// Ends the pod's containers without podman: SIGTERM, and SIGKILL to what is left after `grace`. When the first
    /// process of a namespace ends, the kernel ends the others.
    pub fn terminate(&self, pod: &WorkloadId, grace: Duration) {
        let open = |watched: &WatchedProcess| watched.process.own.as_ref()?.try_clone().ok();
        let processes: Vec<OwnedFd> =
            self.shared.lock().watched.get(pod).into_iter().flatten().filter_map(open).collect();
        let signal = |signal: Signal| {
            for process in &processes {
                // gone, or not ours to signal: podman ends it then
                let _ = pidfd_send_signal(process, signal);
            }
        };
        signal(Signal::TERM);
        let deadline = since_boot() + grace;
        for process in &processes {
            let left = Timespec::try_from(deadline.saturating_sub(since_boot()));
            let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], left.ok().as_ref());
        }
        signal(Signal::KILL);
    }

    /// The end was noticed elsewhere of a container that was registered as [`ContainerProcesses::watched_elsewhere`].
    pub fn report_death(&self, container: &str) {
        let mut pods = self.shared.lock();
        let is_it =
            |watched: &WatchedProcess| watched.process.elsewhere && watched.process.container == container;
        let pod = pods.watched.iter().find(|(_, all)| all.iter().any(is_it)).map(|(pod, _)| pod.clone());
        if let Some(pod) = pod {
            pods.watched.remove(&pod);
            drop(pods);
            self.shared.send_exited(pod);
        }
    }
}

impl SharedExitWatcher {
    fn lock(&self) -> MutexGuard<'_, WatchedPods> {
        lock(&self.pods)
    }

    fn send_exited(&self, pod: WorkloadId) {
        let _ = self.events.send(Event::Exited(self.engine, pod)); // an error: the agent ends
    }

    fn watch_loop(&self) {
        let mut fired = Vec::with_capacity(16);
        let mut deadline: Option<Duration> = None;
        loop {
            let timeout = deadline.map(|deadline| {
                Timespec::try_from(deadline.saturating_sub(since_boot()))
                    .unwrap_or(Timespec { tv_sec: 5, tv_nsec: 0 })
            });
            fired.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut fired), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    log::error!("failed to wait for processes: {error}");
                    return;
                }
            }
            let (ended, next) = self.collect_ended_pods(&fired);
            deadline = next;
            ended.into_iter().for_each(|pod| self.send_exited(pod));
        }
    }

    /// Takes out the pods of which a process has ended for good, and says when to look again at the latest.
    fn collect_ended_pods(&self, fired: &[epoll::Event]) -> (Vec<WorkloadId>, Option<Duration>) {
        let mut pods = self.lock();
        let now = since_boot();
        // before conmon's end is acted upon: it wrote earlier
        if let Some(files) = &self.files {
            files.tell_new_files(|container| {
                let mut all = pods.watched.values_mut().flatten().map(|one| &mut one.process);
                if let Some(process) = all.find(|process| process.container == container) {
                    process.exit = process.exit_file.as_deref().and_then(conmon::read);
                }
            });
        }
        let mut starved = Vec::new();
        for event in fired {
            let data = event.data.u64();
            if data == EXIT_FILES_TOKEN {
                continue;
            }
            let Some(watched) = pods.watched.values_mut().flatten().find(|one| one.number == data / 2) else {
                continue;
            };
            if data % 2 == 1 {
                watched.process.conmon = None;
            } else {
                watched.process.own = None;
                // at once: the runtime removes its control group
                if watched.process.kills.take().is_some_and(|file| memory::records_oom_kill(&file)) {
                    starved.push(watched.process.container.clone());
                }
                watched.ended_by = Some(now + CLEANUP_TIMEOUT);
            }
        }
        pods.ran_out.extend(starved);
        let surplus = pods.ran_out.len().saturating_sub(MAX_OOM_REMEMBERED);
        pods.ran_out.drain(..surplus);
        let WatchedPods { watched, ended, .. } = &mut *pods;
        let over = watched.extract_if(|_, all| all.iter().any(|one| one.has_ended(now)));
        let over = over.map(|(pod, all)| {
            ended.insert(pod.clone(), exit_statuses(all));
            pod
        });
        let over = over.collect();
        let next = watched.values().flatten().filter_map(|one| one.ended_by).min();
        (over, next)
    }
}

/// Of those that ended. A clean-up by podman that takes too long changes nothing about it.
fn exit_statuses(all: Vec<WatchedProcess>) -> Vec<(String, Exit)> {
    let over = all.into_iter().map(|one| one.process).filter(|process| process.own.is_none());
    over.filter_map(|process| Some((process.container, process.exit?))).collect()
}

#[cfg(test)]
mod tests;
