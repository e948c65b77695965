//! Who may call what, and what comes back: the table of the edge API, row by row.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rcgen::{
    CertificateParams, DnType, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
};
use serde_json::json;

use crate::bed::{Answer, Bed, Identity, Start, openssl, read, request, until};

/// Each of these holds over both stores.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod directory {
            $(#[test] fn $test() { super::$test(crate::bed::Bed::in_directory); })*
        }
        mod kubernetes {
            $(#[test] fn $test() { super::$test(crate::bed::Bed::in_cluster); })*
        }
    };
}

on_both! {
    each_certificate_may_do_what_the_table_says
    without_a_certificate_the_handshake_fails
    a_device_is_let_in_step_by_step
    a_registration_is_answered_again_until_a_certificate_was_used
    messages_that_make_no_sense_are_refused
    only_ecdsa_requests_are_signed
    certificates_are_as_the_real_ones
    a_device_that_is_disconnected_is_told_so_and_one_deleted_too_but_nothing_else
    a_restarted_server_knows_its_devices
    a_missing_secret_fails_the_whole_configuration
    a_server_that_is_to_end_answers_what_was_begun_and_takes_nothing_new
}

/// A certificate that says it is `name`'s, by an unknown CA.
fn foreign(name: &str) -> Identity {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name = rcgen::DistinguishedName::new();
    ca.distinguished_name.push(DnType::OrganizationName, "flotta-operator");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().pem();
    Identity { certificate, key: key.serialize_pem() }
}

fn each_certificate_may_do_what_the_table_says(start: Start) {
    let Some(bed) = start(&[]) else { return };
    let (one, two) = (bed.device("one"), bed.device("two"));
    let bed = bed.restart(&["--certificate-seconds", "-5"]);
    let expired = bed.registered(&bed.client(&one), "one");
    let expired_two = bed.registered(&bed.client(&two), "two");
    let bed = bed.restart(&["--certificate-seconds", "60"]);
    //                         enrol register beat configuration control, of "one"
    let table = [
        ("its own", &one, [208, 200, 200, 200, 200]),
        ("its own, expired", &expired, [208, 200, 200, 401, 401]),
        ("the bootstrap one", &bed.bootstrap(), [208, 500, 403, 401, 401]),
        ("another device's", &two, [208, 500, 403, 403, 403]),
        ("another device's, expired", &expired_two, [208, 500, 403, 401, 401]),
        ("of another CA", &foreign("one"), [401, 401, 401, 401, 401]),
    ];
    for (whose, identity, expected) in table {
        let client = bed.client(identity);
        let (csr, _) = request(&PKCS_ECDSA_P256_SHA256);
        let statuses = [
            client.enrol("one"),
            client.register("one", &csr).status,
            client.beat("one"),
            client.configuration("one").status,
            client.control("one").status,
        ];
        assert_eq!(statuses, expected, "{whose}");
    }
    assert_eq!(bed.client(&foreign("one")).control("one").text, "", "a 401 has no body");
}

fn without_a_certificate_the_handshake_fails(start: Start) {
    let Some(bed) = start(&[]) else { return };
    let error = bed.client_as(None).get("/control/one/in").unwrap_err();
    assert!(format!("{error:?}").contains("CertificateRequired"), "{error:?}");
}

fn a_device_is_let_in_step_by_step(start: Start) {
    let Some(bed) = start(&["--approve", "never"]) else { return };
    let client = bed.client(&bed.bootstrap());
    let (csr, _) = request(&PKCS_ECDSA_P256_SHA256);
    assert_eq!(client.register("one", &csr).status, 404, "not enrolled");
    assert_eq!(client.enrol("one"), 200);
    assert_eq!(client.enrol("one"), 200, "still waiting");
    assert_eq!(client.register("one", &csr).status, 404, "not approved");
    bed.approve("one");
    until("it is a device", || client.enrol("one") == 208);
    let one = bed.client(&bed.device("one"));
    assert_eq!(one.control("one").status, 200);
    assert_eq!(client.register("one", &csr).status, 500, "registered, by the bootstrap certificate");
    assert_eq!(client.enrol("two"), 200);
    bed.refuse("two");
    until("it is refused", || client.enrol("two") == 400);
    assert_eq!(client.enrol("Three"), 400, "no name for a resource");
    assert_eq!(client.enrol("register"), 400, "its certificate would be the bootstrap one");
}

fn a_registration_is_answered_again_until_a_certificate_was_used(start: Start) {
    let Some(bed) = start(&[]) else { return };
    let (bootstrap, two) = (bed.client(&bed.bootstrap()), bed.device("two"));
    until("it is let in", || bootstrap.enrol("one") == 208);
    let lost = bed.registered(&bootstrap, "one");
    let lost_too = bed.registered(&bootstrap, "one");
    bed.registered(&bed.client(&lost), "one");
    let bed = bed.restart(&[]);
    let (bootstrap, two) = (bed.client(&bed.bootstrap()), bed.client(&two));
    let (csr, key) = request(&PKCS_ECDSA_P256_SHA256);
    let identity = |answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let certificate = answer.json()["content"]["certificate"].as_str().unwrap().to_owned();
        Identity { certificate, key: key.clone() }
    };
    let first = identity(bootstrap.register("one", &csr));
    let again = identity(bootstrap.register("one", &csr));
    let (other, _) = request(&PKCS_ECDSA_P256_SHA256);
    assert_eq!(two.register("one", &other).status, 500, "it isn't another device's business");
    for lost in [&lost, &lost_too] {
        let client = bed.client(lost);
        assert_eq!(client.control("one").status, 403);
        assert_eq!((client.configuration("one").status, client.beat("one")), (403, 403));
    }
    // From now on there is no other one, whoever asks.
    assert_eq!(bed.client(&first).control("one").status, 200);
    for client in [&bootstrap, &bed.client(&lost)] {
        assert_eq!(client.register("one", &other).status, 500);
        assert_eq!(client.register("one", "").status, 500);
    }
    let renewed = bed.registered(&bed.client(&again), "one");
    let same = identity(bootstrap.register("one", &csr));
    for mine in [&first, &again, &renewed, &same] {
        assert_eq!(bed.client(mine).beat("one"), 200, "the same key, or renewed by it");
    }
    assert_eq!(bed.client(&lost).beat("one"), 403);
}

#[test]
fn approval_can_take_its_time() {
    let bed = Bed::start(&["--approve", "after=1"]);
    let client = bed.client(&bed.bootstrap());
    let (csr, _) = request(&PKCS_ECDSA_P256_SHA256);
    client.enrol("one");
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) && statuses.len() < 100 {
        statuses.push(client.register("one", &csr).status);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!((statuses.first(), statuses.last()), (Some(&404), Some(&200)), "{statuses:?}");
}

fn messages_that_make_no_sense_are_refused(start: Start) {
    let Some(bed) = start(&[]) else { return };
    let client = bed.client(&bed.device("one"));
    let status = |kind, body| client.post("/data/one/out", kind, body).unwrap().status;
    let json = "application/json";
    assert_eq!(status("text/plain", r#"{"directive":"heartbeat","content":{}}"#), 415);
    assert_eq!(status(json, "{"), 400);
    assert_eq!(status(json, r#"{"directive":"dance"}"#), 400);
    assert_eq!(status(json, r#"{"directive":"heartbeat","content":7}"#), 400);
    assert_eq!(status(json, r#"{"type":"letter","directive":"heartbeat","content":{}}"#), 422);
    assert_eq!(status("application/json; charset=utf-8", r#"{"directive":"heartbeat","content":{}}"#), 200);
    assert_eq!(client.get("/data/one/out").unwrap().status, 405);
    assert_eq!(client.get("/data/one").unwrap().status, 404);
    client.say("new", "enrolment", json!({})).expect_err("without features the connection is dropped");
}

fn only_ecdsa_requests_are_signed(start: Start) {
    let Some(bed) = start(&[]) else { return };
    let client = bed.client(&bed.bootstrap());
    until("it is let in", || client.enrol("one") == 208);
    assert_eq!(client.register("one", "").status, 400);
    assert_eq!(client.register("one", &request(&PKCS_ED25519).0).status, 400);
    let (csr, _) = request(&PKCS_ECDSA_P256_SHA256);
    let middle = csr.len() / 2;
    let other = if csr[middle..].starts_with('A') { 'B' } else { 'A' };
    let broken = format!("{}{other}{}", &csr[..middle], &csr[middle + 1..]);
    assert_eq!(client.register("one", &broken).status, 400, "not signed by its own key");
    assert_eq!(client.register("one", &request(&PKCS_ECDSA_P384_SHA384).0).status, 200);
}

fn certificates_are_as_the_real_ones(start: Start) {
    let Some(bed) = start(&["--certificate-seconds", "3600"]) else { return };
    let one = bed.dir.path().join("one.pem");
    std::fs::write(&one, bed.device("one").certificate).unwrap();
    let about = openssl(&["x509", "-noout", "-subject", "-nameopt", "RFC2253"], &one);
    let namespace = bed.space.as_ref().map_or("default", |space| &space.name);
    assert_eq!(about.trim(), format!("subject=OU={namespace},CN=one"));
    let ca = openssl(&["x509", "-noout", "-subject"], &bed.edge().join("ca.pem"));
    assert!(!ca.contains("CN"), "{ca}");
    assert!(bed.bootstrap().key.starts_with("-----BEGIN EC PRIVATE KEY-----"));
    openssl(&["ec", "-check", "-noout"], &bed.edge().join("bootstrap.key"));
    let register = openssl(&["x509", "-noout", "-subject"], &bed.edge().join("bootstrap.pem"));
    assert!(register.contains("CN = register") || register.contains("CN=register"), "{register}");
}

fn a_device_that_is_disconnected_is_told_so_and_one_deleted_too_but_nothing_else(start: Start) {
    let Some(bed) = start(&[]) else { return };
    bed.write("w.yaml", "kind: EdgeWorkload\nmetadata: {name: w}\nspec: {type: pod, device: one}\n");
    let client = bed.client(&bed.device("one"));
    assert_eq!(client.control("one").text, "");
    let workloads = || client.configuration("one").json()["content"]["workloads"].clone();
    until("it has a workload", || workloads().is_array());
    bed.disconnect("one");
    until("an empty list is an order", || workloads().is_null());
    let disconnect = json!({"command": "disconnect", "arguments": null});
    assert_eq!(client.control("one").json()["content"], disconnect);
    if bed.space.is_none() {
        // a cluster does so by itself, once the device was told
        bed.tell("delete one");
    }
    until("it is unknown", || client.configuration("one").status == 404);
    assert_eq!(client.control("one").json()["content"], disconnect);
    assert_eq!(client.beat("one"), 404);
    let (csr, _) = request(&PKCS_ECDSA_P256_SHA256);
    assert_eq!(client.register("one", &csr).status, 404);
}

fn a_restarted_server_knows_its_devices(start: Start) {
    let Some(bed) = start(&[]) else { return };
    let one = bed.device("one");
    let version = |bed: &Bed| {
        bed.client(&one).configuration("one").json()["content"]["version"].as_str().unwrap().to_owned()
    };
    let before = version(&bed);
    let bed = bed.restart(&[]);
    assert_eq!(version(&bed), before);
    assert_eq!(bed.client(&one).beat("one"), 200);
    bed.write("w.yaml", "kind: EdgeWorkload\nmetadata: {name: w}\nspec: {type: pod, device: one}\n");
    until("what changes has another version", || version(&bed) != before);
}

fn a_missing_secret_fails_the_whole_configuration(start: Start) {
    let Some(bed) = start(&[]) else { return };
    let workload = |optional| {
        format!(
            "kind: EdgeWorkload\nmetadata: {{name: w}}\nspec: {{type: pod, device: one, pod: {{spec: {{containers: [{{name: a, \
             envFrom: [{{secretRef: {{name: s, optional: {optional}}}}}]}}]}}}}}}\n"
        )
    };
    let client = bed.client(&bed.device("one"));
    bed.write("w.yaml", &workload(false));
    until("it can't be sent", || client.configuration("one").status == 500);
    bed.write("w.yaml", &workload(true));
    until("it is sent", || client.configuration("one").status == 200);
}

fn a_server_that_is_to_end_answers_what_was_begun_and_takes_nothing_new(start: Start) {
    let Some(mut bed) = start(&[]) else { return };
    let one = bed.device("one");
    let mut waiting = bed.connect(&one);
    let mut begun = bed.connect(&one);
    let body = r#"{"directive":"heartbeat","content":{"status":"up","version":"1"}}"#;
    let head = format!(
        "POST /api/flotta-management/v1/data/one/out HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (half, rest) = body.split_at(20);
    begun.write_all((head + half).as_bytes()).unwrap();
    assert!(begun.read(&mut [0; 1024]).is_ok(), "it goes on with the body");
    bed.terminate();
    assert_eq!(read(&mut waiting), "", "it ends: nothing was said on it");
    until("nothing new is taken", || TcpStream::connect(bed.address()).is_err());
    begun.write_all(rest.as_bytes()).unwrap();
    let answer = read(&mut begun);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    assert!(bed.ended().success());
}
