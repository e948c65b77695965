//! The store against real files: what survives, and what is forgotten.

use std::os::unix::fs::PermissionsExt;

use super::*;

const NOW: Duration = Duration::from_secs(1000);

fn sample(name: &str, value: impl Into<Option<f64>>) -> Sample {
    Sample { name: name.into(), value: value.into() }
}

fn many(prefix: &str, count: usize) -> Vec<Sample> {
    (0..count).map(|n| sample(&format!("{prefix}{n}"), 1.0)).collect()
}

fn open(directory: &Path) -> MetricsStore {
    MetricsStore::open(directory, None, NOW)
}

fn remembered(directory: &Path) -> Vec<(String, f64)> {
    open(directory).posted_samples().into_iter().map(|(s, _)| (s.name, s.value.unwrap())).collect()
}

fn post(store: &mut MetricsStore, samples: Vec<Sample>) -> Vec<Sample> {
    assert!(store.stage(samples, NOW));
    store.commit(NOW).unwrap()
}

#[test]
fn the_newest_value_of_each_name_is_remembered_and_an_unset_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    post(&mut store, vec![sample("a", 1.0), sample("b", 2.0), sample("c", 3.0)]);
    assert_eq!(post(&mut store, vec![sample("a", 4.0), sample("a", 1e300)]), [sample("a", 1e300)]);
    post(&mut store, vec![sample("b", None)]);
    assert_eq!(remembered(directory.path()), [("a".into(), 1e300), ("c".into(), 3.0)]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join("metrics.log")), 0o600);
}

#[test]
fn a_torn_line_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    post(&mut open(directory.path()), vec![sample("a", 1.0), sample("b", 2.0)]);
    let log = directory.path().join("metrics.log");
    let whole = fs::read(&log).unwrap();
    for cut in 0..whole.len() {
        fs::write(&log, &whole[..cut]).unwrap();
        let mut store = open(directory.path());
        post(&mut store, vec![sample("z", 9.0)]);
        let all = remembered(directory.path());
        assert_eq!(all.last(), Some(&("z".into(), 9.0)), "cut at {cut}");
        assert!(all.iter().all(|of| [("a".into(), 1.0), ("b".into(), 2.0), ("z".into(), 9.0)].contains(of)));
    }
}

#[test]
fn metrics_of_an_earlier_boot_and_files_of_others_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    for text in ["boot 0000\n1 a 1.0\n", "\u{0}\u{0}\n", ""] {
        fs::write(directory.path().join("metrics.log"), text).unwrap();
        assert_eq!(remembered(directory.path()), []);
    }
}

#[test]
fn a_post_that_makes_too_many_names_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    post(&mut store, many("n", MAX_METRIC_NAMES - 1));
    assert!(!store.stage(many("m", 2), NOW));
    assert!(
        store.stage(vec![sample("n0", None), sample("x", 1.0), sample("y", 1.0), sample("n1", 5.0)], NOW)
    );
    assert!(!store.stage(many("m", 1), NOW), "what is staged counts");
    assert_eq!(store.commit(NOW).unwrap().len(), 4);
    assert!(!store.stage(many("m", 1), NOW));
    assert!(store.stage(vec![sample("x", 2.0)], NOW));
    store.commit(NOW).unwrap();
    assert_eq!(remembered(directory.path()).len(), MAX_METRIC_NAMES);
}

#[test]
fn the_log_stays_bounded_under_endless_posts() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    for value in 0..20_000 {
        post(&mut store, vec![sample("a", f64::from(value)), sample("b", None)]);
    }
    assert!(fs::metadata(directory.path().join("metrics.log")).unwrap().len() < 70_000);
    assert_eq!(remembered(directory.path()), [("a".into(), 19_999.0)]);
}

#[test]
fn an_expired_value_is_not_remembered_and_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    post(&mut open(directory.path()), many("n", MAX_METRIC_NAMES));
    let ttl = Some(Duration::from_secs(60));
    let later = NOW + Duration::from_secs(59);
    let mut store = MetricsStore::open(directory.path(), ttl, later);
    assert_eq!(store.posted_samples().len(), MAX_METRIC_NAMES);
    assert_eq!(store.posted_samples()[0].1, NOW);
    assert!(!store.stage(many("m", 1), later));
    assert!(store.stage(many("m", 1), NOW + Duration::from_secs(60)));
}

#[test]
fn a_store_that_cannot_be_written_refuses_and_works_again_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("run");
    fs::write(&inner, "a file in the way").unwrap();
    let mut store = open(&inner);
    assert!(store.stage(vec![sample("a", 1.0)], NOW));
    store.commit(NOW).unwrap_err();
    assert_eq!(store.posted_samples(), []);
    fs::remove_file(&inner).unwrap();
    post(&mut store, vec![sample("b", 2.0)]);
    assert_eq!(remembered(&inner), [("b".into(), 2.0)]);
}
