//! Go's durations: `1h2m3.5s`, `15ms`, `-1s`.

use std::time::Duration;

use serde::Serializer;

/// A duration that may be negative: Consul reads a negative timeout as none at all.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Signed {
    /// Nanoseconds.
    pub nanos: i64,
}

impl Signed {
    /// None when negative.
    pub fn to_duration(self) -> Option<Duration> {
        u64::try_from(self.nanos).ok().map(Duration::from_nanos)
    }
}

/// A text that is no duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a duration such as \"15s\", \"1m30s\" or \"250ms\"")]
pub struct InvalidDuration(String);

/// Reads what Go's `time.ParseDuration` reads.
///
/// # Errors
/// When it is not one, or does not fit in 64 bits of nanoseconds.
pub fn parse(text: &str) -> Result<Signed, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(Signed { nanos: 0 });
    }
    let mut rest = unsigned;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total += amount(number, unit).ok_or_else(invalid)?;
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = tail;
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let nanos = i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())?;
    Ok(Signed { nanos })
}

fn amount(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 19 || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole * unit;
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        nanos += i128::from(digit - b'0') * scale;
    }
    Some(nanos)
}

/// As Go prints a duration: `1m30s`, `1.5s`, `250ms`, `0s`.
pub fn format(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64, suffix: &str| {
        let (whole, rest) = (value / unit, value % unit);
        if rest == 0 {
            return format!("{whole}{suffix}");
        }
        let width = unit.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        format!("{whole}.{}{suffix}", digits.trim_end_matches('0'))
    };
    let text = match n {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => fraction(n, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(n, 1_000_000, "ms"),
        _ => {
            let (minutes, rest) = (n / 60_000_000_000, n % 60_000_000_000);
            let seconds = fraction(rest, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
pub(crate) fn serialize_option<S: Serializer>(value: &Option<Signed>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.serialize_str(&format(value.nanos)),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_read_and_print_as_go_does() {
        for (text, nanos, printed) in [
            ("15s", 15_000_000_000, "15s"),
            ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("250ms", 250_000_000, "250ms"),
            ("-1s", -1_000_000_000, "-1s"),
            ("1.5us", 1_500, "1.5µs"),
            (".5s", 500_000_000, "500ms"),
            ("0", 0, "0s"),
            ("720h", 2_592_000_000_000_000, "720h0m0s"),
        ] {
            assert_eq!(parse(text), Ok(Signed { nanos }), "{text}");
            assert_eq!(format(nanos), printed);
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", "15", "s", "1x", "1.2.3s", "--1s", ".s", "1 s", "99999999999h", "é1s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
