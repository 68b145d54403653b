//! Finding the first route that matches, among ten or ten thousand.
//!
//! Asking one route after the other costs 7 ns each and more: fine for a few, 70 µs for ten thousand. Beyond a few,
//! each route is therefore kept under one thing that all its requests have in common, its [`Lead`]: a path, the start or
//! the end of one, a header's value, a text that its expression must contain. A request finds the routes kept under
//! what it has, and asks those alone. Where many share what they are kept under, they are told apart by a second lead,
//! and so on. The answer is that of asking all of them in order, which tests compare it with.
//!
//! Here: looking up. [`build`] chooses the leads, [`trie`] holds the texts. Nothing here allocates or locks.

mod build;
mod trie;

use super::matcher::{Lead, Place};
use super::{RequestHead, Route};
use trie::Trie;

/// Up to so many routes, asking them in turn is the cheaper way.
const FEW: usize = 4;

/// How many texts found within one value are kept apart. With more, which takes a request made for the purpose, all
/// routes that look for one are asked in turn.
const MOST_WITHIN: usize = 16;

/// The routes of a router, in order. The last matches whatever the others leave.
#[derive(Debug, Default)]
pub(super) struct Routes {
    all: Box<[Route]>,
    index: Option<Index>,
}

impl Routes {
    pub(super) fn new(all: Vec<Route>) -> Self {
        let asked = &all[..all.len().saturating_sub(1)];
        let index = (asked.len() > FEW).then(|| Index::new(asked));
        Self { all: all.into(), index }
    }

    pub(super) fn all(&self) -> &[Route] {
        &self.all
    }

    /// The index of the first route that matches; None only when there is no route. The last one is made up to
    /// match everything, so it is not asked: that way even `OPTIONS *` has a route.
    pub(super) fn first_match(&self, head: &RequestHead<'_>) -> Option<usize> {
        let (_, others) = self.all.split_last()?;
        Some(match &self.index {
            Some(index) => {
                let mut search = Search::new(others, head);
                index.look_up(&mut search);
                search.best
            }
            None => others.iter().position(|route| route.matcher.matches(head)).unwrap_or(others.len()),
        })
    }
}

/// The search for one request.
struct Search<'a> {
    routes: &'a [Route],
    head: &'a RequestHead<'a>,
    /// The first of the routes found to match, or how many there are. Only what comes before is still worth asking.
    best: usize,
    /// How many were asked.
    #[cfg(test)]
    asked: usize,
}

impl<'a> Search<'a> {
    fn new(routes: &'a [Route], head: &'a RequestHead<'a>) -> Self {
        Self {
            routes,
            head,
            best: routes.len(),
            #[cfg(test)]
            asked: 0,
        }
    }

    /// Asks the routes of an ascending list.
    fn ask(&mut self, routes: &[usize]) {
        let best = self.best;
        for number in routes.iter().copied().take_while(|number| *number < best) {
            #[cfg(test)]
            (self.asked += 1);
            if self.routes[number].matcher.matches(self.head) {
                self.best = number;
                return;
            }
        }
    }
}

/// Routes by what they want where.
#[derive(Debug, Default)]
struct Index {
    /// Neither headers nor query parameters.
    places: Box<[(Place, Values)]>,
    headers: Named,
    params: Named,
    /// Routes without a lead that would tell them apart; ascending.
    rest: Box<[usize]>,
    /// The first of all these routes.
    least: usize,
}

/// Headers or query parameters that routes ask for.
#[derive(Debug, Default)]
struct Named {
    places: Box<[(Place, Values)]>,
    /// Which of them have this name, in any case, when there are more names than a request has headers: instead of
    /// asking it for each, those that it has are looked up.
    names: Option<Trie<Vec<usize>>>,
}

/// Routes by what they want of one value.
#[derive(Debug, Default)]
struct Values {
    starts: Trie<Start>,
    /// By texts read backwards.
    ends: Trie<Bucket>,
    within: Trie<Bucket>,
    /// All the routes in `within`; ascending.
    all_within: Box<[usize]>,
    /// The first of all these routes.
    least: usize,
}

/// Routes that want a value to start so, and those that want it to be so.
#[derive(Debug, Default)]
struct Start {
    open: Bucket,
    whole: Bucket,
}

/// Routes that want the same.
#[derive(Debug)]
enum Bucket {
    /// Ascending.
    Routes(Box<[usize]>),
    Index(Box<Index>),
}

impl Default for Bucket {
    fn default() -> Self {
        Self::Routes([].into())
    }
}

impl Index {
    fn look_up(&self, search: &mut Search<'_>) {
        if self.least >= search.best {
            return;
        }
        for (place, values) in &self.places {
            values.look_up(place, search);
        }
        self.headers.look_up_headers(search);
        self.params.look_up_params(search);
        search.ask(&self.rest);
    }
}

impl Named {
    fn look_up_headers(&self, search: &mut Search<'_>) {
        let head = search.head;
        let listed = self
            .names
            .as_ref()
            .is_some_and(|names| head.headers.each_name(&mut |name| self.look_up_name(names, name, search)));
        if !listed {
            self.look_up_all(search);
        }
    }

    fn look_up_params(&self, search: &mut Search<'_>) {
        let head = search.head;
        // Of more parameters than routes ask for, most are there to cost us time.
        match self.names.as_ref().filter(|_| head.query_pairs().count() <= self.places.len()) {
            Some(names) => head.query_pairs().for_each(|(name, _)| self.look_up_name(names, name, search)),
            None => self.look_up_all(search),
        }
    }

    fn look_up_name(&self, names: &Trie<Vec<usize>>, name: &str, search: &mut Search<'_>) {
        names.prefixes_of(name.as_bytes(), |places, whole| {
            for index in places.iter().filter(|_| whole) {
                let (place, values) = &self.places[*index];
                values.look_up(place, search);
            }
        });
    }

    fn look_up_all(&self, search: &mut Search<'_>) {
        for (place, values) in &self.places {
            values.look_up(place, search);
        }
    }
}

impl Values {
    fn look_up(&self, place: &Place, search: &mut Search<'_>) {
        if self.least >= search.best {
            return;
        }
        let Some(value) = place.value(search.head) else { return };
        self.starts.prefixes_of(&value, |start, whole| {
            start.open.look_up(search);
            if whole {
                start.whole.look_up(search);
            }
        });
        if !self.ends.is_empty() {
            self.ends.suffixes_of(&value, |bucket, _| bucket.look_up(search));
        }
        if !self.within.is_empty() {
            self.look_up_within(&value, search);
        }
    }

    fn look_up_within(&self, value: &[u8], search: &mut Search<'_>) {
        // A text that stands there twice is no reason to ask its routes twice.
        let mut seen: [Option<&Bucket>; MOST_WITHIN] = [None; MOST_WITHIN];
        let mut count = 0;
        for start in 0..=value.len() {
            self.within.prefixes_of(&value[start..], |bucket, _| {
                let is_new = !seen.iter().flatten().any(|known| std::ptr::eq(*known, bucket));
                if is_new && let Some(free) = seen.get_mut(count) {
                    *free = Some(bucket);
                    bucket.look_up(search);
                }
                count += usize::from(is_new);
            });
            if count > MOST_WITHIN {
                return search.ask(&self.all_within);
            }
        }
    }
}

impl Bucket {
    fn look_up(&self, search: &mut Search<'_>) {
        match self {
            Self::Routes(routes) => search.ask(routes),
            Self::Index(index) => index.look_up(search),
        }
    }
}

#[cfg(test)]
mod tests;
