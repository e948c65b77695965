//! Images of a private registry: only a device with the password gets them, and it is told nowhere.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use device_worker_ng::agent::model::{
    confidential::Confidential,
    image::PulledImage,
    order::{Fact, Failure, Task},
    workload::Workload,
};
use serde_json::{Value, json};

use super::bed::{Bed, container, states, workload};
use crate::support::{SLEEP, registry::Registry};

const PASSWORD: &str = "p4ss: w0rd";

fn entry(password: &str) -> Value {
    json!({ "auth": BASE64_STANDARD.encode(format!("{}:{password}", Registry::USER)) })
}

fn with_auth(image: &str, policy: &str, auths: Value) -> Arc<Workload> {
    let mut main = container("main", SLEEP);
    main["image"] = image.into();
    main["imagePullPolicy"] = policy.into();
    let mut content = workload("private", json!({ "containers": [main] })).content.clone();
    content.auth = Confidential(json!({ "auths": auths }).to_string().into());
    Arc::new(Workload::new(content))
}

fn refused(bed: &Bed, workload: Arc<Workload>) -> String {
    match bed.order(Task::Pull(workload)) {
        Err(Failure::Workload(reason)) => reason,
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn only_the_right_password_for_this_registry_gets_the_image() {
    let Some(bed) = Bed::new() else { return };
    let Some(registry) = Registry::start(PASSWORD) else { return };
    let (image, address) = (registry.image(), registry.address.as_str());

    for (auths, said) in [
        (json!({}), "unauthorized"),
        (json!({ "quay.io": entry(PASSWORD) }), "unauthorized"),
        (json!({ format!("{address}/other"): entry(PASSWORD) }), "unauthorized"),
        (json!({ address: entry("wr0ng") }), &*format!("(with the credentials for `{address}`)")),
    ] {
        let reason = refused(&bed, with_auth(&image, "Always", auths));
        assert!(reason.contains(said) && reason.contains(address), "{reason}");
        assert!(!reason.contains("wr0ng") && !reason.contains(PASSWORD), "{reason}");
    }

    let right =
        with_auth(&image, "IfNotPresent", json!({ format!("https://{address}/v2/"): entry(PASSWORD) }));
    let fetched = PulledImage { image: image.clone(), before: None };
    assert_eq!(
        bed.order(Task::Pull(right.clone())),
        Ok(Fact::Pulled { fetched: vec![fetched], stale: vec![] })
    );
    assert_eq!(states(&bed.start(&right)), ["main running"]);
    // what is here is used although the password has changed, and that is said
    let outdated = with_auth(&image, "Always", json!({ address: entry("wr0ng") }));
    match bed.order(Task::Pull(outdated)) {
        Ok(Fact::Pulled { fetched, stale }) => {
            assert_eq!(fetched, []);
            assert!(stale.len() == 1 && stale[0].contains("unauthorized"), "{stale:?}");
        }
        other => panic!("{other:?} instead of a stale image"),
    }
    assert_eq!(bed.remove(&right), Ok(Fact::Gone));
    assert_eq!(bed.order(Task::Discard(image)), Ok(Fact::Gone));
}
