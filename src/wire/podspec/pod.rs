//! A pod.

use std::collections::BTreeMap;

use super::{
    container::{Container, ResourceRequirements, RestartPolicy},
    env::LocalReference,
    security::PodSecurityContext,
    types::{mapping, words},
    values::{BoundedInt, IpAddressText},
    volumes::Volume,
};

mapping! {
    /// A pod, as its author wrote it. Defaults are not filled in: see each type.
    PodSpec {
        containers: Vec<Container>,
        init_containers: Vec<Container>,
        volumes: Vec<Volume>,
        restart_policy: RestartPolicy,
        termination_grace_period_seconds: Option<BoundedInt<0, 86_400>>,
        active_deadline_seconds: Option<BoundedInt<1, 2_147_483_647>>,
        host_network: bool,
        host_pid: bool = "hostPID",
        host_ipc: bool = "hostIPC",
        host_users: Option<bool>,
        share_process_namespace: bool,
        hostname: String,
        hostname_override: String,
        service_account_name: String,
        set_hostname_as_fqdn: bool = "setHostnameAsFQDN",
        host_aliases: Vec<HostAlias>,
        dns_policy: Option<DnsPolicy>,
        dns_config: PodDnsConfig,
        security_context: PodSecurityContext,
        image_pull_secrets: Vec<LocalReference>,
        resources: ResourceRequirements,
        node_name: String,
        node_selector: BTreeMap<String, String>,
        os: Option<PodOs>,
    }
}

mapping! {
    /// Names for an address, in the pod's `/etc/hosts`.
    HostAlias { ip: IpAddressText, hostnames: Vec<String> }
}

words! {
    /// Where a pod looks up names. There is no cluster's DNS: only `None` differs from the device's own.
    DnsPolicy {
        ClusterFirst,
        ClusterFirstWithHostNet,
        Default,
        None,
    }
}

mapping! {
    /// What is in the pod's `/etc/resolv.conf`.
    PodDnsConfig { nameservers: Vec<IpAddressText>, searches: Vec<String>, options: Vec<PodDnsOption> }
}

mapping! {
    /// An option of the resolver.
    PodDnsOption { name: String, value: Option<String> }
}

mapping! {
    /// The system that a pod is for.
    PodOs { name: OsName }
}

words! {
    /// Its name.
    OsName { Linux = "linux", Windows = "windows" }
}
