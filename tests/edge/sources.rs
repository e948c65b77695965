//! A device with manifests of its own and a server.

use super::device_of;
use crate::support::{SLEEP, edge::Edge};

#[test]
fn the_server_wins_a_name_and_what_moves_to_it_is_not_restarted() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(mut device) = device_of(&edge, "both") else { return };
    let manifests = device.manifests().display().to_string();
    device.set("MANIFESTS", &manifests);
    let (here, there) = (format!("echo here; {SLEEP}"), format!("echo there; {SLEEP}"));
    device.workload("contested", &here);
    device.workload("moves", SLEEP);
    device.workload("local-of-both", SLEEP);
    device.start();
    let before = device.wait_for_running(&["contested", "local-of-both", "moves"]);

    edge.workload(&device, "contested", &there);
    edge.workload(&device, "moves", SLEEP);
    let is_told = |part: &'static str| {
        let what = format!("an event about {part}");
        edge.wait_for(&device, 0, &what, |it| {
            it.is_good("heartbeat")
                && it.tells("ConfigurationRejected", part)
                && it.tells("ConfigurationRejected", "the server's counts")
        });
    };
    is_told("workload 'contested': both");
    is_told("workload 'moves': both");
    device.wait_for_another(&before[0]);
    let servers = device.wait_for_running(&["contested", "local-of-both", "moves"]);
    assert_eq!(servers[1..], before[1..]);
    device.remove_manifest("moves.json"); // now it is the server's alone
    device.workload("last-of-both", SLEEP);
    let four = device.wait_for_running(&["contested", "last-of-both", "local-of-both", "moves"]);
    assert_eq!([&four[0], &four[2], &four[3]], [&servers[0], &servers[1], &servers[2]]);
    let mark = edge.mark();
    edge.wait_for(&device, mark, "a heartbeat about the server's workloads", |it| {
        it.workload("moves") == Some("Running") && it.workload("local-of-both").is_none()
    });

    // Without the server its workloads belong to no source; a name it had won is the manifest's.
    for key in ["SERVER", "SERVER_NAME", "CA_ROOT", "CERT", "KEY"] {
        device.unset(key);
    }
    device.kill();
    device.start();
    device.wait_for_another(&servers[0]);
    let alone = device.wait_for_running(&["contested", "last-of-both", "local-of-both"]);
    assert_eq!(alone[0].name, before[0].name);
    assert_eq!(alone[1..], four[1..3]);

    // And back, before the server has said a word: it is away.
    edge.tell("door refuse");
    device.talk_to(&edge);
    device.kill();
    device.start();
    assert_eq!(device.wait_for_another(&alone[0]).name, servers[0].name);
    let again = device.wait_for_running(&["contested", "last-of-both", "local-of-both", "moves"]);
    assert_eq!(again[1..3], alone[1..]);
}
