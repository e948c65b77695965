//! Answers as podman gives them.

use super::*;

fn unix(text: &str) -> Option<f64> {
    parse_time(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64())
}

#[test]
fn times_are_read_with_fraction_and_offset() {
    assert_eq!(unix("1970-01-01T00:00:00Z"), Some(0.0));
    assert_eq!(unix("2026-11-23T03:42:24.5Z"), Some(1_795_405_344.5));
    assert_eq!(unix("2026-11-23T04:42:24.5+01:00"), Some(1_795_405_344.5));
    assert_eq!(unix("2026-11-22T22:12:24.500000000-05:30"), Some(1_795_405_344.5));
    assert_eq!(unix("2024-02-29T23:59:59Z"), Some(1_709_251_199.0));
    assert_eq!(unix("2000-03-01T00:00:00Z"), Some(951_868_800.0));
}

#[test]
fn what_is_no_time_is_none() {
    for text in ["", "0001-01-01T00:00:00Z", "2026-11-23", "2026-11-23T03:42:24", "2026-13-23T03:42:24Z"] {
        assert_eq!(unix(text), None, "{text}");
    }
    for text in ["2026-11-23T03:42:24+1:00", "2026-11-23T03:42:24.Zä", "ä026-11-23T03:42:24Z"] {
        assert_eq!(unix(text), None, "{text}");
    }
}

#[test]
fn a_pod_runs_when_it_has_containers_and_they_and_what_holds_its_namespaces_do() {
    let pod = |containers: &str| -> ListedPod {
        serde_json::from_str(&format!(
            r#"{{"Id":"0","Name":"p","InfraId":"i","Labels":null,"Containers":{containers},"New":{{"x":1}}}}"#
        ))
        .unwrap()
    };
    let infra = r#"{"Id":"i","Status":"running"}"#;
    assert!(pod(&format!(r#"[{infra},{{"Id":"a","Status":"running"}}]"#)).is_running());
    assert!(!pod(r#"[{"Id":"i","Status":"exited"},{"Id":"a","Status":"running"}]"#).is_running());
    assert!(
        !pod(&format!(r#"[{infra},{{"Id":"a","Status":"running"}},{{"Id":"b","Status":"exited"}}]"#))
            .is_running()
    );
    assert!(!pod(&format!("[{infra}]")).is_running());
    assert!(!pod("null").is_running());
}

#[test]
fn a_pods_disk_space_is_what_its_containers_wrote_and_its_volumes_hold() {
    let text = r#"{"Images":[{"Size":9}],
        "Containers":[{"Names":"web-012345678901-a","RWSize":1,"Size":1000},{"Names":"web-2-012345678901-a","RWSize":2}],
        "Volumes":[{"VolumeName":"web-012345678901_tmp","Size":4},{"VolumeName":"web_data","Size":8},
            {"VolumeName":"web-2_data","Size":16},{"VolumeName":"web","Size":32}]}"#;
    let df = serde_json::from_str(text).unwrap();
    assert_eq!(disk_usage(&df, "web-012345678901"), 1 + 4 + 8);
    assert_eq!(disk_usage(&serde_json::json!({ "Volumes": null }), "web-0"), 0);
}

#[test]
fn a_containers_memory_is_found_among_all() {
    let stats = serde_json::json!({ "Error": null, "Stats": [
        { "ContainerID": "a", "MemUsage": 1 }, { "ContainerID": "b", "MemUsage": 2 }, { "ContainerID": "c" },
    ] });
    assert_eq!(["a", "b", "c", "d"].map(|id| memory_usage(&stats, id)), [1, 2, 0, 0]);
    assert_eq!(memory_usage(&Value::Null, "a"), 0);
}

#[test]
fn a_container_that_never_started_has_not_ended_well() {
    let state = |status: &str, started: &str| InspectedState {
        status: status.into(),
        started_at: started.into(),
        finished_at: "2026-11-23T03:42:25Z".into(),
        ..InspectedState::default()
    };
    let never = "0001-01-01T00:00:00Z";
    assert!(matches!(state("created", never).to_container_state(), ContainerState::Stuck(_)));
    assert!(matches!(state("exited", never).to_container_state(), ContainerState::Stuck(_)));
    let ContainerState::Exited { code: 0, ran, .. } =
        state("exited", "2026-11-23T03:42:24Z").to_container_state()
    else {
        panic!("not exited");
    };
    assert_eq!(ran, Duration::from_secs(1));
}

#[test]
fn an_end_before_the_last_start_with_code_0_may_be_of_an_earlier_run() {
    let state = |status: &str, exit_code, finished_at: &str| InspectedState {
        status: status.into(),
        exit_code,
        started_at: "2026-11-23T03:42:24Z".into(),
        finished_at: finished_at.into(),
        ..InspectedState::default()
    };
    let (before, after, never) = ("2026-11-23T03:42:20Z", "2026-11-23T03:42:25Z", "0001-01-01T00:00:00Z");
    assert!(state("exited", 0, before).may_be_cut_short());
    for sure in [state("exited", 0, after), state("exited", 3, before), state("running", 0, before)] {
        assert!(!sure.may_be_cut_short(), "{sure:?}");
    }
    assert_eq!(state("exited", 0, never).to_container_state(), InspectedState::cut_short());
}

#[test]
fn reasons_are_cut_to_what_they_say() {
    let not_found = "starting container eb8d: crun: executable file `/nope` not found in $PATH: No such file \
                     or directory: OCI runtime attempted to invoke a command that was not found";
    let dependency = "starting container d217: a dependency of container d217 failed to start";
    assert_eq!(
        plain_reason(&[dependency.into(), not_found.into()]),
        "container eb8d: executable file `/nope` not found in $PATH: No such file or directory"
    );
    assert_eq!(plain_reason(&["playing YAML file: a:1: image not known".into()]), "a:1: image not known");
    assert_eq!(plain_reason(&[dependency.into()]), &dependency["starting ".len()..]);
}
