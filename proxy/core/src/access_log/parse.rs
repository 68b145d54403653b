//! From a format's words to its pieces: `%NAME(ARGUMENT):LENGTH%` as Envoy writes operators.

use serde_json::Value;

use super::fact::{Fact, PathForm, WITHOUT_MEANING};
use super::time::TimeFormat;
use super::{Form, Format, FormatError, Operator, Piece};
use crate::syntax::nearest;

/// The names of operators that take a word in parentheses, or may.
const WITH_ARGUMENT: &[&str] =
    &["START_TIME", "EMIT_TIME", "REQ", "RESP", "TRAILER", "QUERY_PARAM", "PATH", "GRPC_STATUS"];

pub(super) fn text(source: &str) -> Result<Format, FormatError> {
    let mut making = Making::default();
    making.template(source, Form::Text)?;
    if !source.ends_with('\n') {
        making.literal(b"\n");
    }
    Ok(making.finish(source))
}

pub(super) fn value(source: &str) -> Result<Format, FormatError> {
    let mut making = Making::default();
    making.template(source, Form::Value)?;
    Ok(making.finish(source))
}

pub(super) fn json(source: &str) -> Result<Format, FormatError> {
    let value: Value = serde_json::from_str(source).map_err(|error| FormatError::Json(error.to_string()))?;
    if !value.is_object() {
        return Err(FormatError::NoObject);
    }
    let mut making = Making::default();
    making.value(&value)?;
    making.literal(b"\n");
    Ok(making.finish(source))
}

/// A format that writes nothing.
pub(super) fn nothing() -> Format {
    Making::default().finish("")
}

/// A format in the making.
#[derive(Default)]
struct Making {
    pieces: Vec<Piece>,
    literal: Vec<u8>,
    response_headers: Vec<Box<str>>,
    trailers: Vec<Box<str>>,
    without_meaning: Vec<Box<str>>,
}

impl Making {
    fn finish(mut self, source: &str) -> Format {
        self.end_literal();
        Format {
            source: Some(source.into()),
            pieces: self.pieces.into(),
            response_headers: self.response_headers.into(),
            trailers: self.trailers.into(),
            without_meaning: self.without_meaning.into(),
        }
    }

    fn literal(&mut self, bytes: &[u8]) {
        self.literal.extend_from_slice(bytes);
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    /// A JSON value with operators in its strings.
    fn value(&mut self, value: &Value) -> Result<(), FormatError> {
        match value {
            Value::Object(map) => {
                self.literal(b"{");
                for (index, (key, value)) in map.iter().enumerate() {
                    self.literal(if index > 0 { b"," } else { b"" });
                    self.literal(Value::from(key.as_str()).to_string().as_bytes());
                    self.literal(b":");
                    self.value(value)?;
                }
                self.literal(b"}");
            }
            Value::Array(values) => {
                self.literal(b"[");
                for (index, value) in values.iter().enumerate() {
                    self.literal(if index > 0 { b"," } else { b"" });
                    self.value(value)?;
                }
                self.literal(b"]");
            }
            Value::String(text) if is_one_operator(text) => self.template(text, Form::Json)?,
            Value::String(text) => {
                self.literal(b"\"");
                self.template(text, Form::JsonPart)?;
                self.literal(b"\"");
            }
            other => self.literal(other.to_string().as_bytes()),
        }
        Ok(())
    }

    /// Text with operators in it.
    fn template(&mut self, text: &str, form: Form) -> Result<(), FormatError> {
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            self.plain(&rest[..at], form);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("%%") {
                self.plain("%", form);
                rest = after;
                continue;
            }
            let Some((command, after)) = command(rest) else {
                let shown: String = rest.chars().take(40).collect();
                return Err(FormatError::NoOperator(shown));
            };
            let operator = self.operator(&command)?;
            self.end_literal();
            self.pieces.push(Piece::Value { operator, most: command.most.unwrap_or(usize::MAX), form });
            rest = after;
        }
        self.plain(rest, form);
        Ok(())
    }

    fn plain(&mut self, text: &str, form: Form) {
        if matches!(form, Form::Text | Form::Value) {
            self.literal(text.as_bytes());
        } else {
            let quoted = Value::from(text).to_string();
            self.literal(&quoted.as_bytes()[1..quoted.len() - 1]);
        }
    }

    fn operator(&mut self, command: &Command<'_>) -> Result<Operator, FormatError> {
        let Command { name, argument, .. } = *command;
        let wrong = |message: &str| FormatError::Argument { name: name.into(), message: message.into() };
        let time = || TimeFormat::parse(argument).map_err(|message| wrong(&message));
        Ok(match name {
            "START_TIME" => Operator::StartTime(time()?),
            "EMIT_TIME" => Operator::EmitTime(time()?),
            "REQ" => {
                let (first, other) = headers(argument).ok_or_else(|| wrong("names no header"))?;
                Operator::Request(first, other)
            }
            // Envoy sets this header on every answer itself.
            "RESP" if argument.is_some_and(|it| it.eq_ignore_ascii_case("x-envoy-upstream-service-time")) => {
                Operator::Fact(Fact::UpstreamServiceTime)
            }
            "RESP" => {
                let (first, other) = headers(argument).ok_or_else(|| wrong("names no header"))?;
                let list = &mut self.response_headers;
                Operator::Response(index_in(list, first), other.map(|other| index_in(list, other)))
            }
            "TRAILER" => {
                let (first, other) = headers(argument).ok_or_else(|| wrong("names no trailer"))?;
                let list = &mut self.trailers;
                Operator::Trailer(index_in(list, first), other.map(|other| index_in(list, other)))
            }
            "QUERY_PARAM" => {
                let name = argument.filter(|name| !name.is_empty());
                Operator::Query(name.ok_or_else(|| wrong("names no parameter"))?.into())
            }
            "PATH" => Operator::Path(path_form(argument).ok_or_else(|| wrong("is not of the form X:Y"))?),
            "GRPC_STATUS" => match argument {
                None | Some("" | "CAMEL_STRING") => Operator::Fact(Fact::GrpcStatus),
                Some("SNAKE_STRING") => Operator::Fact(Fact::GrpcStatusSnake),
                Some("NUMBER") => Operator::Fact(Fact::GrpcStatusNumber),
                Some(_) => return Err(wrong("is CAMEL_STRING, SNAKE_STRING or NUMBER")),
            },
            _ if WITHOUT_MEANING.contains(&name) => {
                self.without_meaning.push(name.into());
                Operator::Nothing
            }
            _ => match Fact::named(name) {
                Some(_) if argument.is_some() => return Err(wrong("takes nothing in parentheses")),
                Some(fact) => Operator::Fact(fact),
                None => return Err(unknown(name)),
            },
        })
    }
}

fn unknown(name: &str) -> FormatError {
    let known = WITH_ARGUMENT.iter().chain(Fact::NAMES).copied();
    let hint = nearest(name, known).map(|it| format!(", did you mean %{it}%?"));
    FormatError::Unknown { name: name.into(), hint: hint.unwrap_or_default() }
}

/// An operator as it is written.
struct Command<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    most: Option<usize>,
}

/// The operator at the beginning of `text`, and what stands behind it.
fn command(text: &str) -> Option<(Command<'_>, &str)> {
    let rest = text.strip_prefix('%')?;
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let end = rest.find(|c| !is_name(c))?;
    let (name, mut rest) = rest.split_at(end);
    if name.is_empty() {
        return None;
    }
    let mut argument = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (found, after) = inner.split_once(')')?;
        (argument, rest) = (Some(found), after);
    }
    let mut most = None;
    if let Some(digits) = rest.strip_prefix(':') {
        let (found, _) = digits.split_once('%')?;
        most = Some(found.parse().ok()?);
        rest = &digits[found.len()..];
    }
    Some((Command { name, argument, most }, rest.strip_prefix('%')?))
}

fn is_one_operator(text: &str) -> bool {
    command(text).is_some_and(|(_, rest)| rest.is_empty())
}

/// `X?Y`, in lower case.
fn headers(argument: Option<&str>) -> Option<(Box<str>, Option<Box<str>>)> {
    let argument = argument?.to_ascii_lowercase();
    let (first, other) = match argument.split_once('?') {
        Some((first, other)) => (first, Some(other)),
        None => (&*argument, None),
    };
    let whole = !first.is_empty() && other.is_none_or(|other| !other.is_empty());
    whole.then(|| (first.into(), other.map(Into::into)))
}

/// Where `name` stands in `list`, now if not before.
fn index_in(list: &mut Vec<Box<str>>, name: Box<str>) -> usize {
    list.iter().position(|it| *it == name).unwrap_or_else(|| {
        list.push(name);
        list.len() - 1
    })
}

/// `X:Y`: with the query (`WQ`) or without (`NQ`); of the target as received (`ORIG`), as it leaves (`PATH`), or the
/// first of them that there is.
fn path_form(argument: Option<&str>) -> Option<PathForm> {
    let (query, which) =
        argument.unwrap_or_default().split_once(':').unwrap_or((argument.unwrap_or_default(), ""));
    let query = match query {
        "" | "WQ" => true,
        "NQ" => false,
        _ => return None,
    };
    let (as_received, only_rewritten) = match which {
        "" | "ORIG_OR_PATH" => (true, false),
        "ORIG" => (true, true),
        "PATH" => (false, false),
        _ => return None,
    };
    Some(PathForm { query, as_received, only_rewritten })
}
