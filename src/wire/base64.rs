//! Base64 as Kubernetes writes it. A library would take more room than all else about `Secret`s that is not JSON.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let is_padding = digit > three.len();
            text.push(if is_padding { '=' } else { char::from(DIGITS[bits >> (18 - 6 * digit) & 63]) });
        }
    }
    text
}

/// Blanks don't matter; anything else that doesn't belong there makes it none. So does missing padding: most plain
/// words are digits of base64 only.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padding) = (0_usize, 0, 0);
    for digit in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        if digit == b'=' {
            padding += 1;
            continue;
        }
        if padding > 0 {
            return None;
        }
        bits = bits << 6 & 0xffff | DIGITS.iter().position(|other| *other == digit)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    // bits that are left: 0, 4 or 2; 6 are half a byte
    (count / 2 == padding).then_some(bytes).filter(|_| count < 6)
}

#[cfg(test)]
mod tests {
    use ::base64::prelude::{BASE64_STANDARD, Engine as _};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_everybody_else_writes_and_reads(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(&text, &BASE64_STANDARD.encode(&bytes));
            prop_assert_eq!(decode(&text), Some(bytes));
        }
    }

    #[test]
    fn blanks_do_not_matter_and_all_else_does() {
        for good in ["aGk=", " a G\nk=\n", "aG k = "] {
            assert_eq!(decode(good).as_deref(), Some(&b"hi"[..]), "{good}");
        }
        assert_eq!(decode(""), Some(vec![]));
        for bad in ["a", "aGk", "aGk==", "aGkaa", "a=Gk", "aG-k", "aG_k", "ä", "hunter2", "aGkh="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
