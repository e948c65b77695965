//! Where the API server is, and who this device is to it: from a kubeconfig, or from the service account of the pod
//! that the agent runs in.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;

use crate::{
    io::tls::{
        Pair,
        pem::{quoted, read as read_file, roots_in},
    },
    wire::kubernetes::kubeconfig::{Kubeconfig, Material},
};

/// What says how to get to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterPlace {
    /// A kubeconfig.
    File(PathBuf),
    /// The agent runs in a pod of the cluster, whose API server has this URL.
    Inside(String),
}

/// Kubernetes puts it into every pod.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Everything that a client needs.
pub(super) struct Access {
    pub(super) server: String,
    pub(super) server_name: Option<String>,
    pub(super) roots: RootCertStore,
    pub(super) pair: Option<Pair>,
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
            Self::File(path) => text(read_file(path)?, &quoted(path)),
        }
    }
}

/// The settings' kubeconfig, or else the cluster in whose pod this process runs, if its API server's URL is known.
pub fn place(kubeconfig: Option<&Path>, service: Option<&str>) -> Option<ClusterPlace> {
    let inside = || service.filter(|_| Path::new(SERVICE_ACCOUNT).join("token").exists());
    let file = kubeconfig.map(|path| ClusterPlace::File(path.to_owned()));
    file.or_else(|| inside().map(|url| ClusterPlace::Inside(url.to_owned())))
}

pub(super) fn read(place: &ClusterPlace) -> Result<Access, String> {
    match place {
        ClusterPlace::File(path) => {
            from_file(path).map_err(|cause| format!("KUBECONFIG {}: {cause}", quoted(path)))
        }
        ClusterPlace::Inside(server) => {
            let directory = Path::new(SERVICE_ACCOUNT);
            let ca = directory.join("ca.crt");
            Ok(Access {
                server: server.clone(),
                server_name: None,
                roots: roots_in(&read_file(&ca)?, &quoted(&ca))?,
                pair: None,
                token: Some(BearerToken::File(directory.join("token"))),
            })
        }
    }
}

fn from_file(path: &Path) -> Result<Access, String> {
    let Kubeconfig { server, server_name, ca, pair, token } =
        Kubeconfig::read(&text(read_file(path)?, "the file")?)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let load = |material: &Material, what: &str| match material {
        Material::Here(bytes) => Ok((bytes.clone(), format!("{what}-data"))),
        Material::File(name) => {
            let path = directory.join(name);
            Ok::<_, String>((read_file(&path)?, quoted(&path)))
        }
    };
    let (ca, ca_name) = load(&ca, "certificate-authority")?;
    let pair = match &pair {
        None => None,
        Some((certificate, key)) => {
            let (certificate, from) = load(certificate, "client-certificate")?;
            let (key, key_from) = load(key, "client-key")?;
            Some(Pair::read(&key, &key_from, &certificate, &from)?)
        }
    };
    let token = match token {
        None => None,
        Some(Material::Here(token)) => Some(BearerToken::Here(text(token, "token")?)),
        Some(Material::File(name)) => Some(BearerToken::File(directory.join(name))),
    };
    Ok(Access { server, server_name, roots: roots_in(&ca, &ca_name)?, pair, token })
}

fn text(bytes: Vec<u8>, what: &str) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))?;
    Ok(text.trim().to_owned())
}
