//! Mounts that will lead nowhere.

use std::path::PathBuf;

use serde_json::Value;

use super::model::workload::Workload;

/// The parts of volumes that a container mounts alone, by the volume's name.
fn sub_path_mounts(container: Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    mounts.filter_map(|mount| Some((text(&mount["name"])?, text(&mount["subPath"])?))).collect()
}

/// The socket for posts that the workload mounts itself, and what to do instead: a mount of a file is a mount of that
/// very file, and an agent that was stopped, not restarted, makes another.
pub fn socket_mount_warning(workload: &Workload, sockets: &[PathBuf]) -> Option<String> {
    if sockets.is_empty() || !workload.content.specification.mentions("hostPath") {
        return None; // most: not worth being read
    }
    let specification = workload.content.specification.value();
    let volumes = specification["volumes"].as_array().into_iter().flatten();
    let parts: Vec<_> = workload.content.containers().flat_map(sub_path_mounts).collect();
    let paths = volumes.flat_map(|volume| {
        let path = volume["hostPath"]["path"].as_str().map(PathBuf::from);
        let of_it = parts.iter().filter(|(name, _)| volume["name"] == **name);
        path.into_iter().flat_map(move |path| {
            let parts = of_it.clone().map(|(_, part)| path.join(part)).collect::<Vec<_>>();
            parts.into_iter().chain([path])
        })
    });
    let path = paths.into_iter().find(|path| sockets.contains(path))?;
    let (path, directory) = (path.display(), path.parent()?.display());
    Some(format!(
        "it mounts the socket '{path}', which is another one once the agent was stopped: mount its directory instead, '{directory}'"
    ))
}
