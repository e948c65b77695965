//! Whether netavark, which gives podman's pods their networks, finds what it opens their ports with.

use std::path::Path;

use serde_json::Value;
use ureq::{Body, http::Response};

use super::{findings::Findings, podman};

/// Of its answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// Where programs for administrators are, whatever this user's PATH says.
const PROGRAM_DIRS: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];
/// Where netavark is, if podman doesn't say so: before 4.6.
const NETAVARK_PATHS: [&str; 2] = ["/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"];

/// Podman at this socket has answered before.
pub(super) fn check_firewall(socket: &Path, findings: &mut Findings) {
    let answer = podman::get(socket, "v4.0.0/libpod/info");
    let read =
        |answer: Response<Body>| answer.into_body().into_with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
    let text = answer.and_then(read).unwrap_or_default();
    let info: Value = String::from_utf8_lossy(&text).parse().unwrap_or_default();
    let host = &info["host"];
    let told = &host["networkBackendInfo"];
    let mut places = told["path"].as_str().into_iter().chain(NETAVARK_PATHS);
    // seen from a container there is none of it, and nothing can be said
    if host["networkBackend"] == "netavark" && places.any(|place| Path::new(place).exists()) {
        let has = |program| PROGRAM_DIRS.iter().any(|place| Path::new(place).join(program).exists());
        judge_netavark(told["version"].as_str().unwrap_or_default(), has("nft"), has("iptables"), findings);
    }
}

/// Netavark can use `nft` since 1.10, was built to do so by some from then on, and uses nothing else since 2.
fn judge_netavark(version: &str, nft: bool, iptables: bool, findings: &mut Findings) {
    let number = version.rsplit(' ').next().unwrap_or_default();
    let mut numbers = number.split('.').map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let what = "firewall";
    let remedy = "'apt install nftables', or 'dnf install nftables'";
    if nft {
        findings.add_good(what, "netavark finds nft");
    } else if iptables && version < (1, 10) {
        findings.add_good(what, "netavark finds iptables");
    } else if iptables && version < (2, 0) {
        let says =
            "there is no nft: if netavark was built to use it, no pod with a network of its own starts";
        findings.add_doubt(what, says, remedy);
    } else {
        findings.add_bad(what, "netavark finds no nft: no pod with a network of its own starts", remedy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netavark_wants_nft_from_its_second_version_on_and_may_want_it_before() {
        for (version, nft, iptables, verdict) in [
            ("", false, true, "good"),
            ("netavark 1.4.0", false, true, "good"),
            ("netavark 1.14.0", false, true, "doubt"),
            ("netavark 1.14.0", true, false, "good"),
            ("netavark 2.0.0", false, true, "bad"),
            ("netavark 1.4.0", false, false, "bad"),
        ] {
            let mut findings = Findings::default();
            judge_netavark(version, nft, iptables, &mut findings);
            let text = findings.text();
            assert!(text.starts_with(verdict), "{version} {nft} {iptables}: {text}");
            assert_eq!(text.contains("install nftables"), verdict != "good", "{text}");
        }
    }
}
