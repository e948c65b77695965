//! SIGTERM, SIGINT and SIGHUP as events.

use std::io;

use crossbeam_channel::Sender;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::agent::Event;

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
