//! Subset filters: go-bexpr v0.1.2, which Consul 1.21 evaluates, over one instance.
//!
//! An instance is looked at as Consul's health entry (`Service`, `Node`, `Checks`). `parse` knows the grammar,
//! `fields` what can be selected and what may be asked of it; here is what an expression means. A selector that an
//! entry cannot have is a fault, not an empty value: a filter that silently matches nothing would take a subset out
//! of service. Kept out: `OnlyPassing` and health as such, which are the target's business.
//!
//! One thing differs from that version on purpose: there, `matches` holds for every instance that lacks the key.

mod fields;
mod parse;
mod quoted;

use fields::Field;
use regex::Regex;

use crate::catalog::Instance;

/// A compiled `Subset.Filter`.
#[derive(Debug)]
pub struct Filter {
    /// None takes every instance.
    root: Option<Expression>,
}

/// Why a filter cannot be used. Faults of syntax begin with their place as go-bexpr gives it,
/// `LINE:COLUMN (BYTE)`; faults of meaning name the selector.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidFilter {
    /// The character at fault, counted from 1.
    pub at: usize,
    /// What is wrong, and if it can be said, what would be right.
    pub message: String,
    /// Of what kind that is.
    pub fault: Fault,
}

/// What a filter is at fault in. Consul refuses to write the one, and finds no instance by the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is no expression.
    Syntax,
    /// It selects what no instance has, or asks of that what it cannot be asked.
    Meaning,
}

#[derive(Debug)]
enum Expression {
    Not(Box<Expression>),
    /// Lists, not pairs, so that a long filter is not a deep one.
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Match(Match),
}

/// One selector with one operator.
#[derive(Debug)]
struct Match {
    field: Field,
    test: Test,
    /// `!=`, `not in`, `is not empty`, `not matches`.
    negated: bool,
}

/// What is asked of a value, its operand converted to the field's type.
#[derive(Debug)]
enum Test {
    Equals(Operand),
    /// A part of a text, an item of a list, a key of a map.
    Contains(String),
    IsEmpty,
    Matches(Regex),
}

/// The right side of `==`.
#[derive(Debug, PartialEq)]
enum Operand {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// What a field of one instance holds.
enum Value<'a> {
    /// A missing key: equal to nothing, containing nothing, and empty.
    Missing,
    /// One text. Where an application and its sidecar have different ones, both: either may be meant.
    Text(Vec<&'a str>),
    /// One number, likewise.
    Number(Vec<i64>),
    Flag(bool),
    /// A list, or the keys of a map.
    List(Vec<&'a str>),
}

impl Filter {
    /// Reads a filter; an empty one takes every instance.
    ///
    /// # Errors
    /// When it is not an expression, selects what no instance can have, or asks of it what it cannot be asked.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        if text.is_empty() {
            return Ok(Self { root: None });
        }
        Ok(Self { root: Some(parse::expression(text)?) })
    }

    /// Whether it takes `instance`.
    pub fn takes(&self, instance: &Instance) -> bool {
        self.root.as_ref().is_none_or(|root| root.holds(instance))
    }
}

impl Expression {
    fn holds(&self, instance: &Instance) -> bool {
        match self {
            Self::Not(inner) => !inner.holds(instance),
            Self::All(parts) => parts.iter().all(|part| part.holds(instance)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(instance)),
            Self::Match(it) => it.field.values(instance).iter().any(|value| it.holds(value)),
        }
    }
}

impl Match {
    /// Of a list of structs (`Checks`) one is enough, also for a negated operator: so it is in go-bexpr.
    fn holds(&self, value: &Value<'_>) -> bool {
        self.test.holds(value) != self.negated
    }
}

impl Test {
    fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::IsEmpty, Value::Missing) => true,
            (Self::IsEmpty, Value::List(items)) => items.is_empty(),
            (Self::IsEmpty, Value::Text(texts)) => texts.iter().all(|text| text.is_empty()),
            (Self::Equals(Operand::Text(wanted)), Value::Text(texts)) => texts.iter().any(|it| it == wanted),
            (Self::Equals(Operand::Number(wanted)), Value::Number(numbers)) => numbers.contains(wanted),
            (Self::Equals(Operand::Flag(wanted)), Value::Flag(flag)) => flag == wanted,
            (Self::Contains(wanted), Value::Text(texts)) => texts.iter().any(|text| text.contains(wanted)),
            (Self::Contains(wanted), Value::List(items)) => items.iter().any(|item| item == wanted),
            (Self::Matches(regex), Value::Text(texts)) => texts.iter().any(|text| regex.is_match(text)),
            // A missing key; the rest is refused when a filter is read.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
