//! Which workload is meant by a name: its own, that of its pod now or of an earlier content, or a container's.

use crate::{
    agent::{
        model::report::{Report, Workload},
        view::text::for_another_device_text,
    },
    wire::podspec::nearest::nearest_word,
};

/// How many hex digits end a pod's name.
const HASH_LENGTH: usize = 12;

/// The workload that is meant.
///
/// # Errors
/// There is none; which may be meant.
pub(super) fn find_workload<'a>(report: &'a Report, name: &str) -> Result<&'a Workload, String> {
    let workloads = &report.workloads;
    let has = |is: fn(&str, &str) -> bool| {
        workloads.iter().find(|it| it.pod.as_deref().is_some_and(|pod| is(pod, name)))
    };
    let own = workloads.iter().find(|it| it.name == name);
    own.or_else(|| has(is_pod_or_container)).or_else(|| has(is_former_pod)).ok_or_else(|| {
        if report.device.elsewhere.iter().any(|it| it == name) {
            return format!("{}\n", for_another_device_text(&format!("the workload '{name}'")));
        }
        let near = nearest_word(name, workloads.iter().map(|it| &*it.name));
        let near = near.map(|near| format!(": did you mean '{near}'?")).unwrap_or_default();
        format!("there is no workload '{name}'{near}\n")
    })
}

/// Whether this is the pod, or a container of it.
fn is_pod_or_container(pod: &str, name: &str) -> bool {
    name.strip_prefix(pod).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The same of the pod of another content.
fn is_former_pod(pod: &str, name: &str) -> bool {
    let base = pod.len().saturating_sub(HASH_LENGTH);
    let hash = name.get(base..base + HASH_LENGTH);
    pod.get(..base).is_some_and(|base| name.starts_with(base))
        && hash.is_some_and(|hash| hash.bytes().all(|it| it.is_ascii_hexdigit()))
        && name.get(base + HASH_LENGTH..).is_some_and(|rest| is_pod_or_container("", rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::report::Device;

    fn found(asked: &str) -> Result<String, String> {
        let workload = |name: &str, pod: &str| Workload {
            name: name.into(),
            pod: (!pod.is_empty()).then(|| pod.into()),
            ..Workload::default()
        };
        let workloads = vec![
            workload("hello", "hello-0123456789ab"),
            workload("hello-2", "hello-2-00000000000a"),
            workload("rejected", ""),
        ];
        let device = Device { elsewhere: vec!["away".into(), "hello".into()], ..Device::default() };
        let report = Report { device, workloads, ..Report::default() };
        find_workload(&report, asked).map(|it| it.name.clone())
    }

    #[test]
    fn a_workload_is_known_by_its_name_its_pods_and_their_containers() {
        for (asked, name) in [
            ("hello", "hello"),
            ("hello-0123456789ab", "hello"),
            ("hello-0123456789ab-web", "hello"),
            ("hello-ba9876543210-infra", "hello"),
            ("hello-2", "hello-2"),
            ("hello-2-00000000000a-a-b", "hello-2"),
            ("rejected", "rejected"),
        ] {
            assert_eq!(found(asked).as_deref(), Ok(name), "{asked}");
        }
    }

    #[test]
    fn another_name_is_none_and_a_slip_is_told_what_may_be_meant() {
        for asked in ["", "web", "hello-0123456789", "hello-0123456789abc", "hello-ö123456789ab"] {
            assert!(
                found(asked).unwrap_err().starts_with(&format!("there is no workload '{asked}'")),
                "{asked}"
            );
        }
        assert_eq!(found("helo").unwrap_err(), "there is no workload 'helo': did you mean 'hello'?\n");
        assert_eq!(found("x").unwrap_err(), "there is no workload 'x'\n");
    }

    #[test]
    fn a_workload_for_another_device_is_told_as_that() {
        assert_eq!(found("away").unwrap_err(), "the workload 'away' is for another device\n");
        assert_eq!(found("hello").as_deref(), Ok("hello"), "one for this device goes first");
    }
}
