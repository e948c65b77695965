//! The name of an image, as registries take it: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.

use crate::wire::podspec::reader::{FindingClass, ReadContext};

pub(super) fn check(key: &str, image: &str, notes: &mut ReadContext) {
    if !image.is_empty()
        && let Err(why) = validate_reference(image)
    {
        notes.at_child(key, |notes| {
            notes.add(FindingClass::Value, format!("`{image}` is no name of an image: {why}"))
        });
    }
}

fn validate_reference(image: &str) -> Result<(), &'static str> {
    if image.trim() != image {
        return Err("it begins or ends with a blank");
    }
    if image.contains("://") {
        return Err("write it without `://` and what stands before");
    }
    if image.contains(['$', '{', '}']) {
        return Err("nothing replaces variables here");
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    if let Some(digest) = digest {
        let is_hex = |text: &str| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digest.split_once(':').is_some_and(|(kind, hex)| !kind.is_empty() && is_hex(hex)) {
            return Err("after `@` stands a digest: `sha256:` and its digits");
        }
    }
    let (host, rest) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
        _ => (None, name),
    };
    if let Some(host) = host {
        // an address of IPv6 has brackets
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (host, None),
        };
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte);
        if host.is_empty()
            || !host.bytes().all(is_fine)
            || port.is_some_and(|port| port.parse::<u16>().is_err())
        {
            return Err("its registry is a host and perhaps a port");
        }
    }
    let (path, tag) = rest.split_once(':').map_or((rest, None), |(path, tag)| (path, Some(tag)));
    let is_tag = |tag: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        (1..=128).contains(&tag.len()) && tag.bytes().all(is_fine) && !tag.starts_with(['.', '-'])
    };
    if !tag.is_none_or(is_tag) {
        return Err("its tag takes letters, digits, `_`, `.` and `-`");
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("it takes no capital letters before the tag");
    }
    let is_part = |part: &str| {
        let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let is_inner = |edge: Option<char>| edge.is_some_and(|c| c.is_ascii_alphanumeric());
        part.bytes().all(is_fine) && is_inner(part.chars().next()) && is_inner(part.chars().next_back())
    };
    if path.len() > 255 || !path.split('/').all(is_part) {
        return Err("it takes lower-case letters, digits and inner `.`, `_` and `-` between slashes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_those_that_registries_take() {
        let digest = format!("a@sha256:{}", "0f".repeat(32));
        for good in [
            "busybox",
            "i",
            "docker.io/library/busybox:1.36",
            "localhost/device-worker-ng-demo:1",
            "localhost:5000/a/b__c:v1.2-x",
            "Registry.Example:443/app",
            "[fd00::1]:5000/app:1",
            "user/app:latest",
            &digest,
            &format!("registry.example/{digest}"),
        ] {
            assert_eq!(validate_reference(good), Ok(()), "{good}");
        }
        for bad in [
            "Registry.Example/App:1",
            "app:1:2",
            "docker://nginx",
            " nginx",
            "nginx ",
            "${REGISTRY}/app:${TAG}",
            "a b",
            "a/",
            "/a",
            "a//b",
            "-a",
            "a:",
            "a:.x",
            "a@sha256:12",
            "a@b",
            "host.example:port/a",
            "ä",
            "a\n",
        ] {
            assert!(validate_reference(bad).is_err(), "{bad}");
        }
    }
}
