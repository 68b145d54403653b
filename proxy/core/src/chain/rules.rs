//! What splitters say beyond Consul, brought along while they are flattened into one: what keeps a request on its leg
//! (`Sticky`) and what becomes of a leg without endpoints (`EmptyLeg`).
//!
//! Nothing is lost by flattening. Each splitter still chooses among the legs that it lists itself, with its own
//! weights: so who reaches it by way of another splitter gets the same leg as who asks for it directly, and a change
//! of its weights moves nobody outside. A splitter without `Sticky` behind one that has it goes by the same value.
//! Kept out: the hash, and who has an endpoint (`table`).

use std::collections::HashMap;
use std::ops::Range;

use super::Leg;
use crate::entry::{EmptyLeg, ServiceSplitter, Split, Sticky};
use crate::name::ServiceName;

/// What a splitter says beyond Consul, and after flattening also what those behind it say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SplitRules {
    /// `Sticky` as written.
    pub sticky: Vec<Sticky>,
    /// `EmptyLeg` as written.
    pub empty_leg: Option<EmptyLeg>,
    /// The splitters that choose by what a request carries, each before those behind it. Empty before flattening.
    pub choices: Vec<Choice>,
    /// Where a rule for empty legs is in force, each before those inside it. Empty before flattening.
    pub scopes: Vec<Scope>,
}

/// A splitter that chooses among its own legs by what a request carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Whose it is.
    pub splitter: ServiceName,
    /// Its own `Sticky`. What a request has nothing of goes by the choice before this one.
    pub by: Vec<Sticky>,
    /// As the splitter lists them.
    pub branches: Vec<Branch>,
    /// The flattened legs that it leads to, by index.
    pub legs: Range<usize>,
}

/// One leg of a splitter as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// What it is known by, whatever its place and weight: `[SUBSET.]SERVICE[@peer:PEER|@dc:DATACENTER]`, and `#2` for
    /// the second such leg of a splitter.
    pub key: String,
    /// Hundredths of a per cent of what comes to its splitter.
    pub basis_points: u32,
    /// The flattened legs that it leads to, by index.
    pub legs: Range<usize>,
    /// The choice behind it, by index, where it leads to a splitter.
    pub inside: Option<usize>,
}

/// Flattened legs for which a rule for empty ones is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// By index.
    pub legs: Range<usize>,
    /// What becomes of a request whose leg has no endpoint.
    pub rule: EmptyLeg,
}

impl SplitRules {
    /// As written, before flattening.
    pub(super) fn of(entry: &ServiceSplitter) -> Self {
        Self { sticky: entry.sticky.clone(), empty_leg: entry.empty_leg, ..Self::default() }
    }
}

/// What has been found of the rules while splitters are flattened.
#[derive(Default)]
pub(super) struct Collected {
    choices: Vec<Choice>,
    scopes: Vec<Scope>,
}

/// What a splitter that is being flattened has put into [`Collected`].
#[derive(Clone, Copy)]
pub(super) struct Opened {
    pub(super) choice: Option<usize>,
    scope: Option<usize>,
}

impl Collected {
    /// Begins with a splitter, whose legs start at `at`, behind one that has the choice `outer`.
    pub(super) fn open(
        &mut self,
        splitter: &ServiceName,
        rules: &SplitRules,
        outer: Option<usize>,
        at: usize,
    ) -> Opened {
        let choice = (outer.is_some() || !rules.sticky.is_empty()).then(|| {
            let (splitter, by) = (splitter.clone(), rules.sticky.clone());
            self.choices.push(Choice { splitter, by, branches: Vec::new(), legs: at..at });
            self.choices.len() - 1
        });
        let scope = rules.empty_leg.map(|rule| {
            self.scopes.push(Scope { legs: at..at, rule });
            self.scopes.len() - 1
        });
        Opened { choice, scope }
    }

    /// Notes a leg of a splitter that has been opened; what it leads to starts at `at`.
    pub(super) fn branch(
        &mut self,
        of: Opened,
        leg: &Leg,
        splitter: &ServiceName,
        at: usize,
        inside: Option<usize>,
    ) {
        let Some(choice) = of.choice.and_then(|choice| self.choices.get_mut(choice)) else { return };
        choice.branches.push(Branch {
            key: key(&leg.definition, splitter),
            basis_points: leg.basis_points,
            // One that leads to a splitter ends where that is closed.
            legs: at..at + 1,
            inside,
        });
    }

    /// Ends with a splitter: its legs, and so those of the branch that led to it, end at `at`.
    pub(super) fn close(&mut self, closed: Opened, outer: Option<Opened>, at: usize) {
        if let Some(scope) = closed.scope.and_then(|scope| self.scopes.get_mut(scope)) {
            scope.legs.end = at;
        }
        if let Some(choice) = closed.choice.and_then(|choice| self.choices.get_mut(choice)) {
            choice.legs.end = at;
            number(&mut choice.branches);
        }
        let outer = outer.and_then(|outer| outer.choice).and_then(|choice| self.choices.get_mut(choice));
        if let Some(branch) = outer.and_then(|choice| choice.branches.last_mut()) {
            branch.legs.end = at;
        }
    }

    pub(super) fn put_into(self, rules: &mut SplitRules) {
        (rules.choices, rules.scopes) = (self.choices, self.scopes);
    }
}

/// See [`Branch::key`]. A datacenter that is not written is not in it: two clusters with the same entry agree.
fn key(split: &Split, own: &ServiceName) -> String {
    let service = split.service.as_ref().unwrap_or(own);
    let subset = split.service_subset.as_ref().map(|subset| format!("{subset}.")).unwrap_or_default();
    match (&split.peer, &split.datacenter) {
        (Some(peer), _) => format!("{subset}{service}@peer:{peer}"),
        (None, Some(datacenter)) => format!("{subset}{service}@dc:{datacenter}"),
        (None, None) => format!("{subset}{service}"),
    }
}

/// Tells legs to one place apart, of which a splitter may have several that change headers.
fn number(branches: &mut [Branch]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for branch in branches {
        let count = seen.entry(branch.key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            branch.key = format!("{}#{count}", branch.key);
        }
    }
}
