//! A pod.

use std::collections::BTreeMap;

use super::{
    container::{Container, ResourceRequirements, RestartPolicy},
    env::LocalReference,
    reader::{mapping, words},
    security::PodSecurityContext,
    values::{Address, Whole},
    volumes::Volume,
};

mapping! {
    /// A pod, as its author wrote it. Defaults are not filled in: see each type.
    PodSpec {
        containers: Vec<Container> = "containers",
        init_containers: Vec<Container> = "initContainers",
        volumes: Vec<Volume> = "volumes",
        restart_policy: RestartPolicy = "restartPolicy",
        termination_grace_period_seconds: Option<Whole<0, 86_400>> = "terminationGracePeriodSeconds",
        active_deadline_seconds: Option<Whole<1, 2_147_483_647>> = "activeDeadlineSeconds",
        host_network: bool = "hostNetwork",
        host_pid: bool = "hostPID",
        host_ipc: bool = "hostIPC",
        host_users: Option<bool> = "hostUsers",
        share_process_namespace: bool = "shareProcessNamespace",
        hostname: String = "hostname",
        hostname_override: String = "hostnameOverride",
        service_account_name: String = "serviceAccountName",
        set_hostname_as_fqdn: bool = "setHostnameAsFQDN",
        host_aliases: Vec<HostAlias> = "hostAliases",
        dns_policy: Option<DnsPolicy> = "dnsPolicy",
        dns_config: PodDnsConfig = "dnsConfig",
        security_context: PodSecurityContext = "securityContext",
        image_pull_secrets: Vec<LocalReference> = "imagePullSecrets",
        resources: ResourceRequirements = "resources",
        node_name: String = "nodeName",
        node_selector: BTreeMap<String, String> = "nodeSelector",
        os: Option<PodOs> = "os",
    }
}

mapping! {
    /// Names for an address, in the pod's `/etc/hosts`.
    HostAlias {
        ip: Address = "ip",
        hostnames: Vec<String> = "hostnames",
    }
}

words! {
    /// Where a pod looks up names. There is no cluster's DNS: only `None` differs from the device's own.
    DnsPolicy {
        ClusterFirst = "ClusterFirst",
        ClusterFirstWithHostNet = "ClusterFirstWithHostNet",
        Default = "Default",
        None = "None",
    }
}

mapping! {
    /// What is in the pod's `/etc/resolv.conf`.
    PodDnsConfig {
        nameservers: Vec<Address> = "nameservers",
        searches: Vec<String> = "searches",
        options: Vec<PodDnsOption> = "options",
    }
}

mapping! {
    /// An option of the resolver.
    PodDnsOption {
        name: String = "name",
        value: Option<String> = "value",
    }
}

mapping! {
    /// The system that a pod is for.
    PodOs {
        name: OsName = "name",
    }
}

words! {
    /// Its name.
    OsName { Linux = "linux", Windows = "windows", }
}
