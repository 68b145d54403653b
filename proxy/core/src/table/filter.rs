//! Subset filters: the part of go-bexpr that service-resolvers use, over one instance.
//!
//! An instance is looked at as Consul's health entry (`Service`, `Node`, `Checks`). Fields that Consul has and an
//! instance does not are errors here, not empty values: a filter that silently matches nothing would take a subset
//! out of service. Kept out: `OnlyPassing` and health as such, which are the target's business.

mod parse;

use regex::Regex;

use crate::catalog::Instance;
use crate::entry::HealthStatus;

/// A compiled `Subset.Filter`.
#[derive(Debug)]
pub struct Filter {
    /// None takes every instance.
    root: Option<Expression>,
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message} at character {at}")]
pub struct InvalidFilter {
    /// Counted from 1.
    pub at: usize,
    /// What is wrong, and if it can be said, what would be right.
    pub message: String,
}

#[derive(Debug)]
enum Expression {
    Not(Box<Expression>),
    /// Lists, not pairs, so that a long filter is not a deep one.
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Test(Field, Test),
}

/// What can be asked about. A sidecar answers for its application, so where the two differ both names count.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Field {
    ServiceId,
    ServiceName,
    ServiceTags,
    /// All of it, or one key.
    ServiceMeta(Option<String>),
    ServiceAddress,
    ServicePort,
    WeightPassing,
    WeightWarning,
    NodeName,
    NodeAddress,
    NodeDatacenter,
    /// Instances of a directory have no node meta; every key is missing.
    NodeMeta(Option<String>),
    ChecksStatus,
}

/// Positive tests only: the negative ones (`!=`, `not in`, `is not empty`) are parsed as [`Expression::Not`].
#[derive(Debug)]
enum Test {
    Equals(String),
    Contains(String),
    IsEmpty,
    Matches(Regex),
}

/// What a field holds.
enum Value<'a> {
    /// A missing key: equal to nothing, containing nothing, and empty.
    Missing,
    /// One text; of several names of one thing, any.
    Texts(Vec<&'a str>),
    /// A list, or the keys of a map.
    List(Vec<&'a str>),
}

impl Filter {
    /// Reads a filter; an empty one takes every instance.
    ///
    /// # Errors
    /// When it is not an expression of the supported kind, or names an unknown field.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        if text.trim().is_empty() {
            return Ok(Self { root: None });
        }
        match parse::expression(text) {
            Ok(root) => Ok(Self { root: Some(root) }),
            Err((byte, message)) => {
                let before = text.get(..byte).unwrap_or(text);
                Err(InvalidFilter { at: before.chars().count() + 1, message })
            }
        }
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
            Self::Test(Field::ServicePort, test) => test.holds_number(u64::from(instance.port)),
            Self::Test(Field::WeightPassing, test) => test.holds_number(u64::from(instance.weight_passing)),
            Self::Test(Field::WeightWarning, test) => test.holds_number(u64::from(instance.weight_warning)),
            Self::Test(field, test) => test.holds(&field.of(instance)),
        }
    }
}

impl Field {
    fn of<'a>(&self, instance: &'a Instance) -> Value<'a> {
        let one = |text: &'a str| Value::Texts(vec![text]);
        match self {
            Self::ServiceId => Value::Texts(vec![&instance.id, &instance.sidecar_id]),
            Self::ServiceName => {
                Value::Texts(vec![instance.service.as_str(), instance.sidecar_service.as_str()])
            }
            Self::ServiceTags => Value::List(instance.tags.iter().map(String::as_str).collect()),
            Self::ServiceMeta(None) => Value::List(instance.meta.keys().map(String::as_str).collect()),
            Self::ServiceMeta(Some(key)) => instance.meta.get(key).map_or(Value::Missing, |text| one(text)),
            Self::ServiceAddress => one(&instance.host),
            Self::NodeName => one(&instance.node),
            Self::NodeAddress => one(&instance.host),
            Self::NodeDatacenter => one(instance.datacenter.as_str()),
            Self::NodeMeta(None) => Value::List(Vec::new()),
            Self::NodeMeta(Some(_)) => Value::Missing,
            Self::ChecksStatus => one(status(instance.status)),
            // Numbers have no text to borrow.
            Self::ServicePort | Self::WeightPassing | Self::WeightWarning => Value::Missing,
        }
    }
}

fn status(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Passing => "passing",
        HealthStatus::Warning => "warning",
        HealthStatus::Critical => "critical",
    }
}

impl Test {
    fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::IsEmpty, Value::Missing) => true,
            (_, Value::Missing) => false,
            (Self::IsEmpty, Value::Texts(texts)) => texts.iter().all(|text| text.is_empty()),
            (Self::IsEmpty, Value::List(items)) => items.is_empty(),
            (Self::Equals(wanted), Value::Texts(texts)) => texts.iter().any(|text| text == wanted),
            (Self::Contains(wanted), Value::Texts(texts)) => texts.iter().any(|text| text.contains(wanted)),
            (Self::Equals(wanted) | Self::Contains(wanted), Value::List(items)) => {
                items.iter().any(|item| item == wanted)
            }
            (Self::Matches(regex), Value::Texts(texts) | Value::List(texts)) => {
                texts.iter().any(|text| regex.is_match(text))
            }
        }
    }

    fn holds_number(&self, value: u64) -> bool {
        match self {
            Self::Equals(wanted) => wanted.parse() == Ok(value),
            Self::IsEmpty => value == 0,
            Self::Contains(_) | Self::Matches(_) => self.holds(&Value::Texts(vec![&value.to_string()])),
        }
    }
}

#[cfg(test)]
mod tests;
