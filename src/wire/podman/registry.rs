//! Credentials for image registries: the content of a docker `config.json`, as a server or a `Secret` gives it.

use serde_json::{Value, json};

use crate::wire::{base64, json::set};

/// The key of a `Secret` that holds such a content.
pub const DOCKER_CONFIG_KEY: &str = ".dockerconfigjson";

/// Says what is wrong with a content, without a word of it but the names of registries.
///
/// # Errors
/// It isn't JSON, or the credentials of a registry make no sense.
pub fn check_docker_config(config: &str) -> Result<(), String> {
    for (registry, entry) in auth_entries(&parse_config(config)?)? {
        // (what is wrong is said on one line)
        login_credentials(entry)
            .map_err(|problem| format!("the credentials for `{}` {problem}", registry.escape_debug()))?;
    }
    Ok(())
}

/// For whom an image's credentials are, and podman's header for them; `None` if there are none for it.
pub fn credentials(config: &str, image: &str) -> Option<(String, String)> {
    let config = parse_config(config).ok()?;
    let repository = repository(image)?;
    let matches = |registry: &str| {
        let rest = repository.strip_prefix(registry)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(registry.len())
    };
    // the longest is the most special
    let entries = auth_entries(&config).ok()?.map(|(key, entry)| (normalize_registry(key), entry));
    let best = entries.filter_map(|(registry, entry)| Some((matches(&registry)?, registry, entry)));
    let (_, registry, entry) = best.max_by_key(|(length, ..)| *length)?;
    Some((registry, base64::encode_for_urls(login_credentials(entry).ok()??.to_string().as_bytes())))
}

fn parse_config(config: &str) -> Result<Value, String> {
    // what serde_json says of it may quote it
    serde_json::from_str(config).map_err(|_| "is no JSON, as a docker config.json is".to_owned())
}

fn auth_entries(config: &Value) -> Result<impl Iterator<Item = (&str, &Value)>, String> {
    let auths = config["auths"].as_object().ok_or("has no `auths`, as a docker config.json has")?;
    Ok(auths.iter().map(|(registry, entry)| (registry.as_str(), entry)))
}

/// What podman takes; nothing where a helper, which a device hasn't got, would know more.
fn login_credentials(entry: &Value) -> Result<Option<Value>, &'static str> {
    const MALFORMED_AUTH: &str = "are no base64 of `user:password`";
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    let (user, password) = match text("auth") {
        Some(auth) => {
            let decoded = base64::decode(auth).ok_or(MALFORMED_AUTH)?;
            let decoded = String::from_utf8(decoded).map_err(|_| MALFORMED_AUTH)?;
            let (user, password) = decoded.split_once(':').ok_or(MALFORMED_AUTH)?;
            // docker fills up with these
            (user.to_owned(), password.trim_end_matches('\0').to_owned())
        }
        None => match (text("username"), text("password"), text("identitytoken")) {
            (None, None, None) if entry.is_object() => return Ok(None),
            (Some(user), Some(password), _) => (user.to_owned(), password.to_owned()),
            (user, None, Some(_)) => (user.unwrap_or_default().to_owned(), String::new()),
            _ => return Err("have neither `auth` nor `username` and `password`"),
        },
    };
    let mut login = json!({ "username": user, "password": password });
    if let Some(token) = text("identitytoken") {
        set(&mut login, "identitytoken", token.into());
    }
    Ok(Some(login))
}

/// Registry and path of an image, without tag and digest. None of a short name: which registry podman finds it in
/// is the device's affair, and no other is told these credentials.
fn repository(image: &str) -> Option<String> {
    let (host, path) = image.split_once('/')?;
    // a key may be an address with a scheme, an image may not
    if host.ends_with(':') || !host.contains(['.', ':']) && host != "localhost" {
        return None;
    }
    let path = path.split(['@', ':']).next().unwrap_or(path);
    Some(normalize_registry(&format!("{host}/{path}")))
}

/// As images name it: docker's own registry has several names, and old keys are addresses.
fn normalize_registry(key: &str) -> String {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest).trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    match key.split_once('/').unwrap_or((key, "")) {
        ("index.docker.io" | "registry-1.docker.io", "") => "docker.io".to_owned(),
        ("index.docker.io" | "registry-1.docker.io", path) => format!("docker.io/{path}"),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ::base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};

    use super::*;

    fn login_for(config: &Value, image: &str) -> Option<(String, Value)> {
        let (registry, header) = credentials(&config.to_string(), image)?;
        let json = BASE64_URL_SAFE.decode(header).unwrap();
        Some((registry, serde_json::from_slice(&json).unwrap()))
    }

    fn user_for(config: &Value, image: &str) -> Option<String> {
        let (_, login) = login_for(config, image)?;
        Some(login["username"].as_str().unwrap().to_owned())
    }

    fn entry(user: &str) -> Value {
        json!({ "auth": BASE64_STANDARD.encode(format!("{user}:p:w")) })
    }

    #[test]
    fn an_image_gets_the_credentials_of_its_registry_and_of_no_other() {
        let config = json!({ "auths": {
            "quay.io": entry("host"),
            "quay.io/team": entry("team"),
            "https://index.docker.io/v1/": entry("hub"),
            "http://localhost:5000": entry("port"),
            "https://r.example/v2/": entry("v2"),
        }});
        for (image, expected) in [
            ("quay.io/a/b:1", Some("host")),
            ("quay.io/team/b@sha256:00", Some("team")),
            ("quay.io/teams/b", Some("host")),
            ("quay.io:443/a/b", None),
            ("evil-quay.io/a", None),
            ("quay.io.evil/a", None),
            ("docker.io/library/busybox:1", Some("hub")),
            ("index.docker.io/a/b", Some("hub")),
            ("a://index.docker.io/a/b", None),
            ("busybox:1", None),
            ("library/busybox", None),
            ("localhost:5000/b:1", Some("port")),
            ("localhost/b:1", None),
            ("r.example/b", Some("v2")),
        ] {
            assert_eq!(user_for(&config, image).as_deref(), expected, "{image}");
        }
    }

    #[test]
    fn all_forms_of_a_login_are_read() {
        let at = |entry: Value| login_for(&json!({ "auths": { "r.io": entry } }), "r.io/x").map(|(_, it)| it);
        assert_eq!(at(entry("u")), Some(json!({ "username": "u", "password": "p:w" })));
        let padded = json!({ "auth": BASE64_STANDARD.encode("u:p\0\0") });
        assert_eq!(at(padded), Some(json!({ "username": "u", "password": "p" })));
        let plain = json!({ "username": "u", "password": "p", "auth": "" });
        assert_eq!(at(plain), Some(json!({ "username": "u", "password": "p" })));
        let token = json!({ "auth": BASE64_STANDARD.encode("u:"), "identitytoken": "t" });
        assert_eq!(at(token), Some(json!({ "username": "u", "password": "", "identitytoken": "t" })));
        assert_eq!(at(json!({})), None);
    }

    #[test]
    fn what_makes_no_sense_is_said_without_a_word_of_it() {
        for (config, expected) in [
            ("hunter2", "is no JSON"),
            ("[\"hunter2\"]", "has no `auths`"),
            ("{\"auths\": \"hunter2\"}", "has no `auths`"),
            ("{\"auths\": {\"r.io\": {\"auth\": \"hunter2\"}}}", "the credentials for `r.io` are no base64"),
            (
                "{\"auths\": {\"r.io\": {\"auth\": \"aHVudGVyMg==\"}}}",
                "the credentials for `r.io` are no base64",
            ),
            (
                "{\"auths\": {\"r.io\": {\"password\": \"hunter2\"}}}",
                "the credentials for `r.io` have neither",
            ),
            ("{\"auths\": {\"r.io\": \"hunter2\"}}", "the credentials for `r.io` have neither"),
            (r#"{"auths": {"r\nio": "hunter2"}}"#, r"the credentials for `r\nio` have neither"),
        ] {
            let problem = check_docker_config(config).unwrap_err();
            assert!(problem.starts_with(expected) && !problem.contains("hunter2"), "{config}: {problem}");
        }
        assert_eq!(check_docker_config("{\"auths\": {\"r.io\": {}}, \"credsStore\": \"x\"}"), Ok(()));
    }
}
