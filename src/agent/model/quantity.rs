//! Quantities as Kubernetes writes them: `64Mi`, `1.5G`, `128974848`, `129e6`, `500m`.

/// Bytes, rounded up; `None` for what is no quantity.
pub fn parse_bytes(text: &str) -> Option<u64> {
    round_up(parse_number(text)?)
}

/// As cores are counted, rounded up; `None` for what is no quantity.
pub fn parse_thousandths(text: &str) -> Option<u64> {
    round_up(parse_number(text)? * 1000.0)
}

fn round_up(number: f64) -> Option<u64> {
    // a thousandth has no exact binary fraction: 9m must not become 10
    (number < 1e19).then_some((number - 1e-6).ceil() as u64)
}

fn parse_number(text: &str) -> Option<f64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        power => 10_f64.powi(power.strip_prefix(['e', 'E'])?.parse::<i8>().ok()?.into()),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// As people write a limit: `24Mi`.
pub fn format_exact(bytes: u64) -> String {
    let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    let fits = |(bits, _): &(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *bits;
    units
        .into_iter()
        .find(fits)
        .map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{}{unit}", bytes >> bits))
}

/// For people: whole MiB, or what is less than one in KiB.
pub fn format_rounded(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mib => format!("{mib} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_kubernetes_is_read() {
        for (text, expected) in [
            ("0", 0),
            ("128974848", 128_974_848),
            ("64Mi", 64 << 20),
            ("1.5Gi", 3 << 29),
            ("129M", 129_000_000),
            ("129e6", 129_000_000),
            ("1E3", 1000),
            ("1k", 1000),
            ("1500m", 2),
            ("2Ei", 2 << 60),
        ] {
            assert_eq!(parse_bytes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        assert_eq!(["0.5", "9m", "2"].map(parse_thousandths), [500, 9, 2000].map(Some));
        for text in ["", "Mi", "-1", "64MiB", "64 Mi", "1.2.3", "1e", "1e999", "99E", "NaN", "inf", "e3"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
