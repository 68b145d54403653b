//! A chain as requests read it: names resolved, weights cumulative, nothing left to look up.
//!
//! [`ServiceTable::decide`] answers one request: the route that matches, the leg whose turn it is, the resolver
//! where both lead. [`build`] makes a table from a finished chain and the catalog. Kept out: picking an
//! endpoint ([`crate::pick`]), and everything that waits, reads or writes.

mod build;
mod detour;
pub mod filter;
mod hash;
mod index;
pub mod matcher;
mod route;
mod split;
mod sticky;
mod target;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use build::{build, peer_upstream};
pub use hash::HashPolicies;
pub use matcher::Matcher;
pub use route::{
    DEFAULT_IDLE_TIMEOUT, EditValue, HeaderEdits, LegHeaders, RetryPolicy, Rewrite, RouteAction,
};
pub use split::{Leg, Split};
pub use target::BuildSettings;
pub(crate) use target::left_out;

use crate::Draw;
use crate::entry::Protocol;
use crate::name::ServiceName;
use crate::pick::{Resolver, Target};
use index::Routes;

/// What routing needs to see of a request, whatever protocol it came in.
pub trait Headers {
    /// A header's value by lower-case name; repeated headers are joined by commas (RFC 9110 section 5.3).
    fn value(&self, name: &str) -> Option<std::borrow::Cow<'_, [u8]>>;

    /// Calls `see` with each name that has a value, in any case and as often as it stands there. False, without a call,
    /// when that is not known: names are then asked for one by one.
    fn each_name(&self, _see: &mut dyn FnMut(&str)) -> bool {
        false
    }
}

/// The head of a request as routing sees it.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// Upper-case as sent; methods are case-sensitive.
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    /// Without the `?`.
    pub query: Option<&'a str>,
    /// The rest.
    pub headers: &'a dyn Headers,
}

impl<'a> RequestHead<'a> {
    /// A query parameter as sent: the first of its name counts, and one without `=` is empty.
    pub fn query_value(&self, name: &str) -> Option<&'a str> {
        // Asked for each criterion. Most pairs are of another name, which their first bytes tell.
        let mut left = self.query.filter(|_| !name.contains('='))?;
        loop {
            let (pair, more) = match left.bytes().position(|byte| byte == b'&') {
                Some(end) => (&left[..end], Some(&left[end + 1..])),
                None => (left, None),
            };
            if let Some(rest) = pair.strip_prefix(name).filter(|_| !pair.is_empty()) {
                if rest.is_empty() {
                    return Some("");
                }
                if let Some(value) = rest.strip_prefix('=') {
                    return Some(value);
                }
            }
            left = more?;
        }
    }

    /// The query parameters in order, names and values as sent.
    fn query_pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

/// Who sent a request, as far as it matters to where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'a> {
    /// The other end of its connection; none over a Unix socket.
    pub address: Option<IpAddr>,
    /// Its SPIFFE id.
    pub identity: Option<&'a str>,
}

/// A request as a table decides on it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What it asks for.
    pub head: RequestHead<'a>,
    /// Who asks.
    pub caller: Caller<'a>,
    /// Where the first request of a splitter begins ([`Split::next`]), and the value of a cookie that has to be made.
    /// None makes no cookie.
    pub draw: Option<Draw>,
}

/// A compiled chain. One per upstream (its overrides included), and one per exported service on a gateway.
#[derive(Debug)]
pub struct ServiceTable {
    /// The service that the chain is for.
    pub service: ServiceName,
    /// What it speaks.
    pub protocol: Protocol,
    /// Every resolver of the chain, for stats, checks and the admin API.
    pub resolvers: Box<[Arc<Resolver>]>,
    /// In order; without a router none. The last one matches whatever the others leave.
    routes: Routes,
    splits: Box<[Split]>,
    /// One a resolver, and one a split: what of a request decides its endpoint.
    resolver_hashes: Box<[Option<HashPolicies>]>,
    split_hashes: Box<[Option<HashPolicies>]>,
    /// Where a request goes that no route takes elsewhere.
    start: Next,
    /// What holds for such a request.
    unrouted: RouteAction,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// What a request must look like.
    pub matcher: Matcher,
    /// What holds for it.
    pub action: RouteAction,
    next: Next,
}

/// The stage after a router: an index into the table's splits or resolvers, in range by construction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Split(usize),
    Resolver(usize),
}

/// What the table decided about one request.
#[derive(Debug)]
pub struct Decision<'a> {
    /// Index into the router's routes; None when the chain has no router. The implicit last route counts.
    pub route_index: Option<usize>,
    /// The route's own words.
    pub route: &'a RouteAction,
    /// Index into the splitter's legs; None when no splitter was passed.
    pub leg_index: Option<usize>,
    /// Whether the leg is the one that something in the request sticks to, and not the one whose turn it was.
    pub sticky: bool,
    /// The leg's changes to headers.
    pub leg_headers: Option<&'a LegHeaders>,
    /// Where it goes.
    pub resolver: &'a Arc<Resolver>,
    /// What of the request decides its endpoint. None, as a rule, is nothing.
    pub hash: Option<&'a HashPolicies>,
    /// What came of that, for [`Resolver::pick_for`].
    pub endpoint_hash: Option<u64>,
    /// `set-cookie` values for the response, of cookies that had to be made.
    pub set_cookies: Vec<String>,
    split: Option<usize>,
}

impl ServiceTable {
    /// The table of a service that has one target and no chain: the local application behind an inbound listener.
    /// Its requests may take as long as they like, see [`Self::with_request_timeout`].
    pub fn single(service: ServiceName, protocol: Protocol, target: Target) -> Self {
        let resolver = Arc::new(Resolver { targets: [Arc::new(target)].into(), request_timeout: None });
        Self {
            service,
            protocol,
            resolvers: [resolver].into(),
            routes: Routes::default(),
            splits: [].into(),
            resolver_hashes: [].into(),
            split_hashes: [].into(),
            start: Next::Resolver(0),
            unrouted: RouteAction::unrouted(None),
        }
    }

    /// The same with a limit for requests that no route speaks of; None is no limit.
    #[must_use]
    pub fn with_request_timeout(mut self, request_timeout: Option<Duration>) -> Self {
        self.unrouted.request_timeout = request_timeout;
        self
    }

    /// The same with a limit on silence within such requests; None is no limit.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle_timeout: Option<Duration>) -> Self {
        self.unrouted.idle_timeout = idle_timeout;
        self
    }

    /// Where a request goes that nobody is known to have sent: see [`Self::decide_for`].
    pub fn decide(&self, head: &RequestHead<'_>, draw: Draw) -> Decision<'_> {
        self.decide_for(&Request { head: *head, caller: Caller::default(), draw: Some(draw) })
    }

    /// Where a request goes: the first route that matches it, then the leg that it sticks to, or whose turn it is.
    pub fn decide_for(&self, request: &Request<'_>) -> Decision<'_> {
        let draw = request.draw.unwrap_or(Draw(0));
        self.decision(self.routes.first_match(&request.head), Some(request), |split| split.next(draw))
    }

    /// See [`Self::peek_for`].
    pub fn peek(&self, head: &RequestHead<'_>, point: u32) -> Decision<'_> {
        self.peek_for(&Request { head: *head, caller: Caller::default(), draw: None }, point)
    }

    /// What [`Self::decide_for`] would say if `point` of 10,000 were next in each splitter. Counts nothing: for
    /// `explain`.
    pub fn peek_for(&self, request: &Request<'_>, point: u32) -> Decision<'_> {
        self.decision(self.routes.first_match(&request.head), Some(request), |split| split.at(point))
    }

    /// Where a connection of opaque bytes goes. Such a chain has neither routes nor splits.
    pub fn decide_connection(&self, draw: Draw) -> Decision<'_> {
        self.decision(self.routes.all().len().checked_sub(1), None, |split| split.next(draw))
    }

    /// The routes in order, for `explain` and the admin API.
    pub fn routes(&self) -> &[Route] {
        self.routes.all()
    }

    /// All splitters that a request may come to.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The splitter that a route (None: the start of the chain) leads to, unless it leads straight to a resolver.
    pub fn split(&self, route_index: Option<usize>) -> Option<&Split> {
        match route_index.and_then(|index| self.routes().get(index)).map_or(self.start, |route| route.next) {
            Next::Split(index) => self.splits.get(index),
            Next::Resolver(_) => None,
        }
    }

    fn decision(
        &self,
        route_index: Option<usize>,
        request: Option<&Request<'_>>,
        turn: impl FnOnce(&Split) -> usize,
    ) -> Decision<'_> {
        let route = route_index.map(|index| &self.routes()[index]);
        let action = route.map_or(&self.unrouted, |route| &route.action);
        let mut set_cookies = Vec::new();
        let next = route.map_or(self.start, |route| route.next);
        let (split, leg, resolver, hash) = match next {
            Next::Resolver(index) => (None, None, &self.resolvers[index], self.resolver_hashes.get(index)),
            Next::Split(index) => {
                let split = &self.splits[index];
                let chosen = split.leg(request, &mut set_cookies, turn);
                let leg = &split.legs()[chosen.leg];
                (Some(index), Some((chosen, leg)), &leg.resolver, self.split_hashes.get(index))
            }
        };
        let hash = hash.and_then(Option::as_ref);
        Decision {
            route_index,
            route: action,
            leg_index: leg.map(|(chosen, _)| chosen.leg),
            sticky: leg.is_some_and(|(chosen, _)| chosen.sticky),
            leg_headers: leg.map(|(_, leg)| &leg.headers),
            resolver,
            hash,
            endpoint_hash: hash.zip(request).and_then(|(hash, request)| hash.hash(request, &mut set_cookies)),
            set_cookies,
            split,
        }
    }
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
