//! Choosing for each route what an index keeps it under.
//!
//! The rarer a lead, the fewer routes are asked that do not match: a path that all routes share says nothing, the value
//! of a header that only one of them asks for says everything. Leads are counted, and each route takes the first that
//! few share, or else its rarest.

use std::collections::{BTreeMap, HashMap};

use super::trie::Trie;
use super::{Bucket, FEW, Index, Lead, Named, Place, Route, Start, Values};
use crate::pattern::At;

/// How many leads deep routes are told apart. More are asked in turn, so that no router, however odd, makes an index
/// that is deep.
const DEEPEST: usize = 4;

/// From so many names on, those that a request has are looked up instead of asking it for each.
const MANY_NAMES: usize = 8;

/// A route on its way into the index: what it may still be kept under.
#[derive(Clone)]
struct Candidate {
    route: usize,
    leads: Vec<Lead>,
}

/// The candidates of one place by what they want there.
type Wanted = BTreeMap<(At, Box<[u8]>), Vec<Candidate>>;

impl Index {
    pub(super) fn new(routes: &[Route]) -> Self {
        let asked = routes.iter().enumerate().filter(|(_, route)| !route.matcher.is_never());
        Self::of(
            asked.map(|(number, it)| Candidate { route: number, leads: it.matcher.leads() }).collect(),
            0,
        )
    }

    fn of(candidates: Vec<Candidate>, depth: usize) -> Self {
        let least = candidates.first().map_or(usize::MAX, |first| first.route);
        let choices = choose(&candidates, depth);
        let mut rest = Vec::new();
        let mut places: BTreeMap<Place, Wanted> = BTreeMap::new();
        for (candidate, choice) in candidates.into_iter().zip(choices) {
            let Some(choice) = choice else {
                rest.push(candidate.route);
                continue;
            };
            let (lead, remaining) = candidate.split(choice);
            let wanted = places.entry(lead.place).or_default();
            for text in lead.clue.texts {
                wanted.entry((lead.clue.at, text)).or_default().push(remaining.clone());
            }
        }
        let mut index = Self { rest: rest.into(), least, ..Self::default() };
        let (mut headers, mut params, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (place, wanted) in places {
            let list = match place {
                Place::Header(_) => &mut headers,
                Place::Query(_) => &mut params,
                Place::Path | Place::Method | Place::Authority | Place::PathAndQuery => &mut others,
            };
            list.push((place, Values::new(wanted, depth)));
        }
        (index.headers, index.params, index.places) =
            (Named::new(headers), Named::new(params), others.into());
        index
    }
}

impl Candidate {
    /// The lead to keep it under, and the candidate with those that are left.
    ///
    /// A route with several texts stands under each of them. With two such leads it would stand under each pair, and so
    /// on; so only one of them is ever used.
    fn split(mut self, choice: usize) -> (Lead, Self) {
        let lead = self.leads.remove(choice);
        if lead.clue.texts.len() > 1 {
            self.leads.retain(|other| other.clue.texts.len() == 1);
        }
        (lead, self)
    }
}

/// The lead of each candidate; None when all of them are as common as the candidates are.
fn choose(candidates: &[Candidate], depth: usize) -> Vec<Option<usize>> {
    let mut counts: HashMap<(&Place, At, &[u8]), usize> = HashMap::new();
    for lead in candidates.iter().flat_map(|candidate| &candidate.leads) {
        for text in &lead.clue.texts {
            *counts.entry((&lead.place, lead.clue.at, text)).or_default() += 1;
        }
    }
    let commonness = |lead: &Lead| {
        let texts = lead.clue.texts.iter();
        let counted = texts.filter_map(|text| counts.get(&(&lead.place, lead.clue.at, &**text)));
        counted.max().copied().unwrap_or_default()
    };
    // At first a lead that all share is better than none: it keeps all other requests away.
    let most = if depth == 0 { candidates.len() } else { candidates.len() - 1 };
    let choice = |candidate: &Candidate| {
        let leads = candidate.leads.iter().map(commonness).enumerate().filter(|(_, count)| *count <= most);
        leads.min_by_key(|(_, count)| (*count).max(FEW)).map(|(index, _)| index)
    };
    candidates.iter().map(choice).collect()
}

impl Named {
    fn new(places: Vec<(Place, Values)>) -> Self {
        let mut names: BTreeMap<Box<[u8]>, Vec<usize>> = BTreeMap::new();
        for (index, (place, _)) in places.iter().enumerate() {
            if let Place::Header(name) | Place::Query(name) = place {
                names.entry(name.to_ascii_lowercase().into_bytes().into()).or_default().push(index);
            }
        }
        let names = (names.len() > MANY_NAMES).then(|| Trie::new(names));
        Self { places: places.into(), names }
    }
}

impl Values {
    fn new(wanted: Wanted, depth: usize) -> Self {
        let least = wanted.values().flatten().map(|candidate| candidate.route).min().unwrap_or(usize::MAX);
        let mut starts: BTreeMap<Box<[u8]>, Start> = BTreeMap::new();
        let (mut ends, mut within) = (BTreeMap::new(), BTreeMap::new());
        let mut all_within = Vec::new();
        for ((at, mut text), candidates) in wanted {
            if at == At::Within {
                all_within.extend(candidates.iter().map(|candidate| candidate.route));
            }
            let bucket = Bucket::new(candidates, depth);
            match at {
                At::Whole => starts.entry(text).or_default().whole = bucket,
                At::Start => starts.entry(text).or_default().open = bucket,
                At::Within => drop(within.insert(text, bucket)),
                At::End => {
                    text.reverse();
                    ends.insert(text, bucket);
                }
            }
        }
        all_within.sort_unstable();
        all_within.dedup();
        let (starts, ends, within) = (Trie::new(starts), Trie::new(ends), Trie::new(within));
        Self { starts, ends, within, all_within: all_within.into(), least }
    }
}

impl Bucket {
    fn new(candidates: Vec<Candidate>, depth: usize) -> Self {
        if candidates.len() > FEW && depth < DEEPEST {
            let routes: Box<[usize]> = candidates.iter().map(|candidate| candidate.route).collect();
            let index = Index::of(candidates, depth + 1);
            if index.rest.len() == routes.len() { Self::Routes(routes) } else { Self::Index(Box::new(index)) }
        } else {
            Self::Routes(candidates.iter().map(|candidate| candidate.route).collect())
        }
    }
}
