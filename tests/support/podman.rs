//! Just enough of podman's API to see what an agent did, written apart from the agent's own client.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The private podman of this test run.
pub fn socket() -> PathBuf {
    std::env::var_os("PODMAN_SOCKET").expect("PODMAN_SOCKET").into()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub workload: String,
    pub name: String,
    pub id: String,
    /// `Running` if all its containers run, otherwise the state of one that doesn't.
    pub status: String,
    /// Names, ids and start times of its containers, infra apart.
    pub containers: Vec<(String, String, i64)>,
}

/// All pods of an owner that have a container, sorted by workload. (podman's list of pods would wait for a pod
/// that is being stopped.)
pub fn pods(socket: &Path, owner: &str) -> Vec<Pod> {
    let label = format!("project-flotta.io/owner={owner}");
    let list =
        call(socket, "GET", &format!("containers/json?all=true&filters={}", filter("label", &label)), "").1;
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    for container in list.as_array().into_iter().flatten().filter(|it| it["IsInfra"] != true) {
        let pod = pods.entry(text(&container["Pod"])).or_insert_with(|| Pod {
            workload: text(&container["Labels"]["project-flotta.io/workload"]),
            name: text(&container["PodName"]),
            id: text(&container["Pod"]),
            status: "Running".into(),
            containers: Vec::new(),
        });
        if container["State"] != "running" {
            pod.status = text(&container["State"]);
        }
        let started = container["StartedAt"].as_i64().unwrap_or(0);
        pod.containers.push((text(&container["Names"][0]), text(&container["Id"]), started));
    }
    let mut pods: Vec<Pod> = pods.into_values().collect();
    for pod in &mut pods {
        pod.containers.sort();
    }
    pods.sort_by(|a, b| a.workload.cmp(&b.workload));
    pods
}

/// `podman pod rm -f`.
pub fn remove(socket: &Path, name: &str) {
    call(socket, "DELETE", &format!("pods/{name}?force=true&timeout=0"), "");
}

/// What a container has printed.
pub fn logs(container: &str) -> String {
    logs_of(&socket(), container)
}

/// The same, of another podman's.
pub fn logs_of(socket: &Path, container: &str) -> String {
    let (_, bytes) = raw(socket, "GET", &format!("containers/{container}/logs?stdout=true&stderr=true"), "");
    // 8 bytes of frame head: stream, length
    let mut text = String::new();
    let mut rest = &bytes[..];
    while let [_, _, _, _, a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (line, tail) = tail.split_at(length.min(tail.len()));
        text.push_str(&String::from_utf8_lossy(line));
        rest = tail;
    }
    text
}

/// Status code and JSON body of one call.
pub fn call(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let (status, body) = raw(socket, method, path, body);
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn raw(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    // HTTP/1.0: the answer comes whole, and the connection ends with it.
    let head = format!("{method} /v4.0.0/libpod/{path} HTTP/1.0\r\nContent-Type: application/yaml\r\n");
    let mut answer = Vec::new();
    let mut talk = || -> std::io::Result<()> {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        stream.read_to_end(&mut answer).map(drop)
    };
    if talk().is_err() {
        return (0, Vec::new());
    }
    let end =
        answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len().saturating_sub(4));
    let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or(0), answer.split_off((end + 4).min(answer.len())))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn filter(key: &str, value: &str) -> String {
    let json = serde_json::json!({key: [value]}).to_string();
    json.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
