//! Durations and sizes: how they are written.

use std::time::Duration;

/// The longest duration a config may say. Deadlines further away mean "never", for which there is a word.
pub(super) const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Parses `500ms`, `30s`, `5m`, `2h`, `1d` and sums of them (`1h30m`). A number without unit is not a duration.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = next.trim_start();
    }
    // Floating point leaves dust below a microsecond.
    Some(Duration::from_micros(u64::try_from((total + Duration::from_nanos(500)).as_micros()).ok()?))
}

/// Writes seconds, as the mission has them, as a duration string.
pub(crate) fn seconds_as_duration(number: &str) -> Option<String> {
    let seconds: f64 = number.parse().ok()?;
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    if duration.subsec_nanos() == 0 {
        Some(format!("{}s", duration.as_secs()))
    } else {
        Some(format!("{}ms", duration.as_millis()))
    }
}

/// Parses `4096`, `64KiB`, `16MiB`, `1GiB` and the decimal `kB`, `MB`, `GB`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a size the short way: `16MiB`.
pub fn show_size(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, milliseconds: Option<u64>| {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        };
        check("500ms", Some(500));
        check("30s", Some(30_000));
        check("5m", Some(300_000));
        check("2h", Some(7_200_000));
        check("1h30m", Some(5_400_000));
        check("1h 30m", Some(5_400_000));
        check("0.5s", Some(500));
        check("0s", Some(0));
        check(" 1d ", Some(86_400_000));
        for wrong in ["", "30", "s", "-1s", "1.s.2", "30 parsecs", "30S", "∞", "99999999999999999999h", "1s-"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn sizes() {
        let check = |text: &str, bytes: Option<u64>| assert_eq!(parse_size(text), bytes, "{text}");
        check("4096", Some(4096));
        check("16MiB", Some(16 << 20));
        check("1MB", Some(1_000_000));
        check("64 kib", Some(64 << 10));
        check("", None);
        check("MiB", None);
        check("-1", None);
        check("1.5MiB", None);
        check("99999999999999999999", None);
        check("18446744073709551615GiB", None);
        assert_eq!(show_size(16 << 20), "16MiB");
        assert_eq!(show_size(1000), "1000");
    }
}
