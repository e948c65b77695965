//! Notices that memory or disk runs short, or that the processor is busy. The kernel's pressure stall information wakes
//! this thread where there is any; beside that it looks at what is left, the less often the more that is.

mod gauge;
mod processor;
mod source;

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use crossbeam_channel::Sender;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

use self::{
    gauge::Gauge,
    processor::CpuPressure,
    source::{MemorySource, read_disk},
};
use super::{lock, since_boot, spawn};
use crate::{
    agent::{
        Event,
        model::pressure::{Pressure, Resource},
    },
    settings::Reserve,
};

/// Without the kernel's word memory is looked at at least this often.
const MEMORY_POLL_INTERVAL: Duration = Duration::from_secs(10);

/// What to watch.
#[derive(Debug)]
pub struct PressureConfig {
    /// The memory to keep free.
    pub memory: Reserve,
    /// What to keep free of each disk.
    pub disk: Reserve,
    /// Where there are disks.
    pub disks: WatchedDisks,
    /// `/proc`, but for tests.
    pub proc: PathBuf,
}

/// The directories whose file systems matter; more become known as time goes by.
#[derive(Debug, Clone, Default)]
pub struct WatchedDisks(Arc<KnownDisks>);

#[derive(Debug, Default)]
struct KnownDisks {
    paths: Mutex<Vec<PathBuf>>,
    /// Wakes the thread that watches.
    changed: Mutex<Option<Arc<OwnedFd>>>,
}

impl WatchedDisks {
    /// This directory's matters as well.
    pub fn add(&self, path: PathBuf) {
        let mut paths = lock(&self.0.paths);
        if paths.contains(&path) {
            return;
        }
        log::debug!("the disk of '{}' is watched", path.display());
        paths.push(path);
        if let Some(changed) = &*lock(&self.0.changed) {
            let _ = rustix::io::write(changed, &1_u64.to_ne_bytes()); // full: it is awake
        }
    }
}

/// Starts the one thread that watches. What is short already is told before this returns.
///
/// # Errors
/// There is no thread or descriptor to be had.
pub fn start(reserves: PressureConfig, events: Sender<Event>) -> io::Result<()> {
    let changed = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    *lock(&reserves.disks.0.changed) = Some(changed.clone());
    let memory = MemorySource::open(&reserves.proc, &reserves.memory);
    let processor = CpuPressure::open(&reserves.proc);
    let (memory_gauge, disk_gauge) = (Gauge::new(Resource::Memory), Gauge::new(Resource::Disk));
    let mut watch = PressureWatch { reserves, events, memory, processor, memory_gauge, disk_gauge };
    let Some(first) = watch.check_all(since_boot(), false) else { return Ok(()) };
    spawn("pressure", move || watch.run(&changed, first))
}

struct PressureWatch {
    reserves: PressureConfig,
    events: Sender<Event>,
    memory: Option<MemorySource>,
    processor: Option<CpuPressure>,
    memory_gauge: Gauge,
    disk_gauge: Gauge,
}

impl PressureWatch {
    fn run(&mut self, changed: &OwnedFd, mut pause: Duration) {
        loop {
            let timeout =
                Timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: pause.subsec_nanos().into() };
            let trigger = self.memory.as_ref().and_then(MemorySource::open_psi_trigger);
            let busy = self.processor.as_ref().and_then(CpuPressure::trigger);
            let [stalls, busy] = [trigger, busy].map(|it| PollFd::new(it.unwrap_or(changed), PollFlags::PRI));
            let mut files = [PollFd::new(changed, PollFlags::IN), stalls, busy];
            match poll(&mut files, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    log::error!("failed to wait for pressure: {error}; it is not watched any more");
                    return;
                }
            }
            let [known, stalls, busy] = files.map(|file| file.revents());
            if !known.is_empty() {
                let _ = rustix::io::read(changed, &mut [0; 8]);
            }
            if stalls.contains(PollFlags::ERR)
                && let Some(memory) = &mut self.memory
            {
                memory.drop_trigger();
            }
            if busy.contains(PollFlags::ERR) {
                self.processor = None;
            }
            let Some(next) = self.check_all(since_boot(), busy.contains(PollFlags::PRI)) else { return };
            pause = next;
        }
    }

    /// Looks at everything, and says when to look again; nothing when the agent ends. `busy`: the kernel says that
    /// processes wait for the processor.
    fn check_all(&mut self, now: Duration, busy: bool) -> Option<Duration> {
        let mut pause = gauge::MAX_POLL_INTERVAL;
        if let Some(processor) = &mut self.processor {
            Self::send_pressure(&self.events, processor.update_level(busy, now))?;
            pause = processor.next().map_or(pause, |next| next.saturating_sub(now).min(pause));
        }
        if let Some(memory) = &self.memory
            && let Some(reading) = memory.read()
        {
            pause = reading.poll_interval(&self.memory_gauge).min(pause);
            if memory.open_psi_trigger().is_none() {
                pause = pause.min(MEMORY_POLL_INTERVAL);
            }
            Self::send_pressure(&self.events, self.memory_gauge.update_level(&reading, now))?;
        }
        // the one that is nearest to its end
        let paths = lock(&self.reserves.disks.0.paths).clone();
        let readings = paths.iter().filter_map(|path| read_disk(path, &self.reserves.disk));
        if let Some(reading) = readings.min_by(|a, b| a.headroom().total_cmp(&b.headroom())) {
            pause = pause.min(reading.poll_interval(&self.disk_gauge));
            Self::send_pressure(&self.events, self.disk_gauge.update_level(&reading, now))?;
        }
        Some(pause)
    }

    fn send_pressure(events: &Sender<Event>, news: Option<Pressure>) -> Option<()> {
        news.map_or(Some(()), |pressure| events.send(Event::Pressure(pressure)).ok())
    }
}

#[cfg(test)]
mod tests;
