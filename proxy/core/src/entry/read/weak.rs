//! What a scalar of the wrong type counts as in a config entry, as where Consul decodes one "weakly".
//!
//! `"50"` is a number, `1` is true and `5` is a text, so that files which Consul takes are taken here. An agent's own
//! file (registrations, settings) is decoded strictly there and here. Kept out: lists and maps, which
//! [`super::item`] reads either way.

use crate::syntax::{Number, Value};

/// The text of a number or boolean: Go prints `1.50` as `1.5` and true as `1`.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(bool) => Some(u8::from(*bool).to_string()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Some(integer.to_string()),
            None => number.as_f64().map(|float| float.to_string()),
        },
        _ => None,
    }
}

/// The boolean that Go reads from a text, or whether a number is not zero.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(bool) => Some(*bool),
        Value::Number(number) => Some(number.as_f64()? != 0.0),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The number in a text; nothing is 0.
pub(super) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(bool) => Some(f64::from(u8::from(*bool))),
        Value::String(text) if text.is_empty() => Some(0.0),
        Value::String(text) => text.parse().ok().filter(|float: &f64| float.is_finite()),
        _ => None,
    }
}

/// The integer in a text; nothing is 0. Go takes a leading 0 for octal, which nobody means: not read.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| truncated(number)),
        Value::Bool(bool) => Some(i64::from(*bool)),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => {
            let digits = text.trim_start_matches(['+', '-']);
            let octal = digits.len() > 1 && digits.starts_with('0');
            text.parse().ok().filter(|_| !octal)
        }
        _ => None,
    }
}

/// A number without its fraction.
fn truncated(number: &Number) -> Option<i64> {
    let float = number.as_f64()?.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    (float.abs() < 9e15).then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn a_text_counts_as_the_number_or_boolean_in_it() {
        for (text, number, fraction, bool) in [
            ("50", Some(50), Some(50.0), None),
            ("-1", Some(-1), Some(-1.0), None),
            ("1", Some(1), Some(1.0), Some(true)),
            ("", Some(0), Some(0.0), Some(false)),
            ("33.3", None, Some(33.3), None),
            ("010", None, Some(10.0), None),
            ("True", None, None, Some(true)),
            ("F", None, None, Some(false)),
            ("yes", None, None, None),
            ("NaN", None, None, None),
            ("5s", None, None, None),
        ] {
            let value = string(text);
            assert_eq!(
                (integer(&value), float(&value), boolean(&value)),
                (number, fraction, bool),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_boolean_counts_as_one_or_zero_and_a_list_as_nothing() {
        let yes = Value::Bool(true);
        assert_eq!((integer(&yes), float(&yes), text(&yes)), (Some(1), Some(1.0), Some("1".to_owned())));
        let list = Value::List(Vec::new());
        assert_eq!((integer(&list), float(&list), text(&list), boolean(&list)), (None, None, None, None));
    }
}
