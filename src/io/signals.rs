//! SIGTERM, SIGINT and SIGHUP as events; and one that must not end the process.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use crossbeam_channel::Sender;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ},
    flag,
    iterator::Signals,
};

use crate::agent::Event;

/// From now on a write beyond the limit of a file's size is an error like that of a full disk.
///
/// # Errors
/// The handler can't be installed.
pub fn handle_file_size_signal() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// From now on these signals are events: SIGTERM and SIGINT end the agent, SIGHUP reads the settings again.
///
/// # Errors
/// The handlers can't be installed, or the thread not be started.
pub fn start(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    super::spawn("signals", move || {
        for signal in &mut signals {
            let event = if signal == SIGHUP { Event::Reload } else { Event::Terminate };
            if events.send(event).is_err() {
                return;
            }
        }
    })
}
