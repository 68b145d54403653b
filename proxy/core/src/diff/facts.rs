//! Facts by subject, and how two lots of them differ.

use std::collections::BTreeMap;

/// What changes are grouped by, in the order in which they are shown.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Subject {
    /// A service, real or virtual: its chain, targets and instances.
    Service,
    /// A sidecar, by its id.
    Sidecar,
    /// A mesh gateway, by its id.
    Gateway,
    /// The intentions of a destination.
    Intentions,
    /// What peers may use.
    Exports,
    /// What holds for the whole cluster.
    Mesh,
    /// The agent's settings.
    Agent,
}

impl Subject {
    /// As it is shown, in the singular.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Sidecar => "sidecar",
            Self::Gateway => "gateway",
            Self::Intentions => "intentions",
            Self::Exports => "exports",
            Self::Mesh => "mesh",
            Self::Agent => "agent",
        }
    }
}

/// What changes of one subject, or in the same way of several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// What they are.
    pub subject: Subject,
    /// Which ones.
    pub names: Vec<String>,
    /// What changes, at least one.
    pub changes: Vec<Change>,
}

/// One change of behaviour. Without `before` it is new, without `after` it is gone.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Change {
    /// What it is about, such as `leg v2 of web`.
    pub what: String,
    /// As it was; may be empty where being there is all there is to say.
    pub before: Option<String>,
    /// As it becomes.
    pub after: Option<String>,
}

/// What is told of each subject.
#[derive(Default)]
pub(super) struct Facts(BTreeMap<(Subject, String), Told>);

/// What is told of one subject: what, and how it is.
#[derive(Default)]
struct Told {
    how: BTreeMap<String, String>,
    /// The keys of `how` in the order in which they were told.
    order: Vec<String>,
}

impl Facts {
    /// Tells a fact. The first of several about one thing counts.
    pub(super) fn tell(
        &mut self,
        subject: Subject,
        name: &str,
        what: impl Into<String>,
        how: impl Into<String>,
    ) {
        let what = what.into();
        let told = self.0.entry((subject, name.to_owned())).or_default();
        if !told.how.contains_key(&what) {
            told.order.push(what.clone());
            told.how.insert(what, how.into());
        }
    }

    /// Tells a fact that is there only sometimes.
    pub(super) fn maybe(&mut self, subject: Subject, name: &str, what: &str, how: Option<String>) {
        if let Some(how) = how {
            self.tell(subject, name, what, how);
        }
    }

    /// What `after` tells otherwise.
    pub(super) fn compare(&self, after: &Self) -> Vec<Group> {
        let mut subjects: Vec<_> = self.0.keys().chain(after.0.keys()).collect();
        subjects.sort();
        subjects.dedup();
        let none = Told::default();
        let group = |key: &(Subject, String)| {
            let (old, new) = (self.0.get(key).unwrap_or(&none), after.0.get(key).unwrap_or(&none));
            Group { subject: key.0, names: vec![key.1.clone()], changes: differences(old, new) }
        };
        subjects.into_iter().map(group).filter(|group| !group.changes.is_empty()).collect()
    }
}

fn differences(old: &Told, new: &Told) -> Vec<Change> {
    let added = new.order.iter().filter(|what| !old.how.contains_key(*what));
    let all = old.order.iter().chain(added).map(|what| Change {
        what: what.clone(),
        before: old.how.get(what).cloned(),
        after: new.how.get(what).cloned(),
    });
    all.filter(|change| change.before != change.after).collect()
}

/// One group a subject, and one for all of a kind that change alike.
pub(super) fn merge(groups: Vec<Group>) -> Vec<Group> {
    let mut of_one: BTreeMap<(Subject, Vec<String>), Vec<Change>> = BTreeMap::new();
    for group in groups {
        of_one.entry((group.subject, group.names)).or_default().extend(group.changes);
    }
    let mut merged: Vec<Group> = Vec::new();
    let mut places: BTreeMap<(Subject, Vec<Change>), usize> = BTreeMap::new();
    for ((subject, names), changes) in of_one {
        let place = *places.entry((subject, changes.clone())).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(same) => same.names.extend(names),
            None => merged.push(Group { subject, names, changes }),
        }
    }
    merged
}
