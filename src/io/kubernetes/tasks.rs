//! What each order asks of the API server, in which sequence, and what its answers mean.

use log::warn;
use serde_json::{Value, json};

use super::{
    api_server::{ApiServerClient, Error},
    cluster::Cluster,
};
use crate::{
    agent::model::{
        deployment::{Deployment, DeploymentFact, DeploymentTask},
        order::Failure,
        workload::Workload,
    },
    wire::kubernetes::{self, DependentObject},
};

impl Cluster {
    pub(super) fn carry_out(&self, task: &DeploymentTask) -> Result<DeploymentFact, Failure> {
        let api = self.api().map_err(Failure::Engine)?;
        let result = match task {
            DeploymentTask::List => self.list(&api),
            DeploymentTask::Apply { workload, replicas, dependents, settled } => {
                self.apply(&api, workload, *replicas, dependents, *settled)
            }
            DeploymentTask::Delete(deployment) => delete(&api, deployment),
        };
        if let Err(Error::Refused(401, _) | Error::Broken(_)) = &result {
            self.reset_api();
        }
        match (result, task) {
            (Err(Error::Refused(_, cause)), DeploymentTask::List) => {
                self.reset_api(); // without the right to list nothing works, and there may be other credentials by now
                Err(Failure::Engine(cause))
            }
            (result, _) => result.map_err(Failure::from),
        }
    }

    fn list(&self, api: &ApiServerClient) -> Result<DeploymentFact, Error> {
        let answer = api.request("GET", &self.own_deployments_path(), None)?;
        let (found, version) = kubernetes::parse_deployment_list(&answer, &self.owner)
            .ok_or_else(|| Error::Broken("the answer is no list".to_owned()))?;
        self.resume_version.set(version);
        Ok(DeploymentFact::Listed(found))
    }

    fn apply(
        &self,
        api: &ApiServerClient,
        workload: &Workload,
        replicas: u32,
        dependents: &[String],
        settled: bool,
    ) -> Result<DeploymentFact, Error> {
        let mut former = kubernetes::obsolete_dependents(workload, dependents);
        if settled {
            for name in former.drain(..) {
                self.remove_companion(api, &workload.content.namespace, &name)?;
            }
        }
        if !kubernetes::has_no_dependents(workload) {
            // the objects are this one's, so that they go with it
            let half = self.apply_deployment(api, workload, replicas, false, &former)?;
            for dependent in kubernetes::dependent_objects(workload, &self.owner, &half.uid) {
                self.apply_dependent(api, &workload.content.namespace, &dependent)?;
            }
        }
        let now = self.apply_deployment(api, workload, replicas, true, &former)?;
        Ok(DeploymentFact::Applied(Box::new(now)))
    }

    /// The agent's word counts, whatever else manages fields of it. That it is the agent's Deployment is what its
    /// selector says, which can't be changed.
    fn apply_deployment(
        &self,
        api: &ApiServerClient,
        workload: &Workload,
        replicas: u32,
        whole: bool,
        former: &[String],
    ) -> Result<Deployment, Error> {
        let (namespace, name) = (&workload.content.namespace, workload.name());
        let document =
            kubernetes::deployment(workload, replicas, &self.owner, &self.device_id, whole, former);
        let path = format!("{}?{APPLY_QUERY}", deployment_path(namespace, name));
        let object = api.request("PATCH", &path, Some(&document)).map_err(|error| match error {
            Error::Refused(422, said) if said.contains("spec.selector") && said.contains("immutable") => {
                let cause = format!("a Deployment '{namespace}/{name}' is there that isn't this agent's");
                Error::Refused(422, cause)
            }
            error => error,
        })?;
        Ok(kubernetes::read(&object))
    }

    fn apply_dependent(
        &self,
        api: &ApiServerClient,
        namespace: &str,
        dependent: &DependentObject,
    ) -> Result<(), Error> {
        let DependentObject { plural, name, object } = dependent;
        let path = format!("/api/v1/namespaces/{namespace}/{plural}/{name}");
        match api.request("GET", &path, None) {
            Ok(found) if !kubernetes::is_ours(&found, &self.owner) => {
                let cause = format!("one of the {plural}, '{namespace}/{name}', isn't this agent's");
                return Err(Error::Refused(409, cause));
            }
            Ok(_) | Err(Error::Refused(404, _)) => {}
            Err(error) => return Err(error),
        }
        api.request("PATCH", &format!("{path}?{APPLY_QUERY}"), Some(object)).map(drop)
    }

    /// What is there by then and isn't ours stays. So does what may not be removed, until the Deployment goes.
    fn remove_companion(&self, api: &ApiServerClient, namespace: &str, name: &str) -> Result<(), Error> {
        let path = format!("/api/v1/namespaces/{namespace}/{name}");
        let removed = match api.request("GET", &path, None) {
            Ok(found) if kubernetes::is_ours(&found, &self.owner) => {
                api.request("DELETE", &path, Some(&delete_options(&found["metadata"]["uid"], "Background")))
            }
            other => other,
        };
        match removed {
            Ok(_) | Err(Error::Refused(404 | 409, _)) => Ok(()),
            Err(Error::Refused(403, cause)) => {
                warn!("failed to remove '{namespace}/{name}', which nothing uses any more: {cause}");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// As whom an object is applied.
const APPLY_QUERY: &str = concat!("fieldManager=", env!("CARGO_PKG_NAME"), "&force=true");

fn deployment_path(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
}

/// Says to remove no other object of the same name.
fn delete_options(uid: &Value, propagation: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation,
        "preconditions": { "uid": uid },
    })
}

/// Its pods go before it does, and so it can be seen until they have.
fn delete(api: &ApiServerClient, deployment: &Deployment) -> Result<DeploymentFact, Error> {
    let options = delete_options(&deployment.uid.as_str().into(), "Foreground");
    let path = deployment_path(&deployment.namespace, &deployment.name);
    match api.request("DELETE", &path, Some(&options)) {
        // gone, or another one has its name
        Ok(_) | Err(Error::Refused(404 | 409, _)) => Ok(DeploymentFact::Gone),
        Err(error) => Err(error),
    }
}
