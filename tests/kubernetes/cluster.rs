//! A real Kubernetes API server with etcd and the controllers of Deployments, and a user that may do what the documents
//! say: the cluster that `KUBECONFIG` names, or one that the tool brings which `KUBE_SANDBOX` names. A test has a
//! namespace of its own in it. No kubelet gets its pods: [`Cluster::come_up`] takes its place.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Device, Part, all_children, is_alive, kube_sandbox, poll, repository, skip, skip_without,
};

/// Paths, in which `NAMESPACE` stands for the test's own.
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/NAMESPACE/deployments";
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/NAMESPACE/configmaps";
pub const SECRETS: &str = "/api/v1/namespaces/NAMESPACE/secrets";
pub const ACCOUNTS: &str = "/api/v1/namespaces/NAMESPACE/serviceaccounts";
const PODS: &str = "/api/v1/namespaces/NAMESPACE/pods";
const NAMESPACES: &str = "/api/v1/namespaces";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

pub struct Cluster {
    /// Also the name of the role. No other test, and nothing else in the cluster, has it.
    pub namespace: String,
    /// What brought it, where it is the test's own. It ends when its input does.
    sandbox: Option<Child>,
    /// The API server, where a test started another one.
    own: Option<Child>,
    ca: PathBuf,
    /// What curl is told, to be who may do everything.
    admin: Vec<String>,
    server: String,
    directory: TempDir,
}

impl Cluster {
    /// `None` after saying by name which test was skipped, where there is nothing to test with.
    pub fn start() -> Option<Self> {
        let Some(file) = variable("KUBECONFIG") else { return Self::start_own() };
        if variable("PODMAN_SANDBOX").is_none() {
            return Some(Self::at(Path::new(&file), None));
        }
        if variable("KUBE_SANDBOX").is_some() {
            return Self::start_own();
        }
        skip("next to a private podman there is no network; `make kubernetes-test` runs it");
        None
    }

    /// One that the test may end and start otherwise.
    pub fn start_own() -> Option<Self> {
        let Some(tool) = variable("KUBE_SANDBOX") else {
            skip_without(Part::Found, "no Kubernetes API server of its own: KUBE_SANDBOX names none");
            return None;
        };
        let (sandbox, kubeconfig) = kube_sandbox::start(tool);
        Some(Self::at(&kubeconfig, Some(sandbox)))
    }

    /// The cluster of a kubeconfig's current context, as an administrator's client certificate or token opens it.
    fn at(kubeconfig: &Path, sandbox: Option<Child>) -> Self {
        let directory = tempfile::Builder::new().prefix("dwng-kubernetes-").tempdir().unwrap();
        let text = fs::read_to_string(kubeconfig).unwrap_or_else(|error| panic!("{kubeconfig:?}: {error}"));
        let config: Value = serde_yaml::from_str(&text).expect("a kubeconfig");
        let named = |list: &str, name: &Value, part: &str| {
            let mut all = config[list].as_array().expect(list).iter();
            all.find(|it| it["name"] == *name).unwrap_or_else(|| panic!("no {name} in {list}"))[part].clone()
        };
        let context = named("contexts", &config["current-context"], "context");
        let cluster = named("clusters", &context["cluster"], "cluster");
        let user = named("users", &context["user"], "user");
        let file = |of: &Value, key: &str| match (of[key].as_str(), of[format!("{key}-data")].as_str()) {
            (Some(path), _) => Some(kubeconfig.parent().unwrap().join(path)),
            (None, Some(data)) => {
                let path = directory.path().join(key);
                fs::write(&path, BASE64_STANDARD.decode(data).expect(key)).unwrap();
                Some(path)
            }
            (None, None) => None,
        };
        let ca = file(&cluster, "certificate-authority").expect("certificate-authority");
        let pair = file(&user, "client-certificate").zip(file(&user, "client-key"));
        let admin = match (user["token"].as_str(), pair) {
            (Some(token), _) => bearer(token),
            (None, Some((certificate, key))) => [
                "--cert".into(),
                certificate.display().to_string(),
                "--key".into(),
                key.display().to_string(),
            ]
            .into(),
            (None, None) => panic!("{kubeconfig:?} has neither a token nor a client certificate"),
        };
        let server = cluster["server"].as_str().expect("a server").trim_end_matches('/').to_owned();
        let namespace = directory.path().file_name().unwrap().to_str().unwrap().to_ascii_lowercase();
        let new = Self { namespace, sandbox, own: None, ca, admin, server, directory };
        new.put("POST", NAMESPACES, &json!({"metadata": {"name": new.namespace}}));
        // without it a cluster admits no pod; its own controller may be quicker
        new.request("POST", ACCOUNTS, &json!({"metadata": {"name": "default"}}));
        new
    }

    /// The same object, in the test's namespace.
    pub fn here(&self, mut object: Value) -> Value {
        object["metadata"]["namespace"] = self.namespace.as_str().into();
        object
    }

    /// A workload of one container, of type k8s, whose pods no kubelet gets.
    pub fn workload(&self, name: &str) -> Value {
        let mut workload = crate::support::workload(name, "sleep 1");
        workload["spec"]["type"] = "k8s".into();
        workload["spec"]["pod"]["spec"]["schedulerName"] = "nothing".into();
        self.here(workload)
    }

    /// Asks as a user who may do everything. An apply is a `PATCH` as the manager `test`.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.request_as(&self.admin, method, path, body)
    }

    /// Whether the user of this kubeconfig is known.
    pub fn knows(&self, kubeconfig: &Path) -> bool {
        let config: Value = serde_json::from_slice(&fs::read(kubeconfig).unwrap()).unwrap();
        let token = config["users"][0]["user"]["token"].as_str().unwrap();
        self.request_as(&bearer(token), "GET", DEPLOYMENTS, &Value::Null).0 != 401
    }

    fn request_as(&self, user: &[String], method: &str, path: &str, body: &Value) -> (u16, Value) {
        let kind = match (method, path.contains("fieldManager")) {
            ("PATCH", true) => "application/apply-patch+yaml",
            ("PATCH", _) => "application/merge-patch+json",
            _ => "application/json",
        };
        let mut curl = Command::new("curl");
        curl.args(["-s", "-w", "\n%{http_code}", "-X", method, "--cacert"]).arg(&self.ca).args(user);
        if !body.is_null() {
            curl.args(["-H", &format!("Content-Type: {kind}"), "-d", "@-"]);
        }
        let path = path.replace("NAMESPACE", &self.namespace);
        curl.arg(format!("{}{path}", self.server)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut curl = curl.spawn().unwrap();
        let mut stdin = curl.stdin.take().unwrap();
        if !body.is_null() {
            stdin.write_all(body.to_string().as_bytes()).unwrap();
        }
        drop(stdin);
        let said = String::from_utf8(curl.wait_with_output().unwrap().stdout).unwrap();
        let (body, status) = said.rsplit_once('\n').unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        (status.parse().unwrap(), body)
    }

    pub fn get(&self, path: &str) -> Value {
        self.request("GET", path, &Value::Null).1
    }

    /// Does what must work.
    pub fn put(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, said) = self.request(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {said}");
        said
    }

    pub fn deployment(&self, name: &str) -> Option<Value> {
        let (status, deployment) = self.request("GET", &format!("{DEPLOYMENTS}/{name}"), &Value::Null);
        (status == 200).then_some(deployment)
    }

    /// The pods of a workload that aren't being removed.
    pub fn pods(&self, workload: &str) -> Vec<Value> {
        let label = format!("project-flotta.io%2Fworkload%3D{workload}");
        let list = self.get(&format!("{PODS}?labelSelector={label}"));
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
    }

    /// What a kubelet does when the workload's pods have come up, or when they aren't ready any more.
    pub fn come_up(&self, device: &Device, workload: &str, hash: &Value, ready: bool) {
        device.wait_for("the pod of this content", || {
            let pods = self.pods(workload);
            let pod =
                pods.iter().find(|pod| pod["metadata"]["annotations"]["project-flotta.io/hash"] == *hash)?;
            let name = pod["metadata"]["name"].as_str().unwrap();
            let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
            let status = json!({"status": {"phase": "Running", "conditions": [condition]}});
            let (status, _) = self.request("PATCH", &format!("{PODS}/{name}/status"), &status);
            (status == 200).then_some(())
        });
    }

    /// What a kubelet does with pods that are to go: nothing holds them.
    pub fn bury(&self) {
        for pod in self.get(PODS)["items"].as_array().into_iter().flatten() {
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                let path = format!("{PODS}/{}", pod["metadata"]["name"].as_str().unwrap());
                self.request("DELETE", &path, &json!({"gracePeriodSeconds": 0}));
            }
        }
    }

    /// A kubeconfig of a service account that has the documented role, or no role.
    pub fn user(&self, name: &str, has_role: bool) -> PathBuf {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        self.put("POST", ACCOUNTS, &account);
        if has_role {
            self.grant(name);
        }
        let file = self.directory.path().join(name);
        let token = self.token(name);
        self.kubeconfig(&file, &json!({"token": token}));
        file
    }

    pub fn token(&self, name: &str) -> Value {
        let path = format!("{ACCOUNTS}/{name}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        self.put("POST", &path, &request)["status"]["token"].clone()
    }

    pub fn kubeconfig(&self, file: &Path, user: &Value) {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.server, "certificate-authority": self.ca}}],
            "users": [{"name": "u", "user": user}],
        });
        fs::write(file, config.to_string()).unwrap();
    }

    /// A kubeconfig of the same administrator with nothing but data in it: a client certificate, which the API server
    /// must have been told to accept by the flags that this answers.
    pub fn certified(&self) -> (PathBuf, String) {
        let directory = self.directory.path();
        let script = r#"
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out csr -subj /O=system:masters/CN=x
            echo basicConstraints=CA:false >ext # makes it of version 3, as rustls wants it
            openssl x509 -req -extfile ext -in csr -CA "$1" -CAkey "${1%.crt}.key" -CAcreateserial -days 1 -out crt
            for file in key crt "$1"; do base64 -w0 "$file" >"$(basename "$file").64"; done"#;
        let mut sh = Command::new("sh");
        sh.args(["-ec", script, "sh"]).arg(&self.ca).current_dir(directory).stderr(Stdio::null());
        assert!(sh.status().unwrap().success());
        let data = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        let user = json!({"client-certificate-data": data("crt.64"), "client-key-data": data("key.64")});
        let file = directory.join("certified");
        self.kubeconfig(&file, &user);
        let config = fs::read_to_string(&file).unwrap();
        let named = format!(r#""certificate-authority":"{}""#, self.ca.display());
        let there = format!(r#""certificate-authority-data":"{}""#, data("ca.crt.64"));
        fs::write(&file, config.replace(&named, &there)).unwrap();
        (file, format!("--client-ca-file={}", self.ca.display()))
    }

    /// What the agent finds in a pod: the directory of a service account, and the environment.
    pub fn service_account(&self, name: &str) -> (PathBuf, [String; 2]) {
        let directory = self.directory.path().join("account");
        fs::create_dir(&directory).unwrap();
        fs::copy(&self.ca, directory.join("ca.crt")).unwrap();
        fs::write(directory.join("token"), self.token(name).as_str().unwrap()).unwrap();
        let (host, port) = self.server.strip_prefix("https://").unwrap().rsplit_once(':').unwrap();
        (directory, [format!("KUBERNETES_SERVICE_HOST={host}"), format!("KUBERNETES_SERVICE_PORT={port}")])
    }

    /// Gives the documented role to a service account.
    pub fn grant(&self, name: &str) {
        let mut role = documented_role();
        role["metadata"] = json!({"name": self.namespace});
        self.request("POST", &format!("{RBAC}/clusterroles"), &role);
        let binding = json!({
            "metadata": {"name": format!("{}.{name}", self.namespace), "labels": {"test": self.namespace}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.namespace},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}],
        });
        self.put("POST", &format!("{RBAC}/clusterrolebindings"), &binding);
    }

    /// The path of the role that [`Self::grant`] gives.
    pub fn role(&self) -> String {
        format!("{RBAC}/clusterroles/{}", self.namespace)
    }

    fn pid(&self) -> u32 {
        match &self.own {
            Some(server) => server.id(),
            None => {
                let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                let mut all =
                    all_children(self.sandbox.as_ref().expect("a cluster of its own").id()).into_iter();
                all.find(|pid| name(pid).starts_with("kube-apiserver")).expect("an API server")
            }
        }
    }

    /// `kill -9`. Answers what [`Self::restart`] needs.
    pub fn kill(&mut self) -> Vec<String> {
        let pid = self.pid();
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let words = words.map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        if let Some(mut own) = self.own.take() {
            own.wait().unwrap();
        }
        poll(|| (!is_alive(pid)).then_some(())).expect("the API server's end");
        words
    }

    /// Starts an API server again, with what the last one wrote.
    pub fn restart(&mut self, words: &[String], more: &[&str]) {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(more).stdin(Stdio::null()).stdout(Stdio::null());
        let log = self.directory.path().join("log");
        let is_ready = poll(|| {
            // another test's connection may have got its port for a moment
            if self.own.as_mut().is_none_or(|own| own.try_wait().unwrap().is_some()) {
                self.own = Some(command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap());
            }
            (self.request("GET", "/readyz", &Value::Null).0 == 200).then_some(())
        });
        assert!(is_ready.is_some(), "the API server isn't ready: {}", fs::read_to_string(log).unwrap());
    }

    /// What makes an API server write down the requests of the service account `name`, for [`Self::requests`].
    pub fn audit(&self, name: &str) -> [String; 2] {
        let (policy, log) = (self.directory.path().join("policy"), self.directory.path().join("audit"));
        let user = format!("system:serviceaccount:{}:{name}", self.namespace);
        let rules = json!([{"level": "Metadata", "users": [user]}, {"level": "None"}]);
        let text = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules, "omitStages": ["RequestReceived"],
        });
        fs::write(&policy, text.to_string()).unwrap();
        [format!("--audit-policy-file={}", policy.display()), format!("--audit-log-path={}", log.display())]
    }

    /// How many requests were answered to the end, by verb: a watch is not.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(self.directory.path().join("audit")).unwrap_or_default().lines() {
            let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
            if entry["stage"] == "ResponseComplete" {
                *counts.entry(entry["verb"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            let _ = own.kill();
            let _ = own.wait();
        }
        let Some(sandbox) = &mut self.sandbox else {
            let bindings = format!("{RBAC}/clusterrolebindings?labelSelector=test%3D{}", self.namespace);
            for path in [bindings, self.role(), format!("{NAMESPACES}/{}", self.namespace)] {
                self.request("DELETE", &path, &Value::Null);
            }
            return;
        };
        drop(sandbox.stdin.take());
        let _ = sandbox.wait(); // it leaves nothing behind
    }
}

/// The role as the documents show it.
fn documented_role() -> Value {
    let text = fs::read_to_string(repository("docs/kubernetes.md")).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let role = blocks.into_iter().find(|block| block.contains("kind: ClusterRole")).expect("a role");
    serde_yaml::from_str(role).unwrap()
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn bearer(token: &str) -> Vec<String> {
    ["-H".into(), format!("Authorization: Bearer {token}")].into()
}

/// The hash of the content that the cluster has.
pub fn hash(deployment: &Value) -> Value {
    deployment["metadata"]["annotations"]["project-flotta.io/hash"].clone()
}
