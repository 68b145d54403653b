//! Lines of the access log: a format with Envoy's command operators, compiled once, written for each request. Values
//! that header edits set and add are such formats too.
//!
//! Here: what an operator is called ([`Fact`], `parse`), what a line consists of ([`Format`]), and how values are
//! put into text or JSON (`write`). What a request can tell is asked of it through [`Tells`]. Kept out: where lines
//! go, and the clock: the moments of a request are told like everything else.

mod fact;
mod json;
mod parse;
mod time;
mod write;

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

pub use fact::{Fact, PathForm};
use time::TimeFormat;
use write::Line;

/// What a line's format can ask of a request or a connection.
pub trait Tells {
    /// One of the things that need no further word.
    fn fact(&self, fact: Fact) -> Told<'_>;

    /// A header of the request, by lower-case name.
    fn request_header(&self, name: &str) -> Told<'_>;

    /// The answer's header at this place of [`Format::response_headers`].
    fn response_header(&self, index: usize) -> Told<'_>;

    /// The answer's trailer at this place of [`Format::trailers`].
    fn trailer(&self, index: usize) -> Told<'_>;

    /// A parameter of the query.
    fn query_parameter(&self, name: &str) -> Told<'_>;

    /// The request's target.
    fn path(&self, form: PathForm) -> Told<'_>;

    /// When it began.
    fn started(&self) -> SystemTime;

    /// When it ended.
    fn ended(&self) -> SystemTime;
}

/// A value of a line.
pub enum Told<'a> {
    /// There is none.
    Nothing,
    /// Text as it was received.
    Text(Cow<'a, [u8]>),
    /// A number.
    Number(u64),
    /// Whatever it prints as.
    Shown(&'a dyn fmt::Display),
}

impl<'a> Told<'a> {
    /// Text, if there is any.
    pub fn text(text: Option<&'a (impl AsRef<[u8]> + ?Sized)>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(Cow::Borrowed(text.as_ref())))
    }

    /// A number, if there is one.
    pub fn number(number: Option<impl Into<u64>>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }

    /// What this prints as, if it is there.
    pub fn shown(value: Option<&'a impl fmt::Display>) -> Self {
        value.map_or(Self::Nothing, |value| Self::Shown(value))
    }

    /// This value, or the other one where it is nothing.
    #[must_use]
    pub fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::Nothing) { other() } else { self }
    }
}

/// What is wrong with a format.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// Not JSON.
    #[error("invalid access log json for JSON format: {0}")]
    Json(String),
    /// JSON, but no object.
    #[error("an access log's JSON format is an object")]
    NoObject,
    /// A percent sign that begins nothing.
    #[error("{0:?} is no command operator; a percent sign is written %%")]
    NoOperator(String),
    /// None of that name.
    #[error("unknown command operator %{name}%{hint}")]
    Unknown {
        /// As written.
        name: String,
        /// The nearest that there is.
        hint: String,
    },
    /// Words in parentheses that mean nothing, or that are missing.
    #[error("%{name}%: {message}")]
    Argument {
        /// The operator's name.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// How a line is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Format {
    source: Option<Box<str>>,
    pieces: Box<[Piece]>,
    response_headers: Box<[Box<str>]>,
    trailers: Box<[Box<str>]>,
    /// Operators of Envoy's that have nothing to say here.
    without_meaning: Box<[Box<str>]>,
}

/// A part of a line.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    /// Bytes that stand in each line.
    Literal(Box<[u8]>),
    /// What an operator stands for.
    Value { operator: Operator, most: usize, form: Form },
}

/// How a value stands in its line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// As text; `-` where there is none.
    Text,
    /// As text; nothing where there is none.
    Value,
    /// As a JSON value of its own: a number, a string or null.
    Json,
    /// Within a JSON string.
    JsonPart,
}

/// What an operator asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Operator {
    Fact(Fact),
    StartTime(TimeFormat),
    EmitTime(TimeFormat),
    Request(Box<str>, Option<Box<str>>),
    /// Indices into [`Format::response_headers`].
    Response(usize, Option<usize>),
    /// Indices into [`Format::trailers`].
    Trailer(usize, Option<usize>),
    Query(Box<str>),
    Path(PathForm),
    /// Known to Envoy, and without a counterpart here.
    Nothing,
}

impl Format {
    /// A line of text; a line's end is added where there is none.
    ///
    /// # Errors
    /// When it holds what is no operator.
    pub fn text(source: &str) -> Result<Self, FormatError> {
        parse::text(source)
    }

    /// A value of a header: what is not there leaves nothing, and nothing ends it.
    ///
    /// # Errors
    /// When it holds what is no operator.
    pub fn value(source: &str) -> Result<Self, FormatError> {
        parse::value(source)
    }

    /// A JSON object, one a line, whose strings may hold operators. A string that is nothing but one operator becomes
    /// a value of its type: a number stays one, and what is not there is null.
    ///
    /// # Errors
    /// When it is no JSON object, or holds what is no operator.
    pub fn json(source: &str) -> Result<Self, FormatError> {
        parse::json(source)
    }

    /// What the operator wrote; None when it is ours.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The headers of answers that it asks for, in lower case.
    pub fn response_headers(&self) -> &[Box<str>] {
        &self.response_headers
    }

    /// The trailers of answers that it asks for, in lower case.
    pub fn trailers(&self) -> &[Box<str>] {
        &self.trailers
    }

    /// The operators in it that Envoy knows and that have no meaning here.
    pub fn without_meaning(&self) -> impl Iterator<Item = &str> {
        self.without_meaning.iter().map(|name| &**name)
    }

    /// Appends a line, its end included, or a value.
    pub fn write(&self, of: &dyn Tells, out: &mut Vec<u8>) {
        let mut line = Line::new(out);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => line.literal(bytes),
                Piece::Value { operator: Operator::StartTime(format), most, form } => {
                    line.moment(of.started(), format, *most, *form);
                }
                Piece::Value { operator: Operator::EmitTime(format), most, form } => {
                    line.moment(of.ended(), format, *most, *form);
                }
                Piece::Value { operator, most, form } => line.value(&operator.value(of), *most, *form),
            }
        }
    }
}

impl Operator {
    fn value<'a>(&self, of: &'a dyn Tells) -> Told<'a> {
        let either = |first: Told<'a>, other: &dyn Fn() -> Option<Told<'a>>| {
            first.or_else(|| other().unwrap_or(Told::Nothing))
        };
        match self {
            Self::Fact(fact) => of.fact(*fact),
            Self::Request(name, other) => {
                either(of.request_header(name), &|| Some(of.request_header(other.as_deref()?)))
            }
            Self::Response(name, other) => {
                either(of.response_header(*name), &|| Some(of.response_header((*other)?)))
            }
            Self::Trailer(name, other) => either(of.trailer(*name), &|| Some(of.trailer((*other)?))),
            Self::Query(name) => of.query_parameter(name),
            Self::Path(form) => of.path(*form),
            Self::StartTime(_) | Self::EmitTime(_) | Self::Nothing => Told::Nothing,
        }
    }
}

impl Default for Format {
    /// The JSON that Consul has Envoy write, and under `spillway` what was decided, and why it ended as it did.
    fn default() -> Self {
        Self { source: None, ..parse::json(json::DEFAULT).unwrap_or_else(|_| parse::nothing()) }
    }
}

#[cfg(test)]
mod tests;
