//! Strict JSON: no comments, no trailing commas.
//!
//! `jsonc-parser` recurses and builds a tree of its own, so nesting and size are checked on the bytes first.

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::text::{Source, too_deep, too_many};
use super::{Key, Node, Number, Value, limit};
use crate::problem::Problem;

pub(super) fn parse(source: &Source<'_>) -> (Vec<Node>, Vec<Problem>) {
    if let Err(problem) = within_limits(source) {
        return (Vec::new(), vec![problem]);
    }
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    match parse_to_ast(source.text, &CollectOptions::default(), &strict) {
        Ok(result) => (result.value.iter().map(|value| node(source, value)).collect(), Vec::new()),
        Err(error) => {
            let message = format!("is not JSON: {}", error.kind().to_string().to_lowercase());
            (Vec::new(), vec![source.error(error.range().start, message)])
        }
    }
}

/// Counts what stands outside strings: brackets, and the characters that each value but the first follows.
fn within_limits(source: &Source<'_>) -> Result<(), Problem> {
    let (mut values, mut quoted, mut escaped) = (1_usize, false, false);
    // Which of the open brackets are lists: there alone a comma comes before a value.
    let mut lists: Vec<bool> = Vec::new();
    for (offset, byte) in source.text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                if lists.len() == limit::DEPTH {
                    return Err(source.error(offset, too_deep()));
                }
                lists.push(byte == b'[');
                values += usize::from(byte == b'[');
            }
            b'}' | b']' => drop(lists.pop()),
            b':' => values += 1,
            b',' => values += usize::from(lists.last() == Some(&true)),
            _ => {}
        }
        if values > limit::VALUES {
            return Err(source.error(offset, too_many()));
        }
    }
    Ok(())
}

fn node(source: &Source<'_>, value: &ast::Value<'_>) -> Node {
    let read = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(it) => Value::Bool(it.value),
        ast::Value::NumberLit(it) => match Number::decimal(it.value) {
            Some(number) => Value::Number(number),
            None => Value::String(it.value.to_owned()),
        },
        ast::Value::StringLit(it) => Value::String(it.value.clone().into_owned()),
        ast::Value::Array(it) => Value::List(it.elements.iter().map(|item| node(source, item)).collect()),
        ast::Value::Object(it) => {
            let pair = |property: &ast::ObjectProp<'_>| {
                let key = Key {
                    name: property.name.as_str().to_owned(),
                    place: source.place(property.name.range().start),
                };
                (key, node(source, &property.value))
            };
            Value::Map(it.properties.iter().map(pair).collect())
        }
    };
    Node { place: source.place(value.range().start), value: read }
}
