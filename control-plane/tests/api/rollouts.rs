//! Updates that reach devices one after the other.

use serde_json::json;

use crate::bed::{Bed, Client, until};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What a device gets as the image of its workload.
fn image(client: &Client, device: &str) -> String {
    let content = client.configuration(device).json()["content"].clone();
    let specification = content["workloads"][0]["specification"].as_str().unwrap_or_default().to_owned();
    let image = specification.lines().find_map(|line| line.strip_prefix("- image: "));
    image.unwrap_or_default().to_owned()
}

/// Each device applies what it gets and says how that is: `bad` is taken back.
fn live(clients: &[Client]) {
    for (client, device) in clients.iter().zip(NAMES) {
        let version = client.configuration(device).json()["content"]["version"].clone();
        let is_bad = image(client, device) == "bad";
        let event = json!({"reason": "RolledBack", "message": "workload 'w' didn't come up", "type": "warn"});
        let content = json!({
            "status": "up", "version": version,
            "workloads": [{"name": "w", "status": "Running"}],
            "events": if is_bad { vec![event] } else { vec![] },
        });
        assert_eq!(client.say(device, "heartbeat", content).unwrap().status, 200);
    }
}

#[test]
fn a_bad_update_stops_at_the_first_wave_and_what_replaces_it_reaches_all() {
    let Some(bed) = Bed::in_cluster(&[]) else { return };
    let space = bed.space.as_ref().unwrap();
    let identities = NAMES.map(|name| bed.device(name));
    let clients = identities.each_ref().map(|identity| bed.client(identity));
    space.patch("EdgeDevice", "c", &json!({"metadata": {"labels": {"ring": "first"}}}));
    let update = |image: &str| {
        bed.write(
            "w.yaml",
            &format!(
                "kind: EdgeWorkload\nmetadata: {{name: w}}\nspec:\n  type: pod\n  deviceSelector: {{}}\n  \
                 rollout: {{maxUnavailable: 1, minReadySeconds: 0, waves: [{{matchLabels: {{ring: first}}}}]}}\n  \
                 pod: {{spec: {{containers: [{{name: a, image: {image}}}]}}}}\n"
            ),
        );
    };
    let rollout = || space.get("EdgeWorkload", "w")["status"]["rollout"].clone();
    let all =
        |clients: &[Client]| clients.iter().zip(NAMES).map(|(it, name)| image(it, name)).collect::<Vec<_>>();
    let images = || all(&clients);
    let reaches = |image: &str| {
        until("it reaches all", || {
            live(&clients);
            rollout()["phase"] == "Complete" && images() == [image; 4]
        });
    };
    update("old");
    reaches("old");

    update("bad");
    until("it is paused", || {
        live(&clients);
        rollout()["phase"] == "Paused"
    });
    assert_eq!(images(), ["old", "old", "bad", "old"]);
    assert!(rollout()["message"].as_str().unwrap().contains("c: RolledBack: workload 'w' didn't come up"));
    let second = bed.replica();
    let of_second = identities.each_ref().map(|identity| second.client(identity));
    assert_eq!(all(&of_second), images(), "every replica gives the same");
    live(&clients);
    assert_eq!(rollout()["phase"], "Paused");

    update("good");
    reaches("good");
    update("bad");
    until("it is paused again", || {
        live(&clients);
        rollout()["phase"] == "Paused"
    });
    space.patch("EdgeWorkload", "w", &json!({"metadata": {"annotations": {"flotta/resume": "1"}}}));
    until("a person lets it go on, and the next failure stops it", || {
        live(&clients);
        rollout()["phase"] == "Paused" && images().iter().filter(|image| *image == "bad").count() == 2
    });
    update("good");
    reaches("good");
}
