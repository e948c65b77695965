//! Keys and certificates: PEM, and the DER in it.

use std::time::{Duration, UNIX_EPOCH};

use device_worker_ng::io::tls::fuzzing::{facts, pair, roots};

use crate::{bundle, promise};

pub(super) fn run(input: &[u8]) {
    let files = bundle::files(input);
    let (certificate, key) = (bundle::bytes(&files, ""), bundle::bytes(&files, "key"));
    match roots(certificate) {
        Ok(count) => assert!(count > 0, "no CA to trust"),
        Err(why) => promise::is_sentence(&why),
    }
    match pair(key, certificate) {
        Ok(der) => der_holds(&der),
        Err(why) => promise::is_sentence(&why),
    }
    der_holds(certificate);
    if let Some(der) = der_of(certificate) {
        der_holds(&der);
    }
}

fn der_holds(der: &[u8]) {
    for now in [0, 1_800_000_000, 253_402_300_800] {
        let now = UNIX_EPOCH + Duration::from_secs(now);
        let Some(((from, to), _, fault)) = facts(der, now) else { return };
        if let Some(fault) = &fault {
            promise::is_sentence(fault);
        }
        assert_eq!(fault.is_none(), from <= now && now <= to);
    }
    // the dates of what is torn are no certificate's
    assert!(facts(&der[..der.len() - 1], UNIX_EPOCH).is_none() || der.last() == Some(&0) || is_longer(der));
}

/// Something stands after the certificate.
fn is_longer(der: &[u8]) -> bool {
    let length = match der {
        [_, 0x82, high, low, ..] => 4 + (usize::from(*high) << 8 | usize::from(*low)),
        [_, 0x81, low, ..] => 3 + usize::from(*low),
        [_, low, ..] => 2 + usize::from(*low),
        _ => 0,
    };
    length < der.len() || der.get(1) == Some(&0x83)
}

/// The base64 between the first marks, so that a mutation of the DER is one of a certificate.
fn der_of(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text.split("-----").nth(2)?;
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in body.bytes() {
        let Some(value) = digits.iter().position(|other| *other == digit) else { continue };
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
