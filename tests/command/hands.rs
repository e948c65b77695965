//! What a person does with a workload by hand: real pods stop, and start again.

use device_worker_ng::io::command_socket;

use super::{say, wait_for_explanation};
use crate::support::{Device, SLEEP, pause, workload};

/// The first words of what `explain` says.
fn is(device: &Device, name: &str) -> String {
    let said = say(device, &["explain", name]).1;
    said.split_once(" at ").map_or(said.clone(), |(first, _)| first.to_owned())
}

fn wait_until_podman_is_missed(device: &Device) {
    device.wait_for("podman to be missed", || {
        let said = say(device, &["explain", "halt"]).1;
        said.starts_with("halt is unknown: podman doesn't answer").then_some(())
    });
}

#[test]
fn what_is_stopped_by_hand_stays_so_over_kills_and_metrics_until_it_is_started() {
    let Some(mut device) = Device::new("stopped") else { return };
    device.gated("halt", "low");
    device.workload("beside", SLEEP);
    device.start();
    let halt = device.wait_for_running(&["beside", "halt"]).remove(1);
    let replied = "halt is stopped until 'device-worker-ng start halt'\n".to_owned();
    assert_eq!(say(&device, &["stop", &halt.name]), (0, replied), "its pod's name will do");
    device.wait_for_running(&["beside"]);
    let stopped = "halt is stopped: an operator stopped it";
    device.wait_for("it to be stopped", || (is(&device, "halt") == stopped).then_some(()));
    for _ in 0..2 {
        device.kill();
        device.lose_pods(); // as a reboot does
        device.start_taking_metrics();
        device.wait_for_running(&["beside"]);
        assert_eq!(is(&device, "halt"), stopped);
        assert_eq!((device.post("x", 5), device.post("x", 1)), (200, 200));
        pause(500);
        device.wait_for_running(&["beside"]);
    }
    let (code, status) = say(&device, &["status"]);
    assert!(code == 0 && status.contains("\nhalt stopped "), "{status}");
    let again = say(&device, &["stop", "halt"]);
    assert!(again.0 == 0 && again.1.starts_with("halt is stopped already: "), "{again:?}");
    let (code, refused) = say(&device, &["restart", "halt"]);
    let remedy = "; start it with 'device-worker-ng start halt'\n";
    assert!(
        code == 1 && refused.starts_with("halt is not restarted: ") && refused.ends_with(remedy),
        "{refused}"
    );
    let started = "halt may run again; 'device-worker-ng explain halt' tells how it is\n".to_owned();
    assert_eq!(say(&device, &["start", "halt"]), (0, started));
    wait_for_explanation(&device, "halt", 0, "halt is running\n");
    device.kill();
    device.start_taking_metrics();
    device.wait_for_running(&["beside", "halt"]);
    let missing = say(&device, &["stop", "hatl"]);
    assert_eq!(missing, (2, "there is no workload 'hatl': did you mean 'halt'?\n".to_owned()));
}

#[test]
fn what_a_command_said_to_be_done_is_kept_over_a_kill_in_the_same_moment() {
    let mut device = Device::without_podman("moment");
    device.workload("halt", SLEEP);
    device.start();
    for round in 0..30 {
        let (word, done) =
            if round % 2 == 0 { ("stop", "halt is stopped until") } else { ("start", "halt may run") };
        let (code, said) = device.wait_for("it to be done", || {
            // without a process of its own: that would take long enough for any disk
            let said = command_socket::ask_agent(&device.path("run"), &[word.into(), "halt".into()]).ok();
            said.filter(|(code, _)| *code == 0)
        });
        device.kill();
        assert!(code == 0 && said.starts_with(done), "{said}");
        let kept = device.state_dir().join("stops");
        assert_eq!(kept.exists(), word == "stop", "after round {round}");
        device.start();
    }
    wait_until_podman_is_missed(&device);
}

#[test]
fn what_is_not_kept_is_not_said_to_be_done() {
    let mut device = Device::without_podman("unkept");
    device.workload("halt", SLEEP);
    device.start();
    let stopped = "halt is stopped until 'device-worker-ng start halt'; podman doesn't answer";
    let in_the_way = device.state_dir().join("stops.new");
    wait_until_podman_is_missed(&device);
    std::fs::create_dir(&in_the_way).unwrap();
    let (code, said) = say(&device, &["stop", "halt"]);
    let why = "; a restart of the agent ends that: failed to write '";
    assert!(code == 1 && said.starts_with(stopped) && said.contains(why), "{code}: {said}");
    std::fs::remove_dir(&in_the_way).unwrap();
    let (code, again) = say(&device, &["stop", "halt"]);
    assert!(code == 0 && again.starts_with("halt is stopped already: "), "{again}");
    device.kill();
    device.start();
    device.wait_for("it to be known", || {
        say(&device, &["stop", "halt"]).1.starts_with("halt is stopped already: ").then_some(())
    });
}

#[test]
fn what_happened_is_told_by_the_next_agent_too_and_of_what_is_gone() {
    let Some(mut device) = Device::new("history") else { return };
    device.workload("past", SLEEP);
    device.workload("other", SLEEP);
    device.start();
    device.wait_for_running(&["other", "past"]);
    wait_for_explanation(&device, "past", 0, "past is running\n");
    say(&device, &["stop", "past"]);
    device.wait_for_running(&["other"]);
    let reasons = |name: &str| -> Vec<String> {
        let words = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
        say(&device, &["history", name]).1.lines().map(words).collect()
    };
    let expected = ["Started", "Commanded", "Inactive", "Stopped"];
    device.wait_for("all to be told", || (reasons("past") == expected).then_some(()));
    let narrow = device.shell("exec \"$AGENT\" history past", &[("COLUMNS", "60".into())]);
    assert!(narrow.lines().all(|line| line.chars().count() <= 60 || !line.trim().contains(' ')), "{narrow}");
    device.kill();
    device.remove_manifest("past.json");
    device.start_taking_metrics();
    device.wait_for_running(&["other"]);
    device.wait_for("the adoption to be told", || {
        let (code, all) = say(&device, &["history"]);
        let last = all.lines().last().unwrap_or_default();
        (code == 0 && last.contains("Adopted workload 'other' runs already: pod 'other-")).then_some(())
    });
    let (code, past) = say(&device, &["history", "past"]);
    assert!(code == 0 && past.lines().count() >= expected.len(), "{past}");
    assert!(past.lines().all(|line| line.contains("'past")), "{past}");
    assert_eq!(say(&device, &["history", "none"]).0, 2);
    let json = device.run(&["history", "other", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let first = &json["events"][0];
    assert_eq!((&first["reason"], &first["workload"]), (&"Started".into(), &"other".into()), "{json}");
}

#[test]
fn a_stop_until_it_changes_ends_with_another_manifest() {
    let Some(mut device) = Device::new("changed") else { return };
    device.workload("edited", SLEEP);
    device.start();
    device.wait_for_running(&["edited"]);
    let (code, said) = say(&device, &["stop", "edited", "--until-changed"]);
    assert!(code == 0 && said.ends_with("or another content of it is asked for\n"), "{said}");
    device.wait_for_running(&[]);
    device.workload("edited", &format!("true; {SLEEP}"));
    device.wait_for_running(&["edited"]);
    assert_eq!(device.run(&["status", "--until-changed"]).status.code(), Some(78));
}

#[test]
fn a_workload_with_a_schedule_runs_once_more_when_that_is_asked_for() {
    let Some(mut device) = Device::new("once") else { return };
    let mut nightly = workload("nightly", "sleep 2; exit 3");
    nightly["spec"]["cron"] = "0 0 1 1 *".into();
    device.manifest("nightly.json", &nightly.to_string());
    device.workload("service", SLEEP);
    device.start();
    device.wait_for_running(&["service"]);
    wait_for_explanation(&device, "service", 0, "service is running\n");
    let begun = "nightly gets a run now; its slots stay as they are\n".to_owned();
    assert_eq!(say(&device, &["run", "nightly"]), (0, begun));
    let refused = (1, "nightly gets no run now: a run is going on\n".to_owned());
    assert_eq!(say(&device, &["run", "nightly"]), refused);
    device.wait_for_running(&["nightly", "service"]);
    assert_eq!(say(&device, &["run", "nightly"]), refused);
    device.wait_for("its end to be told", || {
        let said = say(&device, &["explain", "nightly"]).1;
        said.starts_with("nightly is failed: it has finished with exit code 3 after ").then_some(())
    });
    pause(500);
    let told = say(&device, &["history", "nightly"]).1;
    assert_eq!(told.matches(" Started ").count(), 1, "{told}");
    let none = "service gets no run now: it has no cron schedule: it runs whenever its conditions let it\n"
        .to_owned();
    assert_eq!(say(&device, &["run", "service"]), (1, none));
    say(&device, &["stop", "nightly"]);
    let (code, stopped) = say(&device, &["run", "nightly"]);
    assert!(code == 1 && stopped.starts_with("nightly gets no run now: an operator stopped it"), "{stopped}");
}

#[test]
fn what_ran_before_returns_and_stays_over_kills_until_another_content_is_asked_for() {
    let Some(mut device) = Device::new("rollback") else { return };
    device.workload("edited", SLEEP);
    device.start();
    let first = device.wait_for_running(&["edited"]).remove(0);
    wait_for_explanation(&device, "edited", 0, "edited is running\n");
    let came_up = |device: &Device, name: &str| {
        device.wait_for("it to have come up", || {
            let kept = std::fs::read_to_string(device.state_dir().join("fallbacks")).unwrap_or_default();
            kept.contains(name).then_some(())
        });
    };
    came_up(&device, "edited");
    let none = "edited is not rolled back: nothing else ran before, as far as is known\n".to_owned();
    assert_eq!(say(&device, &["rollback", "edited"]), (1, none));
    device.workload("edited", &format!("true second; {SLEEP}"));
    let second = device.wait_for_another(&first);
    came_up(&device, "true second");
    device.kill();
    device.start();
    wait_for_explanation(&device, "edited", 0, "edited is running\n");
    let until = "until another content of it is asked for";
    let replied = format!("edited returns to what ran before, pod '{}', {until}\n", first.name);
    assert_eq!(say(&device, &["rollback", "edited"]), (0, replied));
    let back = device.wait_for_another(&second);
    assert_eq!(back.name, first.name);
    let explained =
        format!("edited is running\nnote: an operator rolled it back to what ran before, {until}\n");
    for _ in 0..2 {
        wait_for_explanation(&device, "edited", 0, &explained);
        device.kill();
        device.start();
    }
    wait_for_explanation(&device, "edited", 0, &explained);
    assert_eq!(device.wait_for_running(&["edited"]).remove(0).name, first.name);
    let described = say(&device, &["describe", "edited"]).1;
    assert!(described.contains("note an operator rolled it back to what ran before"), "{described}");
    let again = say(&device, &["rollback", "edited", "--json"]);
    assert!(again.0 == 1 && again.1.contains("is taken back already"), "{again:?}");
    device.workload("edited", &format!("true third; {SLEEP}"));
    device.wait_for_another(&back);
    wait_for_explanation(&device, "edited", 0, "edited is running\n");
}
