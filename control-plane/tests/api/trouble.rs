//! Every way of misbehaving, and that it ends.

use std::time::{Duration, Instant};

use crate::bed::{Answer, Bed, Client};

fn linked() -> (Bed, Client) {
    let bed = Bed::start(&["--faults"]);
    bed.write("w.yaml", "kind: EdgeWorkload\nmetadata: {name: w}\nspec: {device: one}\n");
    let client = bed.client(&bed.device("one"));
    (bed, client)
}

/// What becomes of a call that the server stalls, once this is done.
fn while_stalled(bed: &Bed, client: &Client, act: impl FnOnce()) -> Result<Answer, ureq::Error> {
    std::thread::scope(|scope| {
        let stalled = scope.spawn(|| client.get("/control/one/in"));
        while bed.log().last().unwrap()["trouble"] != "stall" {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!stalled.is_finished());
        act();
        stalled.join().unwrap()
    })
}

#[test]
fn a_status_is_given_as_often_as_told_to_whom_it_was_meant_for() {
    let (bed, client) = linked();
    bed.tell("fault 503 call=heartbeat device=one times=2 retry-after=7");
    assert_eq!(client.control("one").status, 200);
    let answer = client.say("one", "heartbeat", serde_json::json!({})).unwrap();
    assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("7")));
    assert!(bed.tell("faults").contains("1 left"));
    assert_eq!([client.beat("one"), client.beat("one")], [503, 200]);
    bed.tell("fault 401");
    assert_eq!([client.beat("one"), client.beat("one")], [401, 401], "for ever");
    bed.tell("clear");
    assert_eq!(client.beat("one"), 200);
}

#[test]
fn answers_go_wrong_in_every_way() {
    let (bed, client) = linked();
    let get = |fault: &str| {
        bed.tell(&format!("fault {fault} times=1"));
        client.get("/data/one/in")
    };
    let whole = client.configuration("one").text.len();
    let half = get("truncated").unwrap().text;
    assert!(half.len() == whole / 2 && half.starts_with('{'), "{half}");
    assert!(get("types").unwrap().json()["content"]["workloads"].is_object());
    assert!(get("html").unwrap().text.starts_with("<!DOCTYPE"));
    assert_eq!(get("empty").unwrap().text, "");
    assert_eq!(get("huge").unwrap().text.len(), 64 << 20);
    get("cut").unwrap_err();
    for fault in ["reset", "lost"] {
        let error = get(fault).unwrap_err().to_string();
        assert!(error.contains("reset by peer"), "{fault}: {error}");
    }
    let began = Instant::now();
    get("slow=300").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    get("drip=1").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300 + whole as u64));
    assert_eq!(client.configuration("one").status, 200);
}

#[test]
fn a_stall_lasts_until_it_is_cleared() {
    let (bed, client) = linked();
    bed.tell("fault stall");
    let mut began = Instant::now();
    let stalled = while_stalled(&bed, &client, || {
        began = Instant::now();
        bed.tell("clear");
    });
    stalled.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2), "before the client's own limit");
    assert_eq!(client.control("one").status, 200);
}

#[test]
fn a_hangup_resets_who_is_waiting() {
    let (bed, client) = linked();
    bed.tell("fault stall times=1");
    let error = while_stalled(&bed, &client, || drop(bed.tell("hangup"))).unwrap_err().to_string();
    assert!(error.contains("reset by peer"), "{error}");
    assert_eq!(client.control("one").status, 200);
}

#[test]
fn what_is_lost_was_done_and_what_is_reset_was_not() {
    let (bed, client) = linked();
    let version = || client.configuration("one").json()["content"]["version"].clone();
    let send = |fault: &str| {
        bed.tell(&format!("fault {fault} times=1"));
        client.say("one", "heartbeat", serde_json::json!({})).unwrap_err();
    };
    let before = version();
    send("reset");
    assert_eq!(version(), before);
    send("lost");
    assert_ne!(version(), before);
}

#[test]
fn the_door_refuses_keeps_silent_and_opens_again() {
    let (bed, client) = linked();
    bed.tell("door refuse");
    let error = client.get("/control/one/in").unwrap_err();
    assert!(format!("{error}").contains("refused"), "{error}");
    bed.tell("door silent");
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| client.get("/control/one/in"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!silent.is_finished());
        bed.tell("clear");
        silent.join().unwrap().unwrap_err();
    });
    assert_eq!(client.control("one").status, 200);
}

#[test]
fn the_servers_own_certificate_can_be_wrong() {
    let (bed, client) = linked();
    let faults = [
        ("expired", "Expired"),
        ("future", "NotValidYet"),
        ("wrong-name", "NotValidForName"),
        ("foreign", "UnknownIssuer"),
    ];
    for (kind, expected) in faults {
        bed.tell(&format!("server-certificate {kind}"));
        let error = format!("{:?}", client.get("/control/one/in").unwrap_err());
        let same = error.contains(expected) || (kind == "foreign" && error.contains("BadSignature"));
        assert!(same, "{kind}: {error}");
    }
    bed.tell("clear");
    assert_eq!(client.control("one").status, 200);
}

#[test]
fn requests_are_logged_with_connection_size_and_content() {
    let (bed, client) = linked();
    for _ in 0..3 {
        client.say("one", "heartbeat", serde_json::json!({"events": [{"reason": "Started"}]})).unwrap();
    }
    let log = bed.log();
    let beats: Vec<_> = log.iter().filter(|line| line["call"] == "heartbeat").collect();
    assert_eq!(beats.len(), 3);
    assert!(beats.iter().all(|beat| beat["connection"] == beats[0]["connection"]), "kept alive: {beats:?}");
    assert_eq!(beats[0]["content"]["events"][0]["reason"], "Started");
    assert!(beats[0]["head"].as_u64().unwrap() > 100 && beats[0]["body"].as_u64().unwrap() > 50);
}

#[test]
fn only_with_faults_it_can_be_told_to_misbehave() {
    let bed = Bed::start(&[]);
    for command in ["fault 503", "door refuse", "hangup", "server-certificate expired", "clear", "faults"] {
        assert!(bed.refused(command).contains("needs `serve --faults`"), "{command}");
    }
    assert!(bed.refused("dance").contains("there is no command 'dance'"));
}
