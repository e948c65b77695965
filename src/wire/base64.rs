//! Base64 as Kubernetes reads and writes it: with padding, and blanks anywhere.

use ::base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};

/// As other programs do, not all of which leave the bits that are left over at 0.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// With the digits of addresses.
pub(super) fn encode_for_urls(bytes: &[u8]) -> String {
    BASE64_URL_SAFE.encode(bytes)
}

/// Blanks don't matter; anything else that doesn't belong there makes it none. So does missing padding: most plain
/// words are digits of base64 only.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.as_bytes().to_vec();
    digits.retain(|byte| !byte.is_ascii_whitespace());
    LENIENT.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_do_not_matter_and_all_else_does() {
        for good in ["aGk=", " a G\nk=\n", "aG k = ", "aGl="] {
            assert_eq!(decode(good).as_deref(), Some(&b"hi"[..]), "{good}");
        }
        assert_eq!(decode(""), Some(vec![]));
        for bad in ["a", "aGk", "aGk==", "aGkaa", "a=Gk", "aG-k", "aG_k", "ä", "hunter2", "aGkh="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(encode(b"hi?>>"), "aGk/Pj4=");
        assert_eq!(encode_for_urls(b"hi?>>"), "aGk_Pj4=");
    }
}
