//! A real Kubernetes API server: that of `KUBECONFIG`, or one that the tool brings which `KUBE_SANDBOX` names. Each test
//! has a namespace of its own in it.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    thread,
};

use k8s_openapi::{
    api::core::v1::{Event, Namespace, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{conditions, wait::await_condition},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;

use crate::{bed::BINARY, kube_sandbox};

/// One for all tests.
static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);
/// What brought it: it ends when its input does, which is with this process.
static SANDBOX: Mutex<Option<Child>> = Mutex::new(None);

struct Cluster {
    kubeconfig: PathBuf,
    client: Client,
    runtime: Runtime,
}

impl Cluster {
    fn start() -> Option<Self> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let kubeconfig = match (variable("KUBECONFIG"), variable("KUBE_SANDBOX")) {
            (Some(file), _) => file.into(),
            (None, Some(tool)) => {
                let (sandbox, kubeconfig) = kube_sandbox::start(tool);
                *SANDBOX.lock().unwrap_or_else(PoisonError::into_inner) = Some(sandbox);
                kubeconfig
            }
            (None, None) => return None,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let config = Kubeconfig::read_from(&kubeconfig).unwrap();
            let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
            let client = Client::try_from(config).unwrap();
            define(&client).await;
            client
        });
        Some(Self { kubeconfig, client, runtime })
    }
}

impl Cluster {
    /// The administrator's, who acts as the server's service account in this namespace.
    fn kubeconfig_of(&self, namespace: &str) -> NamedTempFile {
        let text = fs::read_to_string(&self.kubeconfig).unwrap();
        let mut config: Value = serde_yaml::from_str(&text).unwrap();
        for user in config["users"].as_array_mut().unwrap() {
            user["user"]["as"] = format!("system:serviceaccount:{namespace}:flotta-edge-api").into();
        }
        // (paths in it may be relative to it)
        let mut file = NamedTempFile::new_in(self.kubeconfig.parent().unwrap()).unwrap();
        file.write_all(config.to_string().as_bytes()).unwrap();
        file
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The resources' definitions, as the program prints them.
async fn define(client: &Client) {
    let printed = Command::new(BINARY).arg("crds").output().unwrap().stdout;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for document in serde_yaml::Deserializer::from_slice(&printed) {
        let definition: Value = serde::Deserialize::deserialize(document).unwrap();
        let name = definition["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(name, &params, &Patch::Apply(&definition)).await.unwrap();
        await_condition(api.clone(), name, conditions::is_crd_established()).await.unwrap();
    }
}

/// A namespace of a test's own.
pub(crate) struct Space {
    pub(crate) name: String,
    /// Of a user with the rights that `deploy/` gives the server.
    kubeconfig: Arc<NamedTempFile>,
    /// The namespace goes with the last of all that are the same.
    _namespace: Arc<Goes>,
}

struct Goes(String);

impl Space {
    /// `None` after saying by name which test was skipped, where there is no cluster.
    pub(crate) fn new() -> Option<Self> {
        let Some(cluster) = &*CLUSTER else {
            let required = env::var_os("DWNG_REQUIRE_ALL").is_some_and(|value| !value.is_empty());
            assert!(!required, "must not be skipped: neither KUBECONFIG nor KUBE_SANDBOX names a cluster");
            let test = thread::current();
            let name = test.name().unwrap_or("a test");
            let line = format!("skipped: {name} (neither KUBECONFIG nor KUBE_SANDBOX names a cluster)\n");
            let _ = io::stderr().write_all(line.as_bytes());
            return None;
        };
        let name = format!("test-{}", uuid::Uuid::new_v4());
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let api: Api<Namespace> = Api::all(cluster.client.clone());
        cluster.runtime.block_on(api.create(&PostParams::default(), &namespace)).unwrap();
        let new = Self {
            kubeconfig: Arc::new(cluster.kubeconfig_of(&name)),
            _namespace: Arc::new(Goes(name.clone())),
            name,
        };
        let rights = fs::read_to_string(repository().join("deploy/base/rbac.yaml")).unwrap();
        for document in serde_yaml::Deserializer::from_str(&rights) {
            let mut object: Value = serde::Deserialize::deserialize(document).unwrap();
            if object["kind"] == "RoleBinding" {
                object["subjects"][0]["namespace"] = new.name.as_str().into();
            }
            new.apply(&object);
        }
        Some(new)
    }

    /// The same, for one more server.
    pub(crate) fn again(&self) -> Self {
        Self {
            name: self.name.clone(),
            kubeconfig: Arc::clone(&self.kubeconfig),
            _namespace: Arc::clone(&self._namespace),
        }
    }

    fn cluster() -> &'static Cluster {
        CLUSTER.as_ref().expect("a cluster")
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        self.kubeconfig.path()
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version) = match kind {
            "ConfigMap" | "Secret" | "ServiceAccount" => ("", "v1"),
            "Role" | "RoleBinding" => ("rbac.authorization.k8s.io", "v1"),
            _ => ("management.project-flotta.io", "v1alpha1"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(Self::cluster().client.clone(), &self.name, &resource)
    }

    /// As `kubectl apply` does.
    pub(crate) fn apply(&self, object: &Value) {
        let mut object = object.clone();
        let kind = object["kind"].as_str().unwrap().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if object["apiVersion"].is_null() {
            object["apiVersion"] = match kind.as_str() {
                "ConfigMap" | "Secret" => "v1".into(),
                _ => "management.project-flotta.io/v1alpha1".into(),
            };
        }
        let (api, params) = (self.api(&kind), PatchParams::apply("test").force());
        Self::cluster().runtime.block_on(api.patch(&name, &params, &Patch::Apply(&object))).unwrap();
    }

    pub(crate) fn patch(&self, kind: &str, name: &str, patch: &Value) {
        let (api, params) = (self.api(kind), PatchParams::default());
        Self::cluster().runtime.block_on(api.patch(name, &params, &Patch::Merge(patch))).unwrap();
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        Self::cluster().runtime.block_on(self.api(kind).delete(name, &DeleteParams::default())).unwrap();
    }

    /// `Null` if there is none.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let object = Self::cluster().runtime.block_on(self.api(kind).get_opt(name)).unwrap();
        object.map_or(Value::Null, |object| serde_json::to_value(object).unwrap())
    }

    pub(crate) fn secret(&self, name: &str, key: &str) -> String {
        let api: Api<Secret> = Api::namespaced(Self::cluster().client.clone(), &self.name);
        let secret = Self::cluster().runtime.block_on(api.get(name)).unwrap();
        String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap()
    }

    /// Type, reason, message and count of each event.
    pub(crate) fn events(&self) -> Vec<(String, String, String, i32)> {
        let api: Api<Event> = Api::namespaced(Self::cluster().client.clone(), &self.name);
        let all = Self::cluster().runtime.block_on(api.list(&ListParams::default())).unwrap();
        let text = |text: Option<String>| text.unwrap_or_default();
        let one = |it: Event| (text(it.type_), text(it.reason), text(it.message), it.count.unwrap_or(0));
        all.items.into_iter().map(one).collect()
    }
}

impl Drop for Goes {
    fn drop(&mut self) {
        let api: Api<Namespace> = Api::all(Space::cluster().client.clone());
        let _ = Space::cluster().runtime.block_on(api.delete(&self.0, &DeleteParams::default()));
    }
}
