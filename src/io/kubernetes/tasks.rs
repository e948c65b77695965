//! What each order asks of the API server, in which sequence, and what its answers mean.

use serde_json::json;

use super::{
    Shared,
    client::{Client, Error},
};
use crate::{
    agent::{
        deployments::Deployment,
        order::{Fact, Failure, Task},
        workload::Workload,
    },
    wire::{
        kubernetes::{self, Companion},
        pod::OWNER_LABEL,
    },
};

impl Shared {
    pub(super) fn carry_out(&self, task: &Task) -> Result<Fact, Failure> {
        let client = self.client().map_err(Failure::Engine)?;
        let result = match task {
            Task::List => self.list(&client),
            Task::Apply { workload, replicas } => self.apply(&client, workload, *replicas),
            Task::Delete(deployment) => delete(&client, deployment),
            _ => return Err(Failure::Workload("Kubernetes runs no pods that are told apart".to_owned())),
        };
        if let Err(Error::Refused(401, _) | Error::Broken(_)) = &result {
            self.forget();
        }
        match (result, task) {
            (Err(Error::Refused(_, cause)), Task::List) => {
                self.forget(); // who may not list can't do anything right, and may be somebody else tomorrow
                Err(Failure::Engine(cause))
            }
            (result, _) => result.map_err(Failure::from),
        }
    }

    /// The path of all Deployments of ours, in all namespaces.
    pub(super) fn ours(&self) -> String {
        // the label's slash
        let label = OWNER_LABEL.replace('/', "%2F");
        format!("/apis/apps/v1/deployments?labelSelector={label}%3D{}", self.owner)
    }

    fn list(&self, client: &Client) -> Result<Fact, Error> {
        let answer = client.ask("GET", &self.ours(), None)?;
        let (found, version) =
            kubernetes::list(&answer).ok_or_else(|| Error::Broken("the answer is no list".to_owned()))?;
        self.watch.from(version);
        Ok(Fact::Deployments(found))
    }

    fn apply(&self, client: &Client, workload: &Workload, replicas: u32) -> Result<Fact, Error> {
        let is_alone = kubernetes::is_alone(workload);
        let mut now = self.apply_deployment(client, workload, replicas, is_alone)?;
        if !is_alone {
            for companion in kubernetes::companions(workload, &self.owner, &now.uid) {
                self.apply_companion(client, &workload.content.namespace, &companion)?;
            }
            now = self.apply_deployment(client, workload, replicas, true)?;
        }
        Ok(Fact::Applied(Box::new(now)))
    }

    /// The agent's word counts, whoever else manages fields of it. That it is the agent's Deployment is what its
    /// selector says, which can't be changed.
    fn apply_deployment(
        &self,
        client: &Client,
        workload: &Workload,
        replicas: u32,
        whole: bool,
    ) -> Result<Deployment, Error> {
        let (namespace, name) = (&workload.content.namespace, workload.name());
        let document = kubernetes::deployment(workload, replicas, &self.owner, &self.device_id, whole);
        let path = format!("{}?{APPLY}", path_of(namespace, name));
        let object = client.ask("PATCH", &path, Some(&document)).map_err(|error| match error {
            Error::Refused(422, said) if said.contains("spec.selector") && said.contains("immutable") => {
                let cause = format!("a Deployment '{namespace}/{name}' is there that isn't this agent's");
                Error::Refused(422, cause)
            }
            error => error,
        })?;
        Ok(kubernetes::read(&object))
    }

    fn apply_companion(&self, client: &Client, namespace: &str, companion: &Companion) -> Result<(), Error> {
        let Companion { plural, name, object } = companion;
        let path = format!("/api/v1/namespaces/{namespace}/{plural}/{name}");
        match client.ask("GET", &path, None) {
            Ok(found) if !kubernetes::is_ours(&found, &self.owner) => {
                let cause = format!("one of the {plural}, '{namespace}/{name}', isn't this agent's");
                return Err(Error::Refused(409, cause));
            }
            Ok(_) | Err(Error::Refused(404, _)) => {}
            Err(error) => return Err(error),
        }
        client.ask("PATCH", &format!("{path}?{APPLY}"), Some(object)).map(drop)
    }
}

/// As whom an object is applied.
const APPLY: &str = concat!("fieldManager=", env!("CARGO_PKG_NAME"), "&force=true");

fn path_of(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
}

/// Its pods go before it does, and so it can be seen until they have.
fn delete(client: &Client, deployment: &Deployment) -> Result<Fact, Error> {
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
        "preconditions": { "uid": deployment.uid },
    });
    let path = path_of(&deployment.namespace, &deployment.name);
    match client.ask("DELETE", &path, Some(&options)) {
        // gone, or another one has its name
        Ok(_) | Err(Error::Refused(404 | 409, _)) => Ok(Fact::Gone),
        Err(error) => Err(error),
    }
}
