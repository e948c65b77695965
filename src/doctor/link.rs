//! What is looked at on the way to the edge API.

use super::Findings;
use crate::{
    io::{
        identity,
        server::{self, Config},
        state::Store,
    },
    settings::Settings,
};

fn config(settings: &Settings) -> Option<Config> {
    Config::of(settings, Store::new(&settings.state_dir))
}

/// Keys and certificates.
pub(super) fn identity(settings: &Settings, findings: &mut Findings) {
    let Some(config) = config(settings) else { return };
    for examined in identity::examine(&config) {
        match examined.fault {
            None => findings.good(examined.what, examined.says),
            Some(remedy) if examined.matters => findings.bad(examined.what, examined.says, remedy),
            Some(remedy) => findings.doubt(examined.what, examined.says, remedy),
        }
    }
}

/// Asks the server, as the device does.
pub(super) fn server(settings: &Settings, findings: &mut Findings) {
    let Some(config) = config(settings) else { return };
    let what = format!("SERVER {}", config.url);
    match server::probe(config) {
        Ok(says) => findings.good(what, says),
        Err((says, remedy)) => findings.bad(what, says, remedy),
    }
}
