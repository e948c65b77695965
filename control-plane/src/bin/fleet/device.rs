//! One device: it asks to be let in, registers, and then lives as the agent does.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail};
use device_worker_ng::{
    agent::model::{
        call::{Call, CallKind, HardwareScope, Heartbeat, ServerWorkloadStatus},
        notice::{Notice, Reason},
        random::Random,
    },
    wire::edge_api::{self, Header},
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    time::{Instant as Time, sleep, sleep_until},
};
use tokio_rustls::rustls::ClientConfig;

use crate::{
    cluster::MARK,
    connection::{Answer, Connection, Place},
    figures::{Figures, lock},
    identities::{Identities, Identity},
    schedule::{self, Attempt, FIRST_WAIT},
};

/// Between two tries to register, while a fleet is let in: the agent waits ten seconds or more.
const IMPATIENCE: Duration = Duration::from_secs(2);

/// The server keeps so many events of a device at once; of more it says that they are lost.
const MOST_TOLD: u64 = 90;

/// What all devices know.
pub(crate) struct Fleet {
    pub(crate) place: Place,
    pub(crate) bootstrap: Arc<ClientConfig>,
    pub(crate) period: Duration,
    pub(crate) figures: Figures,
    pub(crate) identities: Identities,
    /// So many register at once.
    pub(crate) turns: Semaphore,
    /// Each heartbeat tells an event of its own.
    pub(crate) tells: bool,
    /// What was told, and answered 200: the device's number and the message.
    pub(crate) told: std::sync::Mutex<Vec<String>>,
}

/// One of them.
pub(crate) struct Device {
    fleet: Arc<Fleet>,
    number: usize,
    id: String,
    config: Arc<ClientConfig>,
    connection: Connection,
    random: Random,
    /// Which of several servers it is connected to next.
    choice: usize,
    hardware: Value,
    version: String,
    workloads: Vec<(String, ServerWorkloadStatus)>,
    events: Vec<Notice>,
    count: u64,
    last_heartbeat: Option<Time>,
}

impl Device {
    pub(crate) fn new(fleet: Arc<Fleet>, number: usize) -> Self {
        let id = format!("device-{number:05}");
        let mut random = schedule::random(number as u64 + 1);
        Self {
            number,
            hardware: hardware(number, &id),
            id,
            config: Arc::clone(&fleet.bootstrap),
            connection: Connection::default(),
            choice: (random.next_fraction() * 1e6) as usize,
            random,
            version: String::new(),
            workloads: Vec::new(),
            events: Vec::new(),
            count: 0,
            last_heartbeat: None,
            fleet,
        }
    }

    /// Until it is dropped.
    pub(crate) async fn run(mut self) {
        while let Err(error) = self.join().await {
            self.fleet.figures.failed(&format!("to join: {error:#}"));
            sleep(FIRST_WAIT.mul_f64(self.random.next_fraction())).await;
        }
        self.fleet.figures.registered.fetch_add(1, Relaxed);
        self.fleet.figures.moved.notify_one();
        self.live().await;
    }

    /// With the certificate it has, or a new one.
    async fn join(&mut self) -> Result<()> {
        let fleet = Arc::clone(&self.fleet);
        let identity = match fleet.identities.get(&self.id) {
            Some(identity) => identity,
            None => {
                let _turn = fleet.turns.acquire().await?;
                let identity = self.register().await?;
                fleet.identities.put(&self.id, &identity);
                identity
            }
        };
        self.config = fleet.place.config(&identity.certificate, &identity.key)?;
        self.connection = Connection::default();
        Ok(())
    }

    async fn register(&mut self) -> Result<Identity> {
        let answer = self.ask(&Call::Enrol, "").await?;
        if !matches!(answer.status, 200 | 208) {
            sleep(answer.retry_after.unwrap_or_default()).await;
            bail!("enrolment: {}", answer.status);
        }
        let key = KeyPair::generate()?;
        let request = CertificateParams::new(Vec::new())?.serialize_request(&key)?.pem()?;
        loop {
            let answer = self.ask(&Call::Register, &request).await?;
            match answer.status {
                200 => {
                    let certificate = edge_api::certificate(&answer.body);
                    let certificate =
                        certificate.map_err(|error| anyhow::anyhow!("registration: {error}"))?;
                    self.connection = Connection::default();
                    return Ok(Identity { certificate, key: key.serialize_pem() });
                }
                404 => sleep(IMPATIENCE.mul_f64(self.random.next_fraction())).await,
                status => bail!("registration: {status}"),
            }
        }
    }

    async fn live(&mut self) {
        let period = self.fleet.period;
        let kinds = [CallKind::Heartbeat, CallKind::Configuration, CallKind::Control];
        let mut attempts = kinds.map(|kind| (kind, Attempt::within(period, &mut self.random)));
        // What an agent kept over its restart, this one has to ask for: else it would say that it has no workloads.
        attempts[0].1.at = attempts[0].1.at.max(attempts[1].1.at + Duration::from_secs(1));
        let mut up = None;
        loop {
            let next = (0..attempts.len()).min_by_key(|at| attempts[*at].1.at).unwrap_or_default();
            let at = attempts[next].1.at;
            // What was deployed comes up, and that is news.
            if let Some(when) = up.filter(|when| *when <= at) {
                sleep_until(when).await;
                up = None;
                self.workloads.iter_mut().for_each(|(_, status)| *status = ServerWorkloadStatus::Running);
                attempts[0].1.hurry(self.last_heartbeat, &mut self.random);
                continue;
            }
            sleep_until(at).await;
            match self.call(kinds[next]).await {
                Ok(is_news) => {
                    let was_away = attempts[next].1.has_failed();
                    attempts[next].1.good(period, &mut self.random);
                    if was_away {
                        attempts.iter_mut().for_each(|(_, it)| it.is_back(period, &mut self.random));
                    }
                    if is_news {
                        up = Some(
                            Time::now() + Duration::from_secs(3).mul_f64(1.0 + self.random.next_fraction()),
                        );
                        attempts[0].1.hurry(self.last_heartbeat, &mut self.random);
                    }
                }
                Err((why, asked)) => {
                    self.fleet.figures.failed(&why);
                    attempts[next].1.failed(period, asked, &mut self.random);
                }
            }
        }
    }

    /// Whether something has changed; or why it failed, and how long the server wants it to wait.
    async fn call(&mut self, kind: CallKind) -> Result<bool, (String, Option<Duration>)> {
        let call = match kind {
            CallKind::Configuration => Call::Configuration,
            CallKind::Heartbeat => {
                self.last_heartbeat = Some(Time::now());
                Call::Heartbeat(self.heartbeat())
            }
            _ => Call::Control,
        };
        let answer = self.ask(&call, "").await.map_err(|error| (format!("{kind:?}: {error:#}"), None))?;
        if answer.status != 200 {
            return Err((format!("{kind:?}: {}", answer.status), answer.retry_after));
        }
        match call {
            Call::Heartbeat(said) => {
                let told = std::mem::take(&mut self.events).into_iter().map(|event| event.message);
                if self.fleet.tells {
                    lock(&self.fleet.told).extend(told);
                }
                if matches!(said.hardware, HardwareScope::Full) {
                    self.hardware = Value::Null;
                }
                Ok(false)
            }
            Call::Configuration => {
                self.configured(&answer.body).map_err(|error| (format!("{error:#}"), None))
            }
            _ => Ok(false),
        }
    }

    fn heartbeat(&mut self) -> Heartbeat {
        if self.fleet.tells && self.count < MOST_TOLD {
            self.count += 1;
            let message = format!("number {} of '{}'", self.count, self.id);
            self.events.push(Notice::info(Reason::Adopted, message));
        }
        Heartbeat {
            degraded: false,
            version: self.version.clone(),
            workloads: self.workloads.clone(),
            events: self.events.clone(),
            hardware: if self.hardware.is_null() { HardwareScope::Omit } else { HardwareScope::Full },
        }
    }

    /// Takes the configuration over. Whether it is another one.
    fn configured(&mut self, body: &[u8]) -> Result<bool> {
        let mark = MARK.as_bytes();
        if let Some(at) = body.windows(mark.len()).position(|window| window == mark) {
            let digits = body[at + mark.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let generation = digits.fold(0, |all, digit| all * 10 + u64::from(digit - b'0'));
            self.fleet.figures.has(self.number, &self.id, generation);
        }
        let message: Value = serde_json::from_slice(body).context("the configuration is no JSON")?;
        let content = &message["content"];
        let version = content["version"].as_str().unwrap_or_default();
        if self.version == version {
            return Ok(false);
        }
        version.clone_into(&mut self.version);
        let workloads = content["workloads"].as_array().into_iter().flatten();
        let names = workloads.filter_map(|workload| workload["name"].as_str());
        let is_first = self.workloads.is_empty();
        self.workloads = names.map(|name| (name.to_owned(), ServerWorkloadStatus::Running)).collect();
        // One of them is made anew.
        if let Some((name, status)) = self.workloads.first_mut().filter(|_| !is_first) {
            *status = ServerWorkloadStatus::Deploying;
            let message = format!("'{name}' is updated by version {version}");
            self.events.push(Notice::info(Reason::ConfigurationApplied, message));
        }
        Ok(true)
    }

    async fn ask(&mut self, call: &Call, certificate_request: &str) -> Result<Answer> {
        let message_id = uuid::Uuid::new_v4().to_string();
        let header =
            Header { device: &self.id, namespace: "fleet", message_id: &message_id, sent: SystemTime::now() };
        let hardware = Some(&self.hardware).filter(|hardware| !hardware.is_null());
        let request = edge_api::request(call, header, hardware, certificate_request)?;
        let began = Instant::now();
        self.choice = self.choice.wrapping_add((self.random.next_fraction() * 16.0) as usize);
        let fleet = Arc::clone(&self.fleet);
        let asked = self.connection.call(&fleet.place, &self.config, self.choice, &request).await;
        let (status, connected) = asked.as_ref().map_or((0, false), |(answer, new)| (answer.status, *new));
        fleet.figures.add(self.number, call.kind(), began, status, connected);
        asked.map(|(answer, _)| answer)
    }
}

/// As long as a small board's.
fn hardware(number: usize, hostname: &str) -> Value {
    let architecture = if number.is_multiple_of(2) { "aarch64" } else { "x86_64" };
    json!({
        "hostname": hostname,
        "boot": {"current_boot_mode": "uefi"},
        "cpu": {"architecture": architecture, "model_name": "Cortex-A72", "count": 4, "frequency": 1500.0,
            "flags": ["fp", "asimd", "evtstrm", "crc32", "cpuid"]},
        "memory": {"physical_bytes": 4_294_967_296_u64, "usable_bytes": 4_005_617_664_u64},
        "system_vendor": {"manufacturer": "Example", "product_name": "Board 4", "serial_number": format!("sn-{number:08}")},
        "disks": [{"name": "mmcblk0", "path": "/dev/mmcblk0", "size_bytes": 31_914_983_424_u64, "drive_type": "SSD"}],
        "interfaces": [{"name": "eth0", "mac_address": format!("02:00:00:{:02x}:{:02x}:{:02x}", number >> 16, (number >> 8) & 255, number & 255),
            "ipv4_addresses": ["192.0.2.10/24"], "ipv6_addresses": [], "mtu": 1500, "has_carrier": true, "speed_mbps": 1000}],
    })
}
