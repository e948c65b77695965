//! Writes down what must survive a reboot, or a restart of the agent, on a thread of its own: a slow disk must not
//! hold up the loop. Of each kind only the newest counts: a burst is one write, if the disk is slower.
//!
//! Nothing waits for a write: a `kill -9` costs at most what was decided in the few milliseconds before it.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::warn;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    cached_configuration, identity, lock,
    state::{Store, StoreError},
};
use crate::{
    agent::{
        Event,
        model::{
            call::{Remembered, Unheard},
            fallback::Fallbacks,
            image::Pulled,
            part::Kept,
            record::Record,
            run::Finished,
        },
    },
    wire::{own::fallback, strict},
};

const FINISHED: &str = "finished";
const FALLBACKS: &str = "fallbacks";
const IMAGES: &str = "images";
const DISCONNECTED: &str = "disconnected";
const UNHEARD: &str = "unheard";
/// The end of the agent waits this long for the last write, if need be.
const LONGEST_END: Duration = Duration::from_secs(1);

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct Stores {
    /// What survives a reboot.
    pub state: Store,
    /// What survives the agent only: in memory on a device, so that events don't wear its flash out.
    pub runtime: Store,
}

impl Stores {
    /// In these directories. That for the runtime has more in it than this agent's files: they get one of their own.
    pub fn new(state_dir: &Path, runtime_dir: &Path) -> Self {
        Self { state: Store::new(state_dir), runtime: Store::new(runtime_dir.join("server")) }
    }
}

/// The way to the thread that writes.
pub struct Recorder {
    records: Arc<Mutex<Vec<Record>>>,
    wake: Sender<()>,
    /// Ends with the thread.
    ended: Receiver<()>,
}

impl Recorder {
    /// Starts the thread; it tells of each write as [`Event::Stored`].
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(stores: Stores, events: Sender<Event>) -> io::Result<Self> {
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let (wake, woken) = bounded(1);
        let (end, ended) = bounded(0);
        let shared = Arc::clone(&records);
        super::spawn("recorder", move || {
            let _end: Sender<()> = end;
            while woken.recv().is_ok() {
                let records = std::mem::take(&mut *lock(&shared));
                for record in records {
                    let result = write(&stores, &record).map_err(|error| error.to_string());
                    let kept = if matches!(record, Record::Unheard(_)) { Kept::Unheard } else { Kept::State };
                    if events.send(Event::Stored(kept, result)).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { records, wake, ended })
    }

    /// Waits until all is written, but not for long.
    pub fn end(self) {
        drop(self.wake);
        let _ = self.ended.recv_timeout(LONGEST_END);
    }

    /// Takes the record, and never blocks.
    pub fn record(&self, record: Record) {
        let mut records = lock(&self.records);
        records.retain(|older| std::mem::discriminant(older) != std::mem::discriminant(&record));
        records.push(record);
        let _ = self.wake.try_send(()); // full: it is awake
    }
}

fn write(Stores { state, runtime }: &Stores, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Finished(finished) => save(state, FINISHED, finished),
        Record::Images(images) => save(state, IMAGES, images),
        Record::Fallbacks(fallbacks) if fallbacks.is_empty() => state.remove(FALLBACKS),
        Record::Fallbacks(fallbacks) => {
            let bytes = fallback::to_bytes(fallbacks).map_err(|error| state.error(FALLBACKS, error))?;
            state.save(FALLBACKS, &bytes)
        }
        Record::Unheard(unheard) if unheard.is_empty() => runtime.remove(UNHEARD),
        Record::Unheard(unheard) => save(runtime, UNHEARD, unheard),
        Record::Configuration(raw) => state.save(cached_configuration::NAME, raw),
        Record::Disconnected => {
            state.save(DISCONNECTED, b"by the server")?;
            identity::forget(state)?;
            state.remove(cached_configuration::NAME)?;
            runtime.remove(UNHEARD)
        }
    }
}

fn save(store: &Store, name: &str, what: &impl Serialize) -> Result<(), StoreError> {
    store.save(name, &serde_json::to_vec(what).map_err(|error| store.error(name, error))?)
}

fn load<T: DeserializeOwned + Default>(store: &Store, name: &str) -> T {
    let Some(bytes) = store.load(name) else { return T::default() };
    strict::from_json(&bytes).unwrap_or_else(|error| {
        warn!("what was kept as '{name}' is not used: {error}");
        T::default()
    })
}

/// The workloads that finished.
pub fn finished(state: &Store) -> Finished {
    load(state, FINISHED)
}

/// What the server has not heard.
pub fn unheard(runtime: &Store) -> Unheard {
    load(runtime, UNHEARD)
}

/// What workloads return to whose updates don't come up.
pub fn fallbacks(state: &Store) -> Fallbacks {
    let Some(bytes) = state.load(FALLBACKS) else { return Fallbacks::new() };
    fallback::from_bytes(&bytes).unwrap_or_else(|error| {
        warn!("failed to read what updates are taken back to: {error}");
        Fallbacks::new()
    })
}

/// The images that the agent pulled.
pub fn images(state: &Store) -> Pulled {
    load(state, IMAGES)
}

/// What an earlier process learnt from the server and about it. YAML is read: on a stack for that.
pub fn of_server(Stores { state, runtime }: &Stores, device_id: &str) -> Remembered {
    Remembered {
        certificate: identity::remembered(state, device_id),
        configuration: cached_configuration::load(state, device_id),
        disconnected: is_disconnected(state),
        unheard: unheard(runtime),
    }
}

/// Whether the server unregistered this device.
pub fn is_disconnected(state: &Store) -> bool {
    state.load(DISCONNECTED).is_some()
}

/// Makes the device ask to be let in from the beginning.
///
/// # Errors
/// The state directory can't be written.
pub fn reconnect(state: &Store) -> Result<(), String> {
    identity::begin_anew(state).and_then(|()| state.remove(DISCONNECTED)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::agent::model::{
        notice::{Notice, Reason},
        run::Run,
        workload::{Engine, WorkloadId},
    };

    fn unheard(messages: &[&str]) -> Record {
        let events = messages.iter().map(|message| Notice::warning(Reason::Failed, *message)).collect();
        Record::Unheard(Unheard { events, dropped: 3 })
    }

    fn messages(stores: &Stores) -> Vec<String> {
        let Unheard { events, dropped } = super::unheard(&stores.runtime);
        assert_eq!(dropped, if events.is_empty() { 0 } else { 3 });
        events.into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn a_burst_of_events_is_few_writes_and_the_newest_is_read_after_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
        let (events, inbox) = bounded(1); // the writer waits here after its second write
        let recorder = Recorder::start(stores.clone(), events).unwrap();
        for last in 0..50 {
            recorder.record(unheard(&["first", &format!("event {last}")]));
        }
        let reader = std::thread::spawn(move || inbox.iter().count());
        recorder.end();
        assert_eq!(messages(&stores), ["first", "event 49"]);
        let writes = reader.join().unwrap();
        assert!(writes < 10, "{writes} writes");
        let path = dir.path().join("run/server/unheard");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!dir.path().join("state").exists(), "no wear of the flash");
    }

    #[test]
    fn what_was_heard_and_what_an_unregistered_device_has_to_say_leave_nothing_behind() {
        for forget in [Record::Unheard(Unheard::default()), Record::Disconnected] {
            let dir = tempfile::tempdir().unwrap();
            let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
            for record in [unheard(&["one"]), unheard(&["one", "two"]), forget] {
                write(&stores, &record).unwrap();
            }
            assert_eq!(messages(&stores), [""; 0]);
            assert_eq!(fs::read_dir(dir.path().join("run/server")).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_is_kept_is_what_the_next_process_reads() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
        let run = Run { code: 3, ended: Some(1_000), ran: Some(2) };
        let finished = Finished::from([(WorkloadId::from_pod_name("a-0123456789ab"), run)]);
        let images = Pulled::from([
            (Engine::Podman { rootless: true }, "a:1".to_owned()),
            (Engine::Kubernetes, "b:2".to_owned()),
        ]);
        for record in [Record::Finished(finished.clone()), Record::Images(images.clone())] {
            write(&stores, &record).unwrap();
        }
        assert_eq!(super::finished(&stores.state), finished);
        assert_eq!(super::images(&stores.state), images);
    }

    #[test]
    fn a_damaged_file_costs_its_events_only() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(dir.path(), dir.path());
        write(&stores, &unheard(&["one"])).unwrap();
        fs::write(dir.path().join("server/unheard"), "torn").unwrap();
        assert_eq!(super::unheard(&stores.runtime), Unheard::default());
        stores.runtime.save(UNHEARD, b"[1]").unwrap(); // of another version
        assert_eq!(super::unheard(&stores.runtime), Unheard::default());
    }
}
