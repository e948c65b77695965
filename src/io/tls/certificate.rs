//! What this agent wants to know of its own X.509 certificates (RFC 5280). Verifying those of others is rustls'
//! affair.

use std::{fmt, time::SystemTime};

use chrono::NaiveDateTime;

use crate::agent::model::time::format_timestamp;

/// From a certificate's signed part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParsedCertificate {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// Whom it was made for, if it has a common name.
    pub(crate) common_name: Option<String>,
}

impl ParsedCertificate {
    /// Nothing when it is no certificate.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let mut certificate = DerReader(DerReader(der).expect(SEQUENCE)?);
        let mut signed = DerReader(certificate.expect(SEQUENCE)?);
        let (tag, _) = signed.next()?;
        if tag == VERSION {
            signed.expect(INTEGER)?; // the serial number
        }
        signed.expect(SEQUENCE)?; // the algorithm
        signed.expect(SEQUENCE)?; // the issuer
        let mut validity = DerReader(signed.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let common_name = common_name(signed.expect(SEQUENCE)?);
        Some(Self { not_before, not_after, common_name })
    }

    /// What a person should know when it is not valid at this time.
    pub(crate) fn fault(&self, now: SystemTime) -> Option<String> {
        if now > self.not_after {
            Some(format!(
                "expired on {}, and the clock reads {}",
                DisplayTime(self.not_after),
                DisplayTime(now)
            ))
        } else if now < self.not_before {
            Some(format!(
                "is not valid before {}, and the clock reads {}",
                DisplayTime(self.not_before),
                DisplayTime(now)
            ))
        } else {
            None
        }
    }
}

const INTEGER: u8 = 0x02;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
/// The object identifier 2.5.4.3, with its tag and length.
const COMMON_NAME: [u8; 5] = [0x06, 3, 0x55, 4, 3];

/// Values of the distinguished encoding rules, one after the other.
struct DerReader<'a>(&'a [u8]);

impl<'a> DerReader<'a> {
    /// A tag and what it holds.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

fn time((tag, text): (u8, &[u8])) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // two digits of the year: 1950 to 2049
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    Some(NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?.and_utc().into())
}

fn common_name(name: &[u8]) -> Option<String> {
    let mut parts = DerReader(name);
    while let Some(part) = parts.expect(SET) {
        let Some(pair) = DerReader(part).expect(SEQUENCE) else { continue };
        let Some(value) = pair.strip_prefix(&COMMON_NAME) else { continue };
        let (tag, text) = DerReader(value).next()?;
        return match tag {
            UTF8_STRING | PRINTABLE_STRING => String::from_utf8(text.to_vec()).ok(),
            _ => None,
        };
    }
    None
}

/// A time for people.
pub(crate) struct DisplayTime(pub(crate) SystemTime);

impl fmt::Display for DisplayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_timestamp(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(years: (i32, i32), names: &[(DnType, DnValue)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn dates_and_the_common_name_are_read() {
        let organization = (DnType::OrganizationalUnitName, DnValue::from("default"));
        let utf8 = certificate(
            (2020, 2030),
            &[organization.clone(), (DnType::CommonName, DnValue::Utf8String("dev-1".into()))],
        );
        let facts = ParsedCertificate::read(&utf8).unwrap();
        assert_eq!(facts.common_name.as_deref(), Some("dev-1"));
        assert_eq!(facts.not_before, UNIX_EPOCH + Duration::from_secs(1_577_836_800));
        assert_eq!(facts.not_after, UNIX_EPOCH + Duration::from_secs(1_893_456_000));
        let printable = DnValue::PrintableString("dev".try_into().unwrap());
        // after 2049 the other kind of time is used, before 1970 a negative one
        let facts =
            ParsedCertificate::read(&certificate((1960, 2100), &[(DnType::CommonName, printable)])).unwrap();
        assert_eq!(facts.common_name.as_deref(), Some("dev"));
        assert!(facts.not_before < UNIX_EPOCH);
        assert_eq!(DisplayTime(facts.not_after).to_string(), "2100-01-01T00:00:00Z");
        assert_eq!(
            ParsedCertificate::read(&certificate((2020, 2030), &[organization])).unwrap().common_name,
            None
        );
    }

    #[test]
    fn what_is_torn_or_no_certificate_is_nothing() {
        let whole = certificate((2020, 2030), &[(DnType::CommonName, DnValue::from("dev"))]);
        for length in 0..whole.len() {
            assert_eq!(ParsedCertificate::read(&whole[..length]), None);
        }
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bent = whole.clone();
                bent[at] ^= flip;
                ParsedCertificate::read(&bent); // may make sense; must not panic
            }
        }
    }

    #[test]
    fn a_fault_names_the_dates_and_the_clocks_reading() {
        let facts = ParsedCertificate::read(&certificate((2020, 2030), &[])).unwrap();
        let year = Duration::from_secs(31_557_600);
        assert_eq!(facts.fault(UNIX_EPOCH + 55 * year), None);
        let late = facts.fault(UNIX_EPOCH + 70 * year).unwrap();
        assert_eq!(late, "expired on 2030-01-01T00:00:00Z, and the clock reads 2040-01-01T12:00:00Z");
        let early = facts.fault(UNIX_EPOCH).unwrap();
        assert!(early.starts_with("is not valid before 2020-01-01T00:00:00Z"), "{early}");
    }
}
