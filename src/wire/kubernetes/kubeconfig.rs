//! How to get to a Kubernetes API server: the file that `kubectl` reads, as far as an agent without programs to run
//! and without people to ask can do with it.

use std::path::PathBuf;

use serde_json::Value;

use crate::wire::{base64, yaml};

/// The current context of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// `https://host:port`.
    pub server: String,
    /// The name in the server's certificate, if it isn't the host.
    pub server_name: Option<String>,
    /// Whom to trust: PEM.
    pub ca: DataOrFile,
    /// The client's certificate and its key: PEM.
    pub pair: Option<(DataOrFile, DataOrFile)>,
    /// The client's token.
    pub token: Option<DataOrFile>,
}

/// What stands in the configuration, or in a file that it names.
#[derive(Clone, PartialEq, Eq)]
pub enum DataOrFile {
    /// The thing itself.
    Here(Vec<u8>),
    /// Where it is.
    File(PathBuf),
}

/// A key or token is not to be read.
impl std::fmt::Debug for DataOrFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here(_) => f.write_str("Here(…)"),
            Self::File(path) => write!(f, "File({path:?})"),
        }
    }
}

impl Kubeconfig {
    /// Reads the current context. Relative paths are still relative: to the file's directory.
    ///
    /// # Errors
    /// What is missing or wrong, or can't be used by this agent.
    pub fn read(text: &str) -> Result<Self, String> {
        let config = yaml::parse(text).map_err(|error| error.to_string())?;
        let name = config["current-context"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or("current-context: is missing")?;
        let context = find_named(&config, "contexts", "context", name)?;
        let part =
            |key: &str| context[key].as_str().ok_or_else(|| format!("contexts: '{name}' names no {key}"));
        let (cluster_name, user_name) = (part("cluster")?, part("user")?);
        let cluster = find_named(&config, "clusters", "cluster", cluster_name)?;
        let user = find_named(&config, "users", "user", user_name)?;
        let text = |value: &Value, key: &str| {
            value[key].as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned)
        };
        let in_cluster = |what: &str| format!("cluster '{cluster_name}': {what}");
        let in_user = |what: &str| format!("user '{user_name}': {what}");
        if cluster["insecure-skip-tls-verify"] == true {
            return Err(in_cluster("insecure-skip-tls-verify: the server is always verified here"));
        }
        if text(cluster, "proxy-url").is_some() {
            return Err(in_cluster("proxy-url: proxies are not supported here"));
        }
        for key in ["exec", "auth-provider", "username", "password", "as"] {
            if !user[key].is_null() {
                let what = format!("{key}: is not supported here; a token or a client certificate is");
                return Err(in_user(&what));
            }
        }
        let server = text(cluster, "server").filter(|url| url.starts_with("https://"));
        let cluster_part = |key: &str| data_or_file(cluster, key).map_err(|what| in_cluster(&what));
        let user_part = |key: &str| data_or_file(user, key).map_err(|what| in_user(&what));
        let pair = match (user_part("client-certificate")?, user_part("client-key")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(in_user("client-certificate and client-key go together")),
        };
        // kubectl prefers the file, which may be renewed
        let token = text(user, "tokenFile").map(|path| DataOrFile::File(path.into()));
        let token = token.or_else(|| text(user, "token").map(|token| DataOrFile::Here(token.into())));
        if pair.is_none() && token.is_none() {
            return Err(in_user("has neither a token nor a client certificate"));
        }
        Ok(Self {
            server: server.ok_or_else(|| in_cluster("server: must be an https URL"))?,
            server_name: text(cluster, "tls-server-name"),
            ca: cluster_part("certificate-authority")?.ok_or_else(|| {
                in_cluster("certificate-authority: is missing: no server is trusted without it")
            })?,
            pair,
            token,
        })
    }
}

fn find_named<'a>(config: &'a Value, list: &str, key: &str, name: &str) -> Result<&'a Value, String> {
    let mut entries = config[list].as_array().into_iter().flatten();
    let entry = entries.find(|entry| entry["name"] == name);
    entry.map(|entry| &entry[key]).ok_or_else(|| format!("{list}: there is no '{name}'"))
}

/// `key-data`, in base64, before the file that `key` names: as `kubectl` does it.
fn data_or_file(value: &Value, key: &str) -> Result<Option<DataOrFile>, String> {
    let data = format!("{key}-data");
    if let Some(text) = value[&*data].as_str().filter(|text| !text.is_empty()) {
        let bytes = base64::decode(text).ok_or_else(|| format!("{data}: is no base64"))?;
        return Ok(Some(DataOrFile::Here(bytes)));
    }
    let path = value[key].as_str().filter(|path| !path.is_empty());
    Ok(path.map(|path| DataOrFile::File(path.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
current-context: here
contexts:
- {name: other, context: {cluster: x, user: x}}
- {name: here, context: {cluster: c, user: u, namespace: n}}
clusters:
- {name: c, cluster: {server: 'https://k.example:6443', certificate-authority: ca.pem, tls-server-name: k8s}}
users:
- {name: u, user: {token: secret}}
";

    #[test]
    fn the_current_context_counts() {
        let expected = Kubeconfig {
            server: "https://k.example:6443".into(),
            server_name: Some("k8s".into()),
            ca: DataOrFile::File("ca.pem".into()),
            pair: None,
            token: Some(DataOrFile::Here(b"secret".to_vec())),
        };
        assert_eq!(Kubeconfig::read(GOOD), Ok(expected));
        assert!(!format!("{:?}", Kubeconfig::read(GOOD)).contains("115, 101"), "secrets stay out of logs");
    }

    #[test]
    fn data_stands_before_a_file_and_a_token_file_before_a_token() {
        let user = "{client-certificate-data: 'QUI=', client-certificate: f, client-key: /k, token: a, tokenFile: t}";
        let config = Kubeconfig::read(&GOOD.replace("{token: secret}", user)).unwrap();
        assert_eq!(config.pair, Some((DataOrFile::Here(b"AB".to_vec()), DataOrFile::File("/k".into()))));
        assert_eq!(config.token, Some(DataOrFile::File("t".into())));
    }

    #[test]
    fn what_cannot_be_used_is_said_clearly() {
        let cases = [
            ("current-context: here", "current-context: ''", "current-context: is missing"),
            ("current-context: here", "current-context: x", "contexts: there is no 'x'"),
            ("cluster: c,", "cluster: d,", "clusters: there is no 'd'"),
            ("user: u,", "", "contexts: 'here' names no user"),
            ("https://", "http://", "cluster 'c': server: must be an https URL"),
            ("certificate-authority:", "other:", "certificate-authority: is missing: no server is trusted"),
            ("authority: ca.pem", "authority-data: '!'", "certificate-authority-data: is no base64"),
            ("tls-server-name: k8s", "insecure-skip-tls-verify: true", "the server is always verified"),
            ("tls-server-name: k8s", "proxy-url: 'http://p'", "proxy-url: proxies are not supported"),
            ("{token: secret}", "{exec: {command: aws}}", "user 'u': exec: is not supported here"),
            ("{token: secret}", "{auth-provider: {name: gcp}}", "auth-provider: is not supported here"),
            ("{token: secret}", "{username: me, password: p}", "username: is not supported here"),
            ("{token: secret}", "{client-certificate: f}", "client-certificate and client-key go together"),
            ("{token: secret}", "{}", "user 'u': has neither a token nor a client certificate"),
        ];
        for (from, to, cause) in cases {
            let said = Kubeconfig::read(&GOOD.replace(from, to)).unwrap_err();
            assert!(said.contains(cause), "{to}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
        assert!(Kubeconfig::read("[").is_err() && Kubeconfig::read("").is_err());
    }
}
