//! What must survive a reboot, or a restart of the agent: in which file it is, and how it is read again.

use std::{path::Path, sync::Arc};

use log::warn;
use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::{
    cached_configuration,
    clock::boot_id,
    identity,
    outputs::ContainerOutputs,
    state::{Store, StoreError},
};
use crate::{
    agent::model::{
        call::{PersistedLinkState, UndeliveredEvents},
        fallback::{Fallback, Fallbacks},
        history::History,
        hysteresis::HysteresisState,
        image::PulledImages,
        record::{BuiltInMetrics, Record},
        run::FinishedRuns,
        stop::ManualStops,
        waiting::WaitingContents,
        workload::{Workload, hex},
    },
    wire::{
        own::{fallback, update},
        strict,
    },
};

const FINISHED: &str = "finished";
const FALLBACKS: &str = "fallbacks";
const IMAGES: &str = "images";
const STOPS: &str = "stops";
/// Begins the names of what ran before.
const BEFORE: &str = "before-";
const UPDATES: &str = "updates";
const DISCONNECTED: &str = "disconnected";
const HISTORY: &str = "history";
const OWN_METRICS: &str = "known";
const HYSTERESIS: &str = "held";
const UNDELIVERED: &str = "unheard";

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct Stores {
    /// What survives a reboot.
    pub state: Store,
    /// What survives the agent only: in memory on a device, so that events don't wear its flash out.
    pub runtime: Store,
    /// What containers printed that could not be started.
    outputs: ContainerOutputs,
}

impl Stores {
    /// In these directories. That for the runtime has more in it than this agent's files: they get one of their own.
    pub fn new(state_dir: &Path, runtime_dir: &Path) -> Self {
        Self {
            state: Store::new(state_dir),
            runtime: Store::new(runtime_dir.join("server")),
            outputs: ContainerOutputs::new(runtime_dir),
        }
    }
}

/// Writes it down.
pub(super) fn write(Stores { state, runtime, outputs }: &Stores, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Finished(finished) => save(state, FINISHED, finished),
        Record::Images(images) => save(state, IMAGES, images),
        Record::Fallbacks(fallbacks) if fallbacks.is_empty() => state.remove(FALLBACKS),
        Record::Fallbacks(fallbacks) => {
            let bytes = fallback::to_bytes(fallbacks).map_err(|error| state.error(FALLBACKS, error))?;
            state.save(FALLBACKS, &bytes)
        }
        Record::Updates(updates) if updates.is_empty() => state.remove(UPDATES),
        Record::Updates(updates) => {
            let bytes = update::to_bytes(updates).map_err(|error| state.error(UPDATES, error))?;
            state.save(UPDATES, &bytes)
        }
        Record::Replaced(replaced) => replaced.iter().try_for_each(|(name, before)| {
            let file = previous_content_file(name);
            let Some(good) = before.clone() else { return state.remove(&file) };
            let one = Fallbacks::from([(name.clone(), Fallback { good, failed: None })]);
            let bytes = fallback::to_bytes(&one).map_err(|error| state.error(&file, error))?;
            state.save(&file, &bytes)
        }),
        Record::Stops(stops) if stops.is_empty() => state.remove(STOPS),
        Record::Stops(stops) => save(state, STOPS, stops),
        Record::History(history) => save(runtime, HISTORY, &**history),
        Record::BuiltInMetrics(known) => save(runtime, OWN_METRICS, &with_boot_id(known)),
        Record::Hysteresis(held) => save(runtime, HYSTERESIS, &with_boot_id(held)),
        Record::Undelivered(unheard) if unheard.is_empty() => runtime.remove(UNDELIVERED),
        Record::Undelivered(unheard) => save(runtime, UNDELIVERED, unheard),
        Record::Configuration(raw) => state.save(cached_configuration::STORE_KEY, raw),
        Record::Disconnected => {
            state.save(DISCONNECTED, b"by the server")?;
            identity::remove_own_identity(state)?;
            state.remove(cached_configuration::STORE_KEY)?;
            runtime.remove(UNDELIVERED)?;
            // what is kept of these is without the server's contents by now: this is written last
            state.remove_spares(|name| {
                [cached_configuration::STORE_KEY, FALLBACKS, UPDATES].contains(&name)
                    || name.starts_with(BEFORE)
            })?;
            runtime.remove_spares(|_| true)?;
            outputs.clear();
            Ok(())
        }
    }
}

/// A name can be longer than that of a file.
fn previous_content_file(name: &str) -> String {
    format!("{BEFORE}{}", &hex(digest(&SHA256, name.as_bytes()).as_ref())[..16])
}

/// What ran of this workload before what came up last. It is read on a stack for that.
pub fn previous_workload(state: &Store, name: &str) -> Option<Arc<Workload>> {
    load(state, &previous_content_file(name), fallback::from_bytes).remove(name).map(|it| it.good)
}

fn save(store: &Store, name: &str, what: &impl Serialize) -> Result<(), StoreError> {
    store.save(name, &serde_json::to_vec(what).map_err(|error| store.error(name, error))?)
}

fn load<T: Default>(store: &Store, name: &str, read: fn(&[u8]) -> Result<T, serde_json::Error>) -> T {
    let Some(bytes) = store.load(name) else { return T::default() };
    read(&bytes).unwrap_or_else(|error| {
        let says = store.set_aside(name, &bytes); // also where it isn't logged
        warn!("{says}: {error}");
        T::default()
    })
}

/// The workloads that finished.
pub fn finished_runs(state: &Store) -> FinishedRuns {
    load(state, FINISHED, strict::from_json)
}

/// What the server has not heard.
pub fn undelivered_events(runtime: &Store) -> UndeliveredEvents {
    load(runtime, UNDELIVERED, strict::from_json)
}

/// What was told of late.
pub fn history(runtime: &Store) -> History {
    load(runtime, HISTORY, strict::from_json)
}

/// What conditions ask of workloads.
pub fn built_in_metrics(runtime: &Store) -> BuiltInMetrics {
    if_current_boot(load(runtime, OWN_METRICS, strict::from_json))
}

/// What conditions remember.
pub fn hysteresis_states(runtime: &Store) -> Vec<HysteresisState> {
    if_current_boot(load(runtime, HYSTERESIS, strict::from_json))
}

/// The directory may outlive a reboot.
fn with_boot_id<T>(what: &T) -> (String, &T) {
    (boot_id(), what)
}

fn if_current_boot<T: Default>((boot, what): (String, T)) -> T {
    if boot == boot_id() { what } else { T::default() }
}

/// What workloads return to whose updates don't come up.
pub fn fallbacks(state: &Store) -> Fallbacks {
    load(state, FALLBACKS, fallback::from_bytes)
}

/// Updates that wait, or are under way.
pub fn waiting_contents(state: &Store) -> WaitingContents {
    load(state, UPDATES, update::from_bytes)
}

/// What was stopped by hand.
pub fn manual_stops(state: &Store) -> ManualStops {
    load(state, STOPS, strict::from_json)
}

/// The images that the agent pulled.
pub fn pulled_images(state: &Store) -> PulledImages {
    load(state, IMAGES, strict::from_json)
}

/// What an earlier process learnt from the server and about it. YAML is read: on a stack for that.
pub fn load_server_state(Stores { state, runtime, .. }: &Stores, device_id: &str) -> PersistedLinkState {
    PersistedLinkState {
        certificate: identity::own_certificate_period(state, device_id),
        configuration: cached_configuration::load(state, device_id),
        disconnected: is_disconnected(state),
        unheard: undelivered_events(runtime),
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
pub fn clear_disconnected(state: &Store) -> Result<(), String> {
    identity::request_reenrolment(state)
        .and_then(|()| state.remove(DISCONNECTED))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::agent::model::{
        confidential::Confidential,
        history::HistoryEntry,
        notice::{Notice, Reason},
        run::Run,
        stop::ManualStop,
        workload::{Engine, WorkloadId},
    };

    fn unheard(messages: &[&str]) -> Record {
        let events = messages.iter().map(|message| Notice::warning(Reason::Failed, *message)).collect();
        Record::Undelivered(UndeliveredEvents { events, dropped: 3 })
    }

    fn messages(stores: &Stores) -> Vec<String> {
        let UndeliveredEvents { events, dropped } = super::undelivered_events(&stores.runtime);
        assert_eq!(dropped, if events.is_empty() { 0 } else { 3 });
        events.into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn what_another_version_wrote_is_set_aside_before_it_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(dir.path(), dir.path());
        let newer = br#"{"format": 7, "all": []}"#;
        stores.state.save(STOPS, newer).unwrap();
        let stop = ManualStop { since: Some(3), until_not: None };
        for since in 1..4 {
            super::manual_stops(&stores.state);
            let stop = ManualStop { since: Some(since), ..stop.clone() };
            write(&stores, &Record::Stops(ManualStops::from([("a".into(), stop)]))).unwrap();
        }
        assert_eq!(stores.state.load("stops.unread").as_deref(), Some(&newer[..]));
        let rename = |from: &str, to: &str| fs::rename(dir.path().join(from), dir.path().join(to));
        rename("stops.unread", "stops").unwrap();
        assert_eq!(stores.state.load(STOPS).as_deref(), Some(&newer[..]));
    }

    #[test]
    fn what_was_heard_and_what_an_unregistered_device_has_to_say_leave_nothing_behind() {
        for forget in [Record::Undelivered(UndeliveredEvents::default()), Record::Disconnected] {
            let dir = tempfile::tempdir().unwrap();
            let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
            for record in [unheard(&["one"]), unheard(&["one", "two"]), forget] {
                write(&stores, &record).unwrap();
            }
            assert_eq!(messages(&stores), [""; 0]);
            assert_eq!(fs::read_dir(dir.path().join("run/server")).unwrap().count(), 0);
        }
    }

    /// The files below a directory that hold one of these.
    fn holders(dir: &Path, texts: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                found.extend(holders(&path, texts));
            } else if let content = String::from_utf8_lossy(&fs::read(&path).unwrap())
                && texts.iter().any(|text| content.contains(text))
            {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_disconnected_device_keeps_no_byte_of_the_servers_secrets_and_what_manifests_need() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
        let secret = ["c2hoaGg", "shhhh"]; // base64, and plain
        let with = |name: &str, value: &str| {
            let mut content = crate::agent::tests::workload(name, 1).content;
            content.secrets = Confidential(json!({ "s": { "k": value } }));
            Arc::new(Workload::new(content))
        };
        let (own, server) = (with("own", "b3du"), with("server", "c2hoaGg="));
        let good = |it: &Arc<Workload>| (it.name().into(), Fallback { good: it.clone(), failed: None });
        let update = |it: &Arc<Workload>| {
            let (name, to, runs) = (it.name().into(), it.id.clone(), Some(it.clone()));
            crate::agent::model::waiting::WaitingContent { name, to, since: None, runs, passed: false }
        };
        let keep = |record| write(&stores, &record).unwrap();
        for lists in [vec![&server], vec![&own, &server]] {
            keep(Record::Fallbacks(lists.iter().copied().map(good).collect()));
            keep(Record::Updates(lists.iter().copied().map(update).collect()));
            keep(Record::Replaced(lists.iter().map(|it| (it.name().into(), Some((*it).clone()))).collect()));
            let raw = format!("{} c2hoaGg=", lists.len()).into_bytes();
            keep(Record::Configuration(raw.into()));
        }
        for left in ["fallbacks.new", "updates.unread", "before-1.unread.previous", "configuration.new"] {
            fs::write(dir.path().join("state").join(left), "shhhh").unwrap();
        }
        stores.outputs.save_output("server-1", "init", b"shhhh");
        assert_eq!(holders(dir.path(), &secret).len(), 12, "{:?}", holders(dir.path(), &secret));
        keep(Record::Replaced(vec![("server".into(), None)]));
        keep(Record::Fallbacks([good(&own)].into()));
        keep(Record::Updates(vec![update(&own)]));
        keep(Record::Disconnected);
        assert_eq!(holders(dir.path(), &secret), [""; 0]);
        let kept = fallbacks(&stores.state).into_values().map(|it| it.good);
        let kept = kept.chain(waiting_contents(&stores.state).into_iter().filter_map(|it| it.runs));
        let kept = kept.chain(previous_workload(&stores.state, "own"));
        assert!(kept.map(|it| it.id.clone()).eq([&own.id; 3].into_iter().cloned()));
        assert!(is_disconnected(&stores.state));
    }

    #[test]
    fn what_is_kept_is_what_the_next_process_reads() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
        let run = Run { code: 3, ended: Some(1_000), ran: Some(2) };
        let finished = FinishedRuns::from([(WorkloadId::from_pod_name("a-0123456789ab"), run)]);
        let images = PulledImages::from([
            (Engine::Podman { rootless: true }, "a:1".to_owned()),
            (Engine::Kubernetes, "b:2".to_owned()),
        ]);
        for record in [Record::Finished(finished.clone()), Record::Images(images.clone())] {
            write(&stores, &record).unwrap();
        }
        assert_eq!(super::finished_runs(&stores.state), finished);
        assert_eq!(super::pulled_images(&stores.state), images);
    }

    #[test]
    fn what_happened_is_kept_in_memory_and_read_by_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(&dir.path().join("state"), &dir.path().join("run"));
        let happened = HistoryEntry { at: 2, first: 1, notice: Notice::info(Reason::Started, "one") };
        let history: History = [Arc::new(happened)].into();
        write(&stores, &Record::History(history.clone().into())).unwrap();
        assert_eq!(super::history(&stores.runtime), history);
        assert!(!dir.path().join("state").exists(), "no wear of the flash");
        let known =
            BuiltInMetrics::from([("workload.a.ready".into(), 1.0), ("workload.b.last_exit".into(), -3.0)]);
        write(&stores, &Record::BuiltInMetrics(known.clone())).unwrap();
        assert_eq!(super::built_in_metrics(&stores.runtime), known);
        let name = || "p".to_owned();
        let held =
            HysteresisState { profile: name(), name: name(), says: name(), holds: true, since: Some(3) };
        write(&stores, &Record::Hysteresis(vec![held.clone()])).unwrap();
        assert_eq!(super::hysteresis_states(&stores.runtime), [held]);
        save(&stores.runtime, OWN_METRICS, &("another boot", known)).unwrap();
        assert_eq!(super::built_in_metrics(&stores.runtime), BuiltInMetrics::new());
        let stop =
            ManualStop { since: Some(3), until_not: Some(WorkloadId::from_pod_name("a-0123456789ab")) };
        let stops = ManualStops::from([
            ("a".into(), stop),
            ("b".into(), ManualStop { since: None, until_not: None }),
        ]);
        for stops in [stops, ManualStops::new()] {
            write(&stores, &Record::Stops(stops.clone())).unwrap();
            assert_eq!(super::manual_stops(&stores.state), stops);
        }
    }

    #[test]
    fn a_damaged_file_costs_its_events_only() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new(dir.path(), dir.path());
        write(&stores, &unheard(&["one"])).unwrap();
        fs::write(dir.path().join("server/unheard"), "torn").unwrap();
        assert_eq!(super::undelivered_events(&stores.runtime), UndeliveredEvents::default());
        stores.runtime.save(UNDELIVERED, b"[1]").unwrap(); // of another version
        assert_eq!(super::undelivered_events(&stores.runtime), UndeliveredEvents::default());
    }
}
