//! The cluster that keeps the fleet: what is in it, and how much is written to it.

use anyhow::{Context, Result};
use k8s_openapi::{
    api::core::v1::{Event, Namespace, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::{ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{conditions, wait::await_condition},
};
use serde_json::{Value, json};

/// Before the generation of the workload that changes, in what devices get.
pub(crate) const MARK: &str = "generation-";
/// The workload that changes.
const CHANGES: &str = "workload-00";
/// How many workloads each device has: of all devices, and of those of its architecture.
const SHARED: usize = 16;
const OWN: usize = 4;

/// A namespace of a cluster.
pub(crate) struct Cluster {
    client: Client,
    namespace: String,
    port: u16,
}

impl Cluster {
    /// With the definitions and the namespace.
    pub(crate) async fn prepare(namespace: &str) -> Result<Self> {
        let none = "failed to find a cluster: set KUBECONFIG, or run it as 'kube-sandbox -- fleet'";
        let config = Config::infer().await.context(none)?;
        let port = config.cluster_url.port_u16().unwrap_or(443);
        let client = Client::try_from(config).context(none)?;
        let definitions = [
            include_str!("../../../../deploy/crds/edgedevices.yaml"),
            include_str!("../../../../deploy/crds/edgedevicesets.yaml"),
            include_str!("../../../../deploy/crds/edgedevicesignedrequests.yaml"),
            include_str!("../../../../deploy/crds/edgeworkloads.yaml"),
        ];
        let params = PatchParams::apply("fleet").force();
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        for text in definitions {
            let definition: Value = serde_yaml::from_str(text)?;
            let name = definition["metadata"]["name"].as_str().context("a definition without a name")?;
            api.patch(name, &params, &Patch::Apply(&definition))
                .await
                .context("failed to define resources")?;
            await_condition(api.clone(), name, conditions::is_crd_established()).await?;
        }
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let api: Api<Namespace> = Api::all(client.clone());
        api.patch(namespace, &params, &Patch::Apply(&object))
            .await
            .context("failed to make the namespace")?;
        Ok(Self { client, namespace: namespace.to_owned(), port })
    }

    /// The API server's.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Twenty for each device: most for all, some by its architecture, and what they need.
    pub(crate) async fn fill(&self) -> Result<usize> {
        for part in 0..4 {
            let data =
                json!({"LOG_LEVEL": "info", "SERVER": format!("https://collector-{part}.example.com:4317")});
            self.apply("ConfigMap", &format!("settings-{part}"), json!({"data": data})).await?;
            self.apply(
                "Secret",
                &format!("token-{part}"),
                json!({"stringData": {"token": "0123456789abcdef"}}),
            )
            .await?;
        }
        let everywhere = json!({});
        for number in 0..SHARED {
            self.workload(&format!("workload-{number:02}"), number, &everywhere, 0).await?;
        }
        for architecture in ["aarch64", "x86_64"] {
            // a label has what a label may have
            let selector = json!({"matchLabels": {"device.cpu-architecture": architecture}});
            for number in 0..OWN {
                let name = format!("{}-{number:02}", architecture.replace('_', "-"));
                self.workload(&name, number, &selector, 0).await?;
            }
        }
        Ok(SHARED + OWN)
    }

    /// Changes the first workload, which all devices have.
    pub(crate) async fn change(&self, generation: u64) -> Result<()> {
        self.workload(CHANGES, 0, &json!({}), generation).await
    }

    async fn workload(&self, name: &str, number: usize, selector: &Value, generation: u64) -> Result<()> {
        let part = number % 4;
        // the one that changes, and no other
        let mark = if name == CHANGES { format!("--mark={MARK}{generation}") } else { "--quiet".to_owned() };
        let container = json!({
            "name": "main",
            "image": format!("registry.example.com/fleet/{name}:1.4.2"),
            "args": ["--listen", "127.0.0.1:9000", mark],
            "env": [
                {"name": "NAME", "value": name},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": format!("token-{part}"), "key": "token"}}},
            ],
            "envFrom": [{"configMapRef": {"name": format!("settings-{part}")}}],
            "resources": {"limits": {"memory": "64Mi", "cpu": "250m"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        });
        let pod = json!({"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]});
        let spec = json!({"type": "pod", "deviceSelector": selector, "pod": {"spec": pod}});
        self.apply("EdgeWorkload", name, json!({"spec": spec})).await
    }

    async fn apply(&self, kind: &str, name: &str, mut object: Value) -> Result<()> {
        let (group, version) = match kind {
            "EdgeWorkload" => ("management.project-flotta.io", "v1alpha1"),
            _ => ("", "v1"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        object["apiVersion"] = resource.api_version.clone().into();
        object["kind"] = kind.into();
        object["metadata"] = json!({"name": name});
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let params = PatchParams::apply("fleet").force();
        api.patch(name, &params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("failed to apply {kind} '{name}'"))?;
        Ok(())
    }

    /// A text in a Secret.
    pub(crate) async fn secret(&self, name: &str, key: &str) -> Result<String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let data = api.get(name).await?.data.unwrap_or_default();
        let bytes = data.get(key).with_context(|| format!("the Secret '{name}' has no '{key}'"))?;
        Ok(String::from_utf8(bytes.0.clone())?)
    }

    /// Messages of all Events.
    pub(crate) async fn events(&self) -> Result<Vec<String>> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = api.list(&ListParams::default()).await?;
        Ok(all.items.into_iter().filter_map(|event| event.message).collect())
    }

    /// How many writes of the resources and of Events the API server has answered so far.
    pub(crate) async fn writes(&self) -> Result<f64> {
        let request = hyper::Request::get("/metrics").body(Vec::new())?;
        let text =
            self.client.request_text(request).await.context("failed to read the API server's metrics")?;
        let is_write = |line: &&str| {
            let verbs = ["POST", "PUT", "PATCH", "DELETE", "APPLY"];
            let is_ours =
                line.contains("management.project-flotta.io") || line.contains("resource=\"events\"");
            line.starts_with("apiserver_request_total{")
                && is_ours
                && verbs.iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")))
        };
        let value = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
        Ok(text.lines().filter(is_write).filter_map(value).sum())
    }
}
