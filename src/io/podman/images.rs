//! Gets a workload's images, as each container's pull policy says.

use std::{collections::BTreeSet, time::Duration};

use super::api::{Error, PodmanClient};
use crate::{
    agent::model::{
        gather::gather,
        image::PulledImage,
        order::{Fact, Failure},
        workload::{Content, Workload},
    },
    wire::{
        podman::{
            answers::{InspectedImage, PullProgress},
            registry,
        },
        podspec::{PodSpec, container::PullPolicy as Policy},
        strict,
    },
};

const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// For one image. There is no limit on silence: podman says nothing while a large layer comes in.
const PULL_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Gets all images: [`Fact::Pulled`].
pub(super) fn pull(client: &PodmanClient, workload: &Workload) -> Result<Fact, Failure> {
    let (fetched, stale) = get_images(client, workload, true)?;
    Ok(Fact::Pulled { fetched, stale })
}

/// Gets the images that aren't here.
pub(super) fn pull_missing(client: &PodmanClient, workload: &Workload) -> Result<Vec<PulledImage>, Failure> {
    Ok(get_images(client, workload, false)?.0)
}

/// `anew`: also newer ones, where the policy says so.
fn get_images(
    client: &PodmanClient,
    workload: &Workload,
    anew: bool,
) -> Result<(Vec<PulledImage>, Vec<String>), Failure> {
    let (mut fetched, mut stale) = (Vec::new(), Vec::new());
    for (image, policy) in images(&workload.content) {
        let image = &*image;
        if !is_reference(image) {
            return Err(Failure::Workload(format!("'{image}' is no name of an image")));
        }
        let is_renewed = anew && policy == Policy::Always;
        let before = if is_renewed { image_id(client, image)? } else { None };
        // (this answer takes podman a fraction of the time of all about the image)
        let is_here = if is_renewed { before.is_some() } else { is_image_present(client, image)? };
        match policy {
            _ if is_here && !is_renewed => {}
            Policy::Never => {
                let reason = format!("image '{image}' is not here, and its pull policy is Never");
                return Err(Failure::Workload(reason));
            }
            Policy::Always | Policy::IfNotPresent => match pull_one(client, image, &workload.content)
                .map_err(|error| pull_failure(client, image, error))
            {
                Ok(id) if before.as_ref() == Some(&id) => {}
                Ok(_) => fetched.push(PulledImage { image: image.into(), before }),
                Err(Error::Refused(cause)) if is_here => {
                    stale.push(format!(
                        "failed to pull image '{image}', so the one that is here is used: {cause}"
                    ));
                }
                Err(Error::Refused(cause)) => {
                    return Err(Failure::Workload(format!("failed to pull image '{image}': {cause}")));
                }
                Err(error) => return Err(error.into()),
            },
        }
    }
    Ok((fetched, stale))
}

fn is_image_present(client: &PodmanClient, image: &str) -> Result<bool, Error> {
    let answer = client.get(&format!("images/{image}/exists"), &[], CHECK_TIMEOUT)?;
    if answer.is_missing() { Ok(false) } else { answer.check_success().map(|()| true) }
}

/// A pull that broke off has failed like one that podman refuses, if podman still answers: what it pulls from is to blame.
/// But where it hung up, and there is no image to go on with, it is podman that has to come back.
fn pull_failure(client: &PodmanClient, image: &str, error: Error) -> Error {
    match error {
        Error::Late(_) if is_image_present(client, image).is_ok() => {
            Error::Refused(format!("it was not here within {} minutes", PULL_TIMEOUT.as_secs() / 60))
        }
        Error::Broken(why) if is_image_present(client, image).is_ok_and(|here| here) => Error::Refused(why),
        error => error,
    }
}

/// podman's id of the image, if it is here.
fn image_id(client: &PodmanClient, image: &str) -> Result<Option<String>, Failure> {
    let answer = client.get(&format!("images/{image}/json"), &[], CHECK_TIMEOUT)?;
    if answer.is_missing() {
        return Ok(None);
    }
    let InspectedImage { id } = answer.json()?;
    Ok(Some(id))
}

/// Removes an image that no container uses.
pub(super) fn discard(client: &PodmanClient, image: &str) -> Result<Fact, Failure> {
    let answer = client.delete(&format!("images/{image}"), &[], CHECK_TIMEOUT)?;
    if !answer.is_missing() {
        answer.check_success()?;
    }
    Ok(Fact::Gone)
}

/// Answers with the image's id.
fn pull_one(client: &PodmanClient, image: &str, content: &Content) -> Result<String, Error> {
    let mut end = PullProgress::default();
    let credentials = content.auth.0.as_str().and_then(|config| registry::credentials(config, image));
    let header = credentials.as_ref().map(|(_, header)| header.as_str());
    let query = [("reference", image), ("policy", "always")];
    let pulled = client.post_lines("images/pull", &query, header, PULL_TIMEOUT, |line| {
        end = strict::from_json(line).unwrap_or_default();
    });
    let why = match (pulled, end.error.trim(), end.id) {
        // (podman 6 refuses with a status, as nothing was said yet)
        (Err(Error::Refused(why)), ..) => why,
        (Err(error), ..) => return Err(error),
        (Ok(()), "", id) if id.is_empty() => {
            return Err(Error::Broken("podman hung up in the middle of a pull".into()));
        }
        (Ok(()), "", id) => return Ok(id),
        (Ok(()), error, _) => error.into(),
    };
    Err(Error::Refused(match credentials {
        Some((registry, _)) => format!("{why} (with the credentials for `{registry}`)"),
        None => why,
    }))
}

/// Every image once for each policy that containers have for it, `Always` first.
fn images(content: &Content) -> BTreeSet<(String, Policy)> {
    let spec = PodSpec::read_accepted(&content.specification.value());
    let containers = spec.init_containers.into_iter().chain(spec.containers);
    let volumes = spec.volumes.into_iter().filter_map(|volume| volume.image);
    let named = containers
        .map(|it| (it.image.0, it.image_pull_policy))
        .chain(volumes.map(|it| (it.reference.0, it.pull_policy)));
    gather(named.filter(|it| !it.0.is_empty()).map(|(image, written)| {
        let policy = policy(&image, written);
        (image, policy)
    }))
}

/// What Kubernetes makes of it: without a policy, what has no fixed tag is looked for each time.
fn policy(image: &str, written: Option<Policy>) -> Policy {
    let name = image.rsplit('/').next().unwrap_or(image);
    match written {
        Some(policy) => policy,
        None if name.contains('@') => Policy::IfNotPresent,
        None if !name.contains(':') || name.ends_with(":latest") => Policy::Always,
        None => Policy::IfNotPresent,
    }
}

/// Whether it can stand in an address, as every name of an image can.
fn is_reference(image: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
    !image.is_empty() && image.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixListener,
        thread,
    };

    use serde_json::json;

    use super::*;
    use crate::agent::tests::workload;

    #[test]
    fn without_a_policy_only_a_floating_tag_is_pulled_always() {
        for (image, expected) in [
            ("quay.io/a/b", Policy::Always),
            ("localhost:5000/b", Policy::Always),
            ("b:latest", Policy::Always),
            ("localhost:5000/b:1", Policy::IfNotPresent),
            ("b@sha256:00ff", Policy::IfNotPresent),
        ] {
            assert_eq!(policy(image, None), expected, "{image}");
        }
        assert_eq!(policy("b:latest", Some(Policy::Never)), Policy::Never);
    }

    #[test]
    fn a_pull_that_takes_too_long_has_failed_and_podman_only_if_it_is_silent() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("podman.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let client = PodmanClient::new(&socket);
        let answers = thread::spawn(move || {
            for status in ["204 No Content", "404 Not Found", "204 No Content", "404 Not Found"] {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                    .unwrap();
            }
        });
        let failure = |error: fn(String) -> Error| pull_failure(&client, "b:1", error("why".into()));
        for _here in [true, false] {
            let Error::Refused(why) = failure(Error::Late) else { panic!("not the registry's") };
            assert_eq!(why, "it was not here within 30 minutes");
        }
        assert!(matches!(failure(Error::Broken), Error::Refused(why) if why == "why"), "one is here");
        assert!(matches!(failure(Error::Broken), Error::Broken(_)), "none is here");
        answers.join().unwrap();
        for error in [Error::Late, Error::Broken] {
            assert!(!matches!(failure(error), Error::Refused(_)), "podman is gone");
        }
    }

    #[test]
    fn an_image_that_two_containers_share_is_asked_for_once() {
        let one = json!({ "image": "b:1" });
        let mut content = workload("w", 0).content;
        content.specification = json!({ "containers": [one, one, {}, 5], "initContainers": [one] }).into();
        assert_eq!(images(&content).len(), 1);
        content.specification = json!("nonsense").into();
        assert_eq!(images(&content).len(), 0);
    }

    #[test]
    fn what_could_break_out_of_an_address_is_no_image() {
        assert!(is_reference("quay.io/a/b:1.2_x@sha256:00ff"));
        for image in ["", "a b", "a?x=1", "a#b", "a\r\nb", "a%2e"] {
            assert!(!is_reference(image), "{image}");
        }
    }
}
