//! What devices saw, call by call.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use device_worker_ng::agent::model::call::CallKind;
use tokio::sync::Notify;

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Seconds since the start.
    pub(crate) at: f64,
    pub(crate) kind: CallKind,
    /// Until the answer's last byte.
    pub(crate) seconds: f64,
    /// 0: none.
    pub(crate) status: u16,
    /// It needed another connection first.
    pub(crate) connected: bool,
}

/// What all devices see, and how far they are.
pub(crate) struct Figures {
    start: Instant,
    entries: Mutex<Vec<Entry>>,
    /// Which generation of the workload a device has, and when it last heard an answer, in milliseconds since the start.
    devices: Vec<(AtomicU64, AtomicU64)>,
    /// Devices with a certificate.
    pub(crate) registered: AtomicUsize,
    /// Any of these has changed.
    pub(crate) moved: Notify,
    /// What must not happen, and did.
    pub(crate) broken: Mutex<Vec<String>>,
    /// Why calls failed, and how often.
    pub(crate) failures: Mutex<BTreeMap<String, usize>>,
}

impl Figures {
    pub(crate) fn new(devices: usize) -> Self {
        Self {
            start: Instant::now(),
            entries: Mutex::default(),
            devices: (0..devices).map(|_| Default::default()).collect(),
            registered: AtomicUsize::new(0),
            moved: Notify::new(),
            broken: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    pub(crate) fn add(&self, device: usize, kind: CallKind, began: Instant, status: u16, connected: bool) {
        let entry = Entry { at: self.now(), kind, seconds: began.elapsed().as_secs_f64(), status, connected };
        lock(&self.entries).push(entry);
        if status == 200 {
            self.devices[device].1.store((entry.at * 1e3) as u64, Relaxed);
            self.moved.notify_one();
        }
    }

    pub(crate) fn failed(&self, why: &str) {
        *lock(&self.failures).entry(why.to_owned()).or_default() += 1;
    }

    /// The device has this generation of the workload. It must never get older.
    pub(crate) fn has(&self, device: usize, name: &str, generation: u64) {
        let before = self.devices[device].0.swap(generation, Relaxed);
        if before > generation {
            lock(&self.broken).push(format!("{name} got generation {generation} after {before}"));
        }
        self.moved.notify_one();
    }

    pub(crate) fn with_generation(&self, least: u64) -> usize {
        self.devices.iter().filter(|(generation, _)| generation.load(Relaxed) >= least).count()
    }

    /// How many have heard an answer since then.
    pub(crate) fn heard_since(&self, at: f64) -> usize {
        self.devices.iter().filter(|(_, heard)| heard.load(Relaxed) as f64 > at * 1e3).count()
    }

    /// All since this was last asked.
    pub(crate) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut lock(&self.entries))
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value below which this share of them is.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Most per second, over windows of five seconds.
pub(crate) fn peak(entries: &[Entry]) -> f64 {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.at as u64 / 5).or_default() += 1;
    }
    counts.values().max().map_or(0.0, |most| *most as f64 / 5.0)
}
