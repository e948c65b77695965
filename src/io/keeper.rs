//! Writes down what must survive a reboot, on a thread of its own: a slow disk must not hold up the loop. Of each
//! kind only the newest counts.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crossbeam_channel::{Sender, bounded};
use log::warn;

use super::{identity, lock, server, state::Store};
use crate::{
    agent::{Event, Finished, images::Pulled, update::Fallbacks},
    wire::fallback,
};

const FINISHED: &str = "finished";
const FALLBACKS: &str = "fallbacks";
const IMAGES: &str = "images";
const DISCONNECTED: &str = "disconnected";

/// Something to write down.
#[derive(Debug, Clone)]
pub enum Note {
    /// The workloads that finished and don't run again.
    Finished(Finished),
    /// What workloads return to whose updates don't come up.
    Fallbacks(Fallbacks),
    /// The images that the agent pulled.
    Images(Pulled),
    /// The server's configuration that is applied now.
    Configuration(Arc<[u8]>),
    /// The server unregistered this device: its identity and configuration are forgotten.
    Disconnected,
}

/// The way to the thread that writes.
pub struct Keeper {
    notes: Arc<Mutex<Vec<Note>>>,
    wake: Sender<()>,
}

impl Keeper {
    /// Starts the thread; it tells of each write as [`Event::Stored`].
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(state: Store, events: Sender<Event>) -> io::Result<Self> {
        let notes: Arc<Mutex<Vec<Note>>> = Arc::default();
        let (wake, woken) = bounded(1);
        let shared = Arc::clone(&notes);
        super::spawn("keeper", move || {
            while woken.recv().is_ok() {
                let notes = std::mem::take(&mut *lock(&shared));
                for note in notes {
                    if events.send(Event::Stored(write(&state, &note))).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { notes, wake })
    }

    /// Takes the note, and never blocks.
    pub fn keep(&self, note: Note) {
        let mut notes = lock(&self.notes);
        notes.retain(|older| std::mem::discriminant(older) != std::mem::discriminant(&note));
        notes.push(note);
        let _ = self.wake.try_send(()); // full: it is awake
    }
}

fn write(state: &Store, note: &Note) -> Result<(), String> {
    let written = match note {
        Note::Finished(finished) => {
            let bytes = serde_json::to_vec(finished).map_err(|error| error.to_string())?;
            state.save(FINISHED, &bytes)
        }
        Note::Images(images) => {
            let bytes = serde_json::to_vec(images).map_err(|error| error.to_string())?;
            state.save(IMAGES, &bytes)
        }
        Note::Fallbacks(fallbacks) if fallbacks.is_empty() => state.remove(FALLBACKS),
        Note::Fallbacks(fallbacks) => {
            let bytes = fallback::to_bytes(fallbacks).map_err(|error| error.to_string())?;
            state.save(FALLBACKS, &bytes)
        }
        Note::Configuration(raw) => state.save(server::CONFIGURATION, raw),
        Note::Disconnected => state.save(DISCONNECTED, b"by the server").and_then(|()| {
            identity::forget(state)?;
            state.remove(server::CONFIGURATION)
        }),
    };
    written.map_err(|error| error.to_string())
}

/// The workloads that finished and don't run again.
pub fn finished(state: &Store) -> Finished {
    let Some(bytes) = state.load(FINISHED) else { return Finished::new() };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!("failed to read the list of finished workloads: {error}");
        Finished::new()
    })
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
    let Some(bytes) = state.load(IMAGES) else { return Pulled::new() };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!("failed to read the list of pulled images: {error}");
        Pulled::new()
    })
}

/// Whether the server unregistered this device.
pub fn is_disconnected(state: &Store) -> bool {
    state.load(DISCONNECTED).is_some()
}

/// The device shall be let in again.
///
/// # Errors
/// The state directory can't be written.
pub fn reconnect(state: &Store) -> Result<(), String> {
    state.remove(DISCONNECTED).map_err(|error| error.to_string())
}
