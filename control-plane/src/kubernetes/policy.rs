//! Who is let in without a person: an EdgeDeviceSet may take those that ask, by their names and the labels of their
//! requests.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::configuration;

/// The first set, by name, that takes a device which asks; in the order they are given.
pub(crate) fn approving<'a>(
    sets: &'a [Arc<Value>],
    id: &str,
    labels: &BTreeMap<String, String>,
) -> Option<&'a str> {
    let set = sets.iter().find(|set| takes(&set["spec"]["approve"], id, labels))?;
    set["metadata"]["name"].as_str()
}

/// All that is given has to fit; where nothing is, nothing does.
fn takes(policy: &Value, id: &str, labels: &BTreeMap<String, String>) -> bool {
    let (names, selector) = (policy["names"].as_array(), &policy["selector"]);
    let is_named = |names: &Vec<Value>| names.iter().filter_map(Value::as_str).any(|it| fits(it, id));
    (names.is_some() || selector.is_object())
        && names.is_none_or(is_named)
        && (!selector.is_object() || configuration::matches(selector, labels))
}

/// Whether a name fits a pattern, in which `*` stands for any characters and `?` for one.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut of) = (0, 0);
    // The last star, and from where in the name it is tried next.
    let mut star = None;
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[of] => (at, of) = (at + 1, of + 1),
            _ => match &mut star {
                Some((before, next)) => {
                    *next += 1;
                    (at, of) = (*before + 1, *next);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_fits_whole_names_and_takes_no_time_over_it() {
        let fitting = [
            ("door-*", "door-7"),
            ("door-*", "door-"),
            ("*", "a"),
            ("d??r", "door"),
            ("*-7", "door-7-7"),
            ("a", "a"),
        ];
        for (pattern, name) in fitting {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        let others =
            [("door-*", "adoor-7"), ("door", "door-7"), ("", "a"), ("d?r", "door"), ("*-7", "door-77")];
        for (pattern, name) in others {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(100), &("a".repeat(200) + "b")));
    }

    #[test]
    fn all_that_a_set_asks_for_has_to_fit_and_one_that_asks_for_nothing_takes_none() {
        let set = |name: &str, policy: Value| {
            Arc::new(json!({"metadata": {"name": name}, "spec": {"approve": policy}}))
        };
        let north = json!({"matchLabels": {"site": "north"}});
        let sets = [
            Arc::new(json!({"metadata": {"name": "none"}, "spec": {}})),
            set("empty", json!({})),
            set("no-names", json!({"names": []})),
            set("odd", json!({"names": "*", "selector": "all"})),
            set("both", json!({"names": ["door-*", "gate-*"], "selector": north})),
            set(
                "arm",
                json!({"selector": {"matchExpressions": [
                    {"key": "device.cpu-architecture", "operator": "In", "values": ["aarch64"]},
                ]}}),
            ),
            set("gates", json!({"names": ["gate-?"]})),
        ];
        let labels =
            |all: &[(&str, &str)]| all.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let approved = |id, all: &[(&str, &str)]| approving(&sets, id, &labels(all));
        assert_eq!(approved("gate-1", &[("site", "north")]), Some("both"));
        assert_eq!(approved("gate-1", &[("site", "south")]), Some("gates"));
        assert_eq!(approved("gate-10", &[]), None);
        assert_eq!(approved("pump", &[("device.cpu-architecture", "aarch64")]), Some("arm"));
        assert_eq!(approving(&[set("all", json!({"selector": {}}))], "pump", &labels(&[])), Some("all"));
    }
}
