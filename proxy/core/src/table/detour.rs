//! A leg without an endpoint: what its splitter's `EmptyLeg` puts in its place.
//!
//! Asked only when a leg has nothing to offer, so a request whose leg has an endpoint pays nothing for it. Kept out:
//! counting, which the shell does for every leg found empty, whatever the rule.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::{Decision, Request, ServiceTable, Split};
use crate::Tick;
use crate::pick::Tried;

impl ServiceTable {
    /// Where `decision`'s request goes when its resolver has no endpoint left that it has not `tried`: to another leg
    /// with one, as the splitter's rule has it. None where the request fails, which it does without a rule, and where no
    /// other leg has an endpoint either.
    pub fn instead<'a>(
        &'a self,
        decision: &Decision<'a>,
        request: &Request<'_>,
        tried: &Tried,
        now: Tick,
    ) -> Option<Decision<'a>> {
        let turn = |split: &Split, open: &dyn Fn(usize) -> bool| split.next_among(open);
        self.replaced(decision, request, tried, now, turn)
    }

    /// Every decision that [`Self::instead`] may come to when nothing has been tried: one for each leg that gets a share
    /// of what `decision` would have got. Counts nothing: for `explain`.
    pub fn peek_instead<'a>(
        &'a self,
        decision: &Decision<'a>,
        request: &Request<'_>,
        now: Tick,
    ) -> Vec<Decision<'a>> {
        let tried = Tried::default();
        let legs = decision.split.and_then(|split| self.splits.get(split)).map_or(0, |it| it.legs().len());
        let mut all = BTreeMap::new();
        for wanted in 0..legs {
            let by_turns = Cell::new(false);
            let turn = |_: &Split, open: &dyn Fn(usize) -> bool| {
                by_turns.set(true);
                // Where the wanted leg is not on offer, one that is stands in: it is found under its own number too.
                Some(wanted).filter(|leg| open(*leg)).or_else(|| (0..legs).find(|leg| open(*leg)))
            };
            let found = self.replaced(decision, request, &tried, now, turn);
            all.extend(found.and_then(|it| Some((it.leg_index?, it))));
            if !by_turns.get() {
                break;
            }
        }
        all.into_values().collect()
    }

    fn replaced<'a>(
        &'a self,
        decision: &Decision<'a>,
        request: &Request<'_>,
        tried: &Tried,
        now: Tick,
        turn: impl Fn(&Split, &dyn Fn(usize) -> bool) -> Option<usize>,
    ) -> Option<Decision<'a>> {
        let split = self.splits.get(decision.split?)?;
        // A cookie that was made stays the same one, for it has the same draw.
        let (from, mut set_cookies) = (decision.leg_index?, decision.set_cookies.clone());
        let open = |leg: usize| split.legs()[leg].resolver.has_another(tried, now);
        let chosen =
            split.instead(from, request, &mut set_cookies, open, turn).filter(|it| it.leg != from)?;
        let leg = &split.legs()[chosen.leg];
        // The endpoint's hash is the splitter's, whichever leg is taken.
        Some(Decision {
            leg_index: Some(chosen.leg),
            sticky: chosen.sticky,
            leg_headers: Some(&leg.headers),
            resolver: &leg.resolver,
            set_cookies,
            ..*decision
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::catalog::Catalog;
    use crate::entry::HealthStatus::Passing;
    use crate::outlier::Outcome;
    use crate::table::fixtures::{Fields, catalog, get, instance, name, table_of};
    use crate::table::{Caller, RequestHead};

    const NOW: Tick = Tick(1);

    /// web splits into services a, b, c and d by 10, 20, 30 and 40 %, and e by nothing.
    fn table(rules: &str, with_endpoints: &str) -> ServiceTable {
        let leg =
            |(weight, service): (u32, char)| format!("{{ Weight = {weight} Service = \"{service}\" }},");
        let legs: String = [(10, 'a'), (20, 'b'), (30, 'c'), (40, 'd'), (0, 'e')].map(leg).concat();
        let entries = format!(
            "{{ Kind = \"proxy-defaults\" Name = \"global\" Config {{ protocol = \"http\" }} }},
             {{ Kind = \"service-splitter\" Name = \"web\" {rules} Splits = [{legs}] }},"
        );
        table_of(&entries, &with(with_endpoints))
    }

    /// Instances of these services.
    fn with(services: &str) -> Catalog {
        let mut catalog = catalog(Vec::new());
        for (i, service) in services.chars().enumerate() {
            let address = format!("10.0.0.{i}:1");
            catalog
                .instances
                .insert(name(&service.to_string()), vec![instance("dc1", &address, "v1", Passing)]);
        }
        catalog
    }

    /// Where a request goes in the end: a service, or nowhere.
    fn served(table: &ServiceTable, user: Option<&str>) -> Option<String> {
        let fields: Vec<(&str, &str)> = user.map(|user| ("x-user", user)).into_iter().collect();
        let head = RequestHead { headers: &Fields(&fields), ..get("/") };
        let request = Request { head, caller: Caller::default(), draw: Some(Draw(3)) };
        let mut decision = table.decide_for(&request);
        let tried = Tried::default();
        while decision.resolver.pick(&tried, Draw(0), NOW).is_none() {
            decision = table.instead(&decision, &request, &tried, NOW)?;
        }
        Some(decision.resolver.targets[0].id.service.to_string())
    }

    /// How many of 10,000 requests each service serves; `-` stands for those that fail.
    fn shares(table: &ServiceTable) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for _ in 0..10_000 {
            *shares.entry(served(table, None).unwrap_or_else(|| "-".to_owned())).or_default() += 1;
        }
        shares
    }

    /// Shares are those expected, give or take one.
    #[track_caller]
    fn check_table(table: &ServiceTable, expected: &[(&str, usize)]) {
        let shares = shares(table);
        let near = |(service, share): &(&str, usize)| {
            shares.get(*service).is_some_and(|found| found.abs_diff(*share) <= 1)
        };
        assert!(shares.len() == expected.len() && expected.iter().all(near), "{shares:?}, not {expected:?}");
    }

    #[track_caller]
    fn check(rules: &str, with_endpoints: &str, expected: &[(&str, usize)]) {
        check_table(&table(rules, with_endpoints), expected);
    }

    #[test]
    fn without_a_rule_the_share_of_an_empty_leg_fails() {
        for rules in ["", "EmptyLeg = \"fail\""] {
            check(rules, "acde", &[("a", 1_000), ("-", 2_000), ("c", 3_000), ("d", 4_000)]);
        }
    }

    #[test]
    fn the_next_leg_with_an_endpoint_takes_over_in_order_and_around() {
        let next = "EmptyLeg = \"next\"";
        check(next, "acde", &[("a", 1_000), ("c", 5_000), ("d", 4_000)]);
        check(next, "ade", &[("a", 1_000), ("d", 9_000)]);
        check(next, "abe", &[("a", 8_000), ("b", 2_000)]);
        // A leg of weight 0 gets nobody, not even then.
        check(next, "e", &[("-", 10_000)]);
    }

    #[test]
    fn the_others_share_an_empty_legs_requests_by_their_weights() {
        let renormalise = "EmptyLeg = \"renormalise\"";
        check(renormalise, "abcd", &[("a", 1_000), ("b", 2_000), ("c", 3_000), ("d", 4_000)]);
        check(renormalise, "bcd", &[("b", 2_222), ("c", 3_334), ("d", 4_444)]);
        check(renormalise, "abe", &[("a", 3_333), ("b", 6_667)]);
        check(renormalise, "e", &[("-", 10_000)]);
    }

    #[test]
    fn users_of_an_empty_leg_spread_over_the_others_and_come_back() {
        let sticky = "Sticky { Field = \"header\" FieldValue = \"x-user\" } EmptyLeg = \"renormalise\"";
        let (whole, without) = (table(sticky, "abcd"), table(sticky, "abc"));
        let mut moved: BTreeMap<String, usize> = BTreeMap::new();
        for user in 0..6_000 {
            let user = format!("user-{user}");
            let (home, refuge) = (served(&whole, Some(&user)), served(&without, Some(&user)));
            if home.as_deref() == Some("d") {
                *moved.entry(refuge.expect("somebody serves")).or_default() += 1;
            } else {
                assert_eq!(home, refuge, "who was elsewhere stays there");
            }
        }
        // 2,400 users by 10, 20 and 30.
        let near = |service: &str, wanted: usize| moved[service].abs_diff(wanted) < wanted / 5;
        assert!(near("a", 400) && near("b", 800) && near("c", 1_200), "{moved:?}");
    }

    #[test]
    fn an_ejected_endpoint_makes_its_leg_empty_until_it_returns() {
        let table = table("EmptyLeg = \"renormalise\"", "cd");
        let on_d = |table: &ServiceTable| shares(table).get("d").copied().unwrap_or_default();
        let before = on_d(&table);
        let leg = &table.split(None).expect("a splitter").legs()[3];
        let (target, endpoint) = (&leg.resolver.targets[0], &leg.resolver.targets[0].endpoints[0]);
        for _ in 0..5 {
            target.record(endpoint, Outcome::ConnectFailed, NOW);
        }
        assert_eq!(shares(&table), [("c".to_owned(), 10_000)].into());
        assert!(before > 5_000);
        assert!(endpoint.claim_probe(Tick(1_000)));
        target.record(endpoint, Outcome::Served, Tick(1_001));
        assert_eq!(on_d(&table), before);
    }

    #[test]
    fn a_rule_inside_comes_before_the_one_around_it() {
        let entries = |outer: &str, inner: &str| {
            format!(
                "{{ Kind = \"proxy-defaults\" Name = \"global\" Config {{ protocol = \"http\" }} }},
                 {{ Kind = \"service-splitter\" Name = \"web\" {outer}
                    Splits = [{{ Weight = 50 Service = \"api\" }}, {{ Weight = 50 Service = \"c\" }}] }},
                 {{ Kind = \"service-splitter\" Name = \"api\" {inner}
                    Splits = [{{ Weight = 50 Service = \"a\" }}, {{ Weight = 50 Service = \"b\" }}] }},"
            )
        };
        let (next, fail) = ("EmptyLeg = \"next\"", "EmptyLeg = \"fail\"");
        for (outer, inner, with_endpoints, expected) in [
            ("", next, "bc", &[("b", 5_000), ("c", 5_000)][..]),
            ("", next, "c", &[("-", 5_000), ("c", 5_000)]),
            (next, next, "c", &[("c", 10_000)]),
            (next, fail, "bc", &[("-", 2_500), ("b", 2_500), ("c", 5_000)]),
            (next, "", "bc", &[("b", 5_000), ("c", 5_000)]),
        ] {
            check_table(&table_of(&entries(outer, inner), &with(with_endpoints)), expected);
        }
    }
}
