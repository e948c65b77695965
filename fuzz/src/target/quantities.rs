//! Amounts of memory and shares of processors.

use device_worker_ng::agent::model::quantity::{format_rounded, parse_bytes, parse_thousandths};

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (whole, parts) = (parse_bytes(text), parse_thousandths(text));
    if let Some(whole) = whole {
        assert!(!format_rounded(whole).is_empty());
        // larger numbers have no exact binary form
        if whole < 1 << 50 {
            assert_eq!(parse_bytes(&whole.to_string()), Some(whole), "{text}");
            let (sign, digits) = text.split_at(usize::from(text.starts_with('+')));
            assert_eq!(
                parse_bytes(&format!("{sign}0{digits}")),
                Some(whole),
                "{text}: a leading zero counts"
            );
        }
    }
    if let (Some(whole), Some(parts)) = (whole, parts)
        && parts < 1 << 50
    {
        let most = parts.div_ceil(1000);
        assert!(whole == most || whole + 1 == most || whole == most + 1, "{text}: {whole} and {parts}/1000");
    }
    if parts.is_some() {
        assert!(whole.is_some(), "{text}: thousandths of what is no number");
    }
}
