//! What is looked at on the way to the edge API.

use serde_json::Value;

use super::findings::Findings;
use crate::{
    io::{
        edge_api::{self, EdgeApiConfig},
        identity,
        state::Store,
    },
    settings::Settings,
};

fn edge_api_config(settings: &Settings) -> Option<EdgeApiConfig> {
    EdgeApiConfig::from_settings(settings, Store::new(&settings.state_dir))
}

/// Keys and certificates.
pub(super) fn check_identity(settings: &Settings, findings: &mut Findings) {
    let Some(config) = edge_api_config(settings) else { return };
    for examined in identity::examine(&config.identity) {
        match examined.fault {
            None => findings.add_good(examined.what, examined.says),
            Some(remedy) if examined.matters => findings.add_bad(examined.what, examined.says, remedy),
            Some(remedy) => findings.add_doubt(examined.what, examined.says, remedy),
        }
    }
}

/// Asks the server, as the device does.
pub(super) fn check_server(settings: &Settings, status: &Value, findings: &mut Findings) {
    let Some(config) = edge_api_config(settings) else { return };
    let link = &status["device"]["server"];
    if matches!(link["link"].as_str(), Some("enrolling" | "registering")) {
        for trouble in link["troubles"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            findings.add_bad(
                "registration",
                trouble,
                "see there; the device goes on by itself when that is done",
            );
        }
    }
    let what = format!("SERVER {}", config.url);
    match edge_api::probe(config) {
        Ok(says) => findings.add_good(what, says),
        Err((says, remedy)) => findings.add_bad(what, says, remedy),
    }
}
