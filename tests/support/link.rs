//! A network that fails between a test and another network namespace, by `scripts/netlink-fault`.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::{Part, repository, skip, skip_without};

pub struct Link {
    tool: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The far end.
    pub address: Ipv4Addr,
}

impl Link {
    /// A good one. `None` after saying by name which test was skipped: where the kernel or the container has no
    /// /dev/net/tun nothing can be done, but what else is missing `make test` should have brought.
    pub fn start() -> Option<Self> {
        if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
            skip(&format!("no network devices of a test's own: /dev/net/tun: {error}"));
            return None;
        }
        let mut command = Command::new(repository("scripts/netlink-fault"));
        let tool = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut tool = match tool {
            Ok(tool) => tool,
            Err(error) => return Self::missing(&format!("netlink-fault doesn't start: {error}")),
        };
        let orders = tool.stdin.take().unwrap();
        let mut answers = BufReader::new(tool.stdout.take().unwrap());
        let mut said = String::new();
        answers.read_line(&mut said).unwrap();
        let Some((_, far)) = said.trim_end().split_once(' ') else {
            let _ = tool.wait();
            return Self::missing("netlink-fault makes no link");
        };
        let address = far.parse().unwrap();
        Some(Self { tool, orders, answers, address })
    }

    fn missing(why: &str) -> Option<Self> {
        skip_without(Part::Brought, why);
        None
    }

    /// A command that runs another one at the far end, in the same process.
    pub fn wrapper(&self) -> [String; 3] {
        ["nsenter".into(), "--net".into(), format!("--target={}", self.tool.id())]
    }

    /// Sets the faults anew; none is a good link. Returns how many packets the former ones dropped.
    pub fn set(&mut self, faults: &str) -> u64 {
        writeln!(self.orders, "{faults}").unwrap();
        let mut said = String::new();
        self.answers.read_line(&mut said).unwrap();
        let (_passed, dropped) = said.trim_end().split_once(' ').expect("an answer of netlink-fault");
        dropped.parse().unwrap()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.tool.kill();
        let _ = self.tool.wait();
    }
}
