//! Where the API server is, and who this device is to it: from a kubeconfig, or from the service account of the pod
//! that the agent runs in.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;

use crate::{
    io::tls::{
        KeyAndCertificates,
        pem::{parse_roots, quoted_path, read as read_file},
    },
    wire::kubernetes::kubeconfig::{DataOrFile, Kubeconfig},
};

/// What says how to get to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterConfigSource {
    /// A kubeconfig.
    File(PathBuf),
    /// The agent runs in a pod of the cluster, whose API server has this URL.
    Inside(String),
}

/// Kubernetes puts it into every pod.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Everything that a client needs.
pub(super) struct ClusterAccess {
    pub(super) server: String,
    pub(super) server_name: Option<String>,
    pub(super) roots: RootCertStore,
    pub(super) pair: Option<KeyAndCertificates>,
    pub(super) token: Option<BearerToken>,
}

/// What stands behind `Bearer`.
pub(super) enum BearerToken {
    Here(String),
    /// It is renewed there from time to time.
    File(PathBuf),
}

impl BearerToken {
    pub(super) fn read(&self) -> Result<String, String> {
        match self {
            Self::Here(token) => Ok(token.clone()),
            Self::File(path) => trimmed_utf8(read_file(path)?, &quoted_path(path)),
        }
    }
}

/// The settings' kubeconfig, or else the cluster in whose pod this process runs, if its API server's URL is known.
pub fn find_config_source(kubeconfig: Option<&Path>, service: Option<&str>) -> Option<ClusterConfigSource> {
    let inside = || service.filter(|_| Path::new(SERVICE_ACCOUNT).join("token").exists());
    let file = kubeconfig.map(|path| ClusterConfigSource::File(path.to_owned()));
    file.or_else(|| inside().map(|url| ClusterConfigSource::Inside(url.to_owned())))
}

pub(super) fn read(place: &ClusterConfigSource) -> Result<ClusterAccess, String> {
    match place {
        ClusterConfigSource::File(path) => {
            from_kubeconfig(path).map_err(|cause| format!("KUBECONFIG {}: {cause}", quoted_path(path)))
        }
        ClusterConfigSource::Inside(server) => {
            let directory = Path::new(SERVICE_ACCOUNT);
            let ca = directory.join("ca.crt");
            Ok(ClusterAccess {
                server: server.clone(),
                server_name: None,
                roots: parse_roots(&read_file(&ca)?, &quoted_path(&ca))?,
                pair: None,
                token: Some(BearerToken::File(directory.join("token"))),
            })
        }
    }
}

fn from_kubeconfig(path: &Path) -> Result<ClusterAccess, String> {
    let Kubeconfig { server, server_name, ca, pair, token } =
        Kubeconfig::read(&trimmed_utf8(read_file(path)?, "the file")?)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let load = |material: &DataOrFile, what: &str| match material {
        DataOrFile::Here(bytes) => Ok((bytes.clone(), format!("{what}-data"))),
        DataOrFile::File(name) => {
            let path = directory.join(name);
            Ok::<_, String>((read_file(&path)?, quoted_path(&path)))
        }
    };
    let (ca, ca_name) = load(&ca, "certificate-authority")?;
    let pair = match &pair {
        None => None,
        Some((certificate, key)) => {
            let (certificate, from) = load(certificate, "client-certificate")?;
            let (key, key_from) = load(key, "client-key")?;
            Some(KeyAndCertificates::read(&key, &key_from, &certificate, &from)?)
        }
    };
    let token = match token {
        None => None,
        Some(DataOrFile::Here(token)) => Some(BearerToken::Here(trimmed_utf8(token, "token")?)),
        Some(DataOrFile::File(name)) => Some(BearerToken::File(directory.join(name))),
    };
    Ok(ClusterAccess { server, server_name, roots: parse_roots(&ca, &ca_name)?, pair, token })
}

fn trimmed_utf8(bytes: Vec<u8>, what: &str) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))?;
    Ok(text.trim().to_owned())
}
