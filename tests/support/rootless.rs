//! The podman of an ordinary user, beside the rootful one: `scripts/podman-sandbox --both` brings it where the
//! kernel lets users have namespaces.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
    path::PathBuf,
};

use super::{Device, Part, podman, poll, skip_without};

pub struct Rootless {
    pub socket: PathBuf,
    /// Whose it is.
    pub user: u32,
}

impl Rootless {
    /// `None` after saying by name which test was skipped.
    pub fn find() -> Option<Self> {
        let of = |name| std::env::var(name).ok();
        let Some(socket) = of("PODMAN_ROOTLESS_SOCKET") else {
            skip_without(Part::Found, "no private rootless podman; `make test` brings one where it can run");
            return None;
        };
        Some(Self { socket: socket.into(), user: of("PODMAN_SANDBOX_UID")?.parse().unwrap() })
    }

    /// What a container has printed by the time when it prints `end`.
    pub fn output(&self, container: &str) -> String {
        let log = || Some(podman::logs_of(&self.socket, container)).filter(|log| log.contains("end\n"));
        poll(log).expect("the container's output")
    }

    /// A device that belongs to the user, whose podman is the only one, and the command that its agent is to be
    /// started by.
    pub fn device(&self, name: &str) -> (Device, Vec<String>) {
        let mut device = Device::without_podman(name);
        device.podmans.push(self.socket.clone());
        device.set("XDG_RUNTIME_DIR", self.socket.ancestors().nth(2).unwrap().display().to_string());
        // where the binary is built the user may not come
        let binary = device.path("agent");
        fs::copy(device.command().get_program(), &binary).unwrap();
        for path in [device.path("."), device.path("run"), device._memory.path().into()] {
            chown(path, Some(self.user), Some(self.user)).unwrap();
        }
        let become_user = format!("exec setpriv --reuid {0} --regid {0} --clear-groups \"$@\"", self.user);
        let instead = format!("shift; set -- '{}' \"$@\"; {become_user}", binary.display());
        (device, ["sh", "-c", &instead, "sh"].map(ToOwned::to_owned).into())
    }

    /// Has the agent of a device use this podman as well, and reach each in a way that can be cut.
    pub fn add_to(&self, device: &mut Device) -> [Way; 2] {
        let way = device.path("rootful.sock");
        let rootful = std::mem::replace(&mut device.socket, way);
        let runtime = device.path("user");
        fs::create_dir_all(runtime.join("podman")).unwrap();
        device.set("XDG_RUNTIME_DIR", runtime.display().to_string());
        device.podmans.push(self.socket.clone());
        let ways =
            [(rootful, device.socket.clone()), (self.socket.clone(), runtime.join("podman/podman.sock"))];
        ways.map(|(to, from)| {
            let way = Way { to, from };
            way.open();
            way
        })
    }
}

/// How an agent reaches a podman.
pub struct Way {
    to: PathBuf,
    from: PathBuf,
}

impl Way {
    pub fn open(&self) {
        symlink(&self.to, &self.from).unwrap();
    }

    /// For the agent its socket is gone.
    pub fn cut(&self) {
        fs::remove_file(&self.from).unwrap();
    }
}
