//! From the places that set a value to the value in force, its origin and what it overrode.

use std::time::Duration;

use serde_json::Value;

use super::report::{Effective, Origin, Overridden};
use crate::chain::describe;
use crate::entry::settings::{Setting, Source};
use crate::problem::Place;

/// Where a field of an entry stands: [`crate::load::Locator::place`], or the entry's own place.
pub type Locate<'a> = dyn Fn(&Place, &str) -> Place + 'a;

/// The first of `settings` is in force, or else `default`. A place is named once.
pub(super) fn effective<'s, T>(
    settings: impl Iterator<Item = Setting<'s, T>>,
    show: impl Fn(T) -> Value,
    default: Value,
    locate: &Locate<'_>,
) -> Effective {
    let mut named: Vec<Source<'_>> = Vec::new();
    let mut said = Vec::new();
    for setting in settings {
        if !named.iter().any(|source| source.is(&setting.source)) {
            named.push(setting.source);
            let set_by = origin(&setting, locate);
            said.push(Overridden { value: show(setting.value), set_by });
        }
    }
    let mut said = said.into_iter();
    let Some(Overridden { value, set_by }) = said.next() else {
        return Effective { value: default, set_by: None, overrode: Vec::new() };
    };
    Effective { value, set_by: Some(set_by), overrode: said.collect() }
}

/// One field of a group that each place sets as a whole: a field that the first group leaves out has its default,
/// whatever the groups after it say.
pub(super) fn of_group<'s, T, U: Into<Value>>(
    groups: impl Iterator<Item = Setting<'s, T>>,
    name: &'static str,
    field: impl Fn(T) -> Option<U>,
    default: U,
    locate: &Locate<'_>,
) -> Effective {
    let default: Value = default.into();
    let fields = groups.enumerate().filter_map(|(rank, group)| {
        let field = group.map(name, &field);
        match field.value {
            None if rank == 0 => Some(Setting { implied: true, ..field }),
            None => None,
            Some(_) => Some(field),
        }
    });
    let show = |value: Option<U>| value.map_or_else(|| default.clone(), Into::into);
    effective(fields, show, default.clone(), locate)
}

/// The same, where something else decides whatever the settings say.
pub(super) fn overruled(said: Effective, value: Value, set_by: Option<Origin>) -> Effective {
    let written = said.set_by.filter(|it| !it.implied);
    let before = written.map(|set_by| Overridden { value: said.value, set_by });
    Effective { value, set_by, overrode: before.into_iter().chain(said.overrode).collect() }
}

/// Who sets a value, in words.
pub(super) fn origin<T>(setting: &Setting<'_, T>, locate: &Locate<'_>) -> Origin {
    let field = setting.source.field(setting.field);
    let entry = setting.source.place();
    // Made up by whoever asks, not read from a file.
    let unread = entry.line == 0 && entry.file.as_os_str().is_empty();
    let place = if unread { String::new() } else { locate(entry, &field).to_string() };
    Origin { entry: setting.source.to_string(), field, place, implied: setting.implied }
}

/// A time limit as Go writes it; `none` for no limit.
pub(super) fn time(limit: Option<Duration>) -> Value {
    limit.map_or_else(|| "none".into(), |limit| describe::time(limit).into())
}
