//! Notices that a container's process ended, without asking podman: the kernel tells.
//!
//! A container has two processes: its own, and `conmon`, which waits for it. When the first ends, podman still
//! calls it running; only when `conmon` ends as well, a tenth of a second later, does an inspection tell the
//! exit code. So the end of the first starts a wait for the end of the second.
//!
//! An agent that lives in another PID namespace than podman can't see these processes. It registers them by
//! name only, and whoever hears of their end calls [`Exits::died`].

use std::{
    collections::HashMap,
    fs, io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use crossbeam_channel::Sender;
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{lock, since_boot};
use crate::agent::{
    Event,
    workload::{Engine, WorkloadId},
};

/// How long podman's clean-up may take after the process has ended, before somebody looks all the same.
const CLEAN_UP: Duration = Duration::from_secs(5);
const STACK: usize = 64 * 1024;

/// One container's processes.
#[derive(Debug)]
pub struct Process {
    container: String,
    /// Of its own, while that is open.
    pid: i32,
    /// Until it has ended.
    own: Option<OwnedFd>,
    /// Until it has ended; a container whose `conmon` was killed lives on without.
    conmon: Option<OwnedFd>,
    /// Known by name only.
    elsewhere: bool,
}

/// Why a process can't be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwatchable {
    /// Neither process exists (here).
    Gone,
    /// These processes are others than podman means, or the kernel can't watch processes.
    Unknown,
}

impl Process {
    /// Opens the processes that podman names for a container, and makes sure that they are it: pids are
    /// reused, and mean something else in another namespace.
    pub fn open(container: &str, pid: i32, conmon_pid: i32) -> Result<Self, Unwatchable> {
        let open = |pid: i32, is_it: &dyn Fn() -> bool| -> Result<Option<OwnedFd>, Unwatchable> {
            let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
            match pidfd_open(pid, PidfdFlags::empty()) {
                // checked only now: from here on the descriptor is this very process, whatever it is
                Ok(process) if is_it() => Ok(Some(process)),
                Ok(_) => Err(Unwatchable::Unknown),
                Err(rustix::io::Errno::SRCH) => Ok(None),
                Err(_) => Err(Unwatchable::Unknown),
            }
        };
        let conmon = open(conmon_pid, &|| proc_file_mentions(conmon_pid, "cmdline", container))?;
        let is_child = || conmon.is_some() && parent(pid) == Some(conmon_pid);
        let own = open(pid, &|| is_child() || proc_file_mentions(pid, "cgroup", container))?;
        if own.is_none() && conmon.is_none() {
            return Err(Unwatchable::Gone);
        }
        Ok(Self { container: container.into(), pid, own, conmon, elsewhere: false })
    }

    /// A container whose end somebody else has to notice.
    pub fn elsewhere(container: &str) -> Self {
        Self { container: container.into(), pid: 0, own: None, conmon: None, elsewhere: true }
    }
}

/// Whether the process's file in `/proc` holds this text.
pub(super) fn proc_file_mentions(pid: i32, file: &str, text: &str) -> bool {
    let content = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The process that waits for this one.
pub(super) fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state parent`, and a name may contain anything
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Watches the processes of pods, and tells of the first one that ends in each as [`Event::Exited`].
#[derive(Clone)]
pub struct Exits {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    events: Sender<Event>,
    epoll: OwnedFd,
    pods: Mutex<Pods>,
}

#[derive(Default)]
struct Pods {
    next: u64,
    watched: HashMap<WorkloadId, Vec<Watched>>,
}

/// A process with its number in the epoll set: twice this, and one more for `conmon`.
struct Watched {
    number: u64,
    process: Process,
    /// Since boot, once the container's own process has ended: podman's clean-up takes no longer.
    ended_by: Option<Duration>,
}

impl Watched {
    fn has_ended(&self, now: Duration) -> bool {
        !self.process.elsewhere
            && self.process.own.is_none()
            && (self.process.conmon.is_none() || self.ended_by.is_some_and(|by| by <= now))
    }
}

/// While it lives, no exit is told.
pub struct Quiet<'a> {
    _pods: MutexGuard<'a, Pods>,
}

impl Exits {
    /// Starts the one thread that waits, for one engine.
    pub fn start(engine: Engine, events: Sender<Event>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let shared = Arc::new(Shared { engine, events, epoll, pods: Mutex::default() });
        let exits = Self { shared: Arc::clone(&shared) };
        thread::Builder::new().name("exits".into()).stack_size(STACK).spawn(move || shared.wait())?;
        Ok(exits)
    }

    /// From now on these are the pod's processes; a pod that has none is not watched. Told once: after an
    /// exit the pod has to be registered anew.
    ///
    /// Who keeps what this returns until it has told what it found can be sure that no exit overtakes it.
    pub fn watch(&self, pod: &WorkloadId, processes: Vec<Process>) -> Quiet<'_> {
        let mut pods = self.shared.lock();
        pods.watched.remove(pod);
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
            watched.push(Watched { number, process, ended_by: None });
        }
        if !watched.is_empty() {
            pods.watched.insert(pod.clone(), watched);
        }
        Quiet { _pods: pods }
    }

    /// The pod goes: its exits are nobody's business any more.
    pub fn forget(&self, pod: &WorkloadId) {
        // a closed descriptor leaves the epoll set by itself
        self.shared.lock().watched.remove(pod);
    }

    /// The containers that run: the pod, the container's id, and its first process if it can be seen from here.
    pub fn running(&self) -> Vec<(WorkloadId, String, Option<i32>)> {
        let pods = self.shared.lock();
        let all = pods.watched.iter().flat_map(|(pod, all)| all.iter().map(move |one| (pod, &one.process)));
        let alive = all.filter(|(_, process)| process.own.is_some() || process.elsewhere);
        alive
            .map(|(pod, it)| (pod.clone(), it.container.clone(), it.own.is_some().then_some(it.pid)))
            .collect()
    }

    /// Ends the pod's containers without podman: SIGTERM, and SIGKILL to what is left after `grace`. When the first
    /// process of a namespace ends, the kernel ends the others.
    pub fn end(&self, pod: &WorkloadId, grace: Duration) {
        let open = |watched: &Watched| watched.process.own.as_ref()?.try_clone().ok();
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

    /// Somebody else noticed the end of a container that was registered as [`Process::elsewhere`].
    pub fn died(&self, container: &str) {
        let mut pods = self.shared.lock();
        let is_it = |watched: &Watched| watched.process.elsewhere && watched.process.container == container;
        let pod = pods.watched.iter().find(|(_, all)| all.iter().any(is_it)).map(|(pod, _)| pod.clone());
        if let Some(pod) = pod {
            pods.watched.remove(&pod);
            drop(pods);
            self.shared.tell(pod);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pods> {
        lock(&self.pods)
    }

    fn tell(&self, pod: WorkloadId) {
        let _ = self.events.send(Event::Exited(self.engine, pod)); // nobody listens: the agent ends
    }

    fn wait(&self) {
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
            let (ended, next) = self.sort_out(&fired);
            deadline = next;
            ended.into_iter().for_each(|pod| self.tell(pod));
        }
    }

    /// Takes out the pods of which a process has ended for good, and says when to look again at the latest.
    fn sort_out(&self, fired: &[epoll::Event]) -> (Vec<WorkloadId>, Option<Duration>) {
        let mut pods = self.lock();
        let now = since_boot();
        for event in fired {
            let data = event.data.u64();
            let Some(watched) = pods.watched.values_mut().flatten().find(|one| one.number == data / 2) else {
                continue;
            };
            if data % 2 == 1 {
                watched.process.conmon = None;
            } else {
                watched.process.own = None;
                watched.ended_by = Some(now + CLEAN_UP);
            }
        }
        let ended = pods.watched.extract_if(|_, all| all.iter().any(|one| one.has_ended(now)));
        let ended = ended.map(|(pod, _)| pod).collect();
        let next = pods.watched.values().flatten().filter_map(|one| one.ended_by).min();
        (ended, next)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        os::unix::process::ExitStatusExt,
        process::{Child, Command, Stdio},
    };

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;

    const ENGINE: Engine = Engine::Podman { rootless: false };
    const SOON: Duration = Duration::from_millis(150);
    const PATIENCE: Duration = Duration::from_secs(3);

    /// A process that lives until it is told to end, and a descriptor for it.
    fn process() -> (Child, OwnedFd) {
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        (child, pidfd_open(pid, PidfdFlags::empty()).unwrap())
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    fn watch(own: OwnedFd, conmon: OwnedFd) -> (Exits, WorkloadId, Receiver<Event>) {
        let (sender, events) = unbounded();
        let exits = Exits::start(ENGINE, sender).unwrap();
        let pod = WorkloadId::from_pod_name("p");
        let process =
            Process { container: "c".into(), pid: 0, own: Some(own), conmon: Some(conmon), elsewhere: false };
        drop(exits.watch(&pod, vec![process]));
        (exits, pod, events)
    }

    #[test]
    fn an_exit_is_told_once_and_only_after_the_clean_up() {
        let ((own, own_fd), (conmon, conmon_fd)) = (process(), process());
        let (_exits, pod, events) = watch(own_fd, conmon_fd);
        end(own);
        assert!(events.recv_timeout(SOON).is_err());
        end(conmon);
        assert_eq!(events.recv_timeout(PATIENCE), Ok(Event::Exited(ENGINE, pod)));
        assert!(events.recv_timeout(SOON).is_err());
    }

    #[test]
    fn a_lost_conmon_is_no_exit() {
        let ((own, own_fd), (conmon, conmon_fd)) = (process(), process());
        let (_exits, pod, events) = watch(own_fd, conmon_fd);
        end(conmon);
        assert!(events.recv_timeout(SOON).is_err());
        end(own);
        assert_eq!(events.recv_timeout(PATIENCE), Ok(Event::Exited(ENGINE, pod)));
    }

    #[test]
    fn a_clean_up_that_hangs_is_waited_for_until_its_deadline() {
        let (conmon, fd) = process();
        let process =
            Process { container: "c".into(), pid: 0, own: None, conmon: Some(fd), elsewhere: false };
        let by = Duration::from_secs(9);
        let watched = Watched { number: 0, process, ended_by: Some(by) };
        assert!(!watched.has_ended(by - SOON));
        assert!(watched.has_ended(by));
        end(conmon);
    }

    #[test]
    fn no_exit_overtakes_what_was_found() {
        let ((own, own_fd), (conmon, conmon_fd)) = (process(), process());
        let (exits, pod, events) = watch(own_fd, conmon_fd);
        let ((other, other_fd), (its_conmon, its_conmon_fd)) = (process(), process());
        let process = Process {
            container: "d".into(),
            pid: 0,
            own: Some(other_fd),
            conmon: Some(its_conmon_fd),
            elsewhere: false,
        };
        let quiet = exits.watch(&pod, vec![process]);
        [own, conmon, other, its_conmon].into_iter().for_each(end);
        assert!(events.recv_timeout(SOON).is_err());
        drop(quiet);
        assert_eq!(events.recv_timeout(PATIENCE), Ok(Event::Exited(ENGINE, pod)));
        assert!(events.recv_timeout(SOON).is_err(), "the former registration was replaced");
    }

    #[test]
    fn who_has_to_go_is_asked_first_and_killed_if_it_does_not() {
        let script = "trap '' TERM; echo; while :; do sleep 1; done";
        let mut deaf = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        deaf.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let ((mut own, own_fd), (conmon, conmon_fd)) = (process(), process());
        let (exits, pod, _events) = watch(own_fd, conmon_fd);
        exits.end(&pod, PATIENCE);
        assert_eq!(own.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
        drop(exits.watch(
            &pod,
            vec![Process {
                container: "c".into(),
                pid: 0,
                own: Some(pidfd_open(Pid::from_child(&deaf), PidfdFlags::empty()).unwrap()),
                conmon: None,
                elsewhere: false,
            }],
        ));
        exits.end(&pod, SOON);
        assert_eq!(deaf.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        end(conmon);
    }

    #[test]
    fn a_process_of_somebody_else_is_not_taken_for_a_container() {
        let (child, _fd) = process();
        let pid = Pid::from_child(&child).as_raw_pid();
        let container = "5d1e1494c66b1979cb5c9d8ebb667ff2537e3c305d303fa3c6a9723ba8cdb038";
        assert_eq!(Process::open(container, pid, pid).unwrap_err(), Unwatchable::Unknown);
        end(child);
        assert_eq!(Process::open(container, pid, pid).unwrap_err(), Unwatchable::Gone);
        assert_eq!(Process::open(container, 0, 0).unwrap_err(), Unwatchable::Gone);
    }
}
