//! What is said of criteria holds for every request, and the index finds what comparing all pairs would.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::entry::{HeaderMatch, HttpMatch, QueryParamMatch};
use crate::table::{Headers, Matcher, RequestHead};

struct OneHeader<'a>(Option<&'a str>);

impl Headers for OneHeader<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        if name == "x" { self.0.map(|value| value.as_bytes().into()) } else { None }
    }
}

fn text() -> impl Strategy<Value = String> {
    select(&["/", "/a", "/A", "/ab", "/a/", "/a/b", "/1", "/b"][..]).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = HttpMatch> {
    let patterns = select(&["/a", "/a.*", "/.*", "^/a/.*$", "/a|/b", "/ab?", "/a/[a-z]+", r"/\w*"][..]);
    prop_oneof![
        Just(HttpMatch::default()),
        (text(), any::<bool>()).prop_map(|(text, case_insensitive)| HttpMatch {
            path_exact: Some(text),
            case_insensitive,
            ..HttpMatch::default()
        }),
        (text(), any::<bool>()).prop_map(|(text, case_insensitive)| HttpMatch {
            path_prefix: Some(text),
            case_insensitive,
            ..HttpMatch::default()
        }),
        patterns.prop_map(|it| HttpMatch { path_regex: Some(it.to_owned()), ..HttpMatch::default() }),
    ]
}

fn value() -> impl Strategy<Value = Option<String>> {
    select(&["v", "V", "v1", "1", "w"][..]).prop_map(|it| Some(it.to_owned()))
}

fn header() -> impl Strategy<Value = HeaderMatch> {
    let test = prop_oneof![
        Just(HeaderMatch { present: true, ..HeaderMatch::default() }),
        value().prop_map(|exact| HeaderMatch { exact, ..HeaderMatch::default() }),
        value().prop_map(|prefix| HeaderMatch { prefix, ..HeaderMatch::default() }),
        value().prop_map(|suffix| HeaderMatch { suffix, ..HeaderMatch::default() }),
        value().prop_map(|contains| HeaderMatch { contains, ..HeaderMatch::default() }),
        select(&["v.*", "[vw]", ".*1"][..])
            .prop_map(|it| HeaderMatch { regex: Some(it.to_owned()), ..HeaderMatch::default() }),
    ];
    (test, any::<bool>(), any::<bool>()).prop_map(|(test, invert, ignore_case)| HeaderMatch {
        name: "X".to_owned(),
        // The data plane has no case-free regular expressions.
        ignore_case: ignore_case && test.regex.is_none(),
        invert,
        ..test
    })
}

fn query() -> impl Strategy<Value = QueryParamMatch> {
    let name = "q".to_owned();
    prop_oneof![
        Just(QueryParamMatch { name: name.clone(), present: true, ..QueryParamMatch::default() }),
        value().prop_map(|exact| QueryParamMatch {
            name: "q".to_owned(),
            exact,
            ..QueryParamMatch::default()
        }),
        Just(QueryParamMatch { name, regex: Some("v.*".to_owned()), ..QueryParamMatch::default() }),
    ]
}

fn rule() -> impl Strategy<Value = HttpMatch> {
    let methods = subsequence(vec!["GET".to_owned(), "POST".to_owned()], 0..=2);
    let headers = proptest::collection::vec(header(), 0..=2);
    let query = proptest::collection::vec(query(), 0..=1);
    (path(), methods, headers, query).prop_map(|(path, methods, header, query_param)| HttpMatch {
        methods,
        header,
        query_param,
        ..path
    })
}

/// Every request that tells any two rules of these apart.
fn takes(rule: &HttpMatch) -> Vec<bool> {
    let matcher = Matcher::compile(rule).expect("a valid expression");
    let mut taken = Vec::new();
    for path in ["/", "/a", "/A", "/ab", "/aB", "/a/", "/a/b", "/A/b", "/1", "/12", "/b", "/bc", "/c"] {
        for header in
            [None, Some(""), Some("v"), Some("V"), Some("v1"), Some("V1"), Some("1"), Some("w"), Some("xw")]
        {
            for query in [None, Some("q"), Some("q=v"), Some("q=v1"), Some("q=w"), Some("q=V")] {
                for method in ["GET", "POST", "PUT"] {
                    let head = RequestHead { method, path, query, headers: &OneHeader(header) };
                    taken.push(matcher.matches(&head));
                }
            }
        }
    }
    taken
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_proved_of_rules_holds_for_every_request(written in proptest::collection::vec(rule(), 1..16)) {
        let regexes = Regexes::default();
        let rules: Vec<_> = written.iter().map(|it| Criteria::new(Some(it), None)).collect();
        let taken: Vec<Vec<bool>> = written.iter().map(takes).collect();
        for (a, rule) in rules.iter().enumerate() {
            if rule.takes_all() {
                prop_assert!(taken[a].iter().all(|it| *it), "{:?}", written[a]);
            }
            if rule.contradiction(&regexes).is_some() {
                prop_assert!(!taken[a].iter().any(|it| *it), "{:?}", written[a]);
            }
            for (b, other) in rules.iter().enumerate() {
                let pairs = || taken[a].iter().zip(&taken[b]);
                if rule.covers(other, &regexes) {
                    prop_assert!(pairs().all(|(a, b)| *a || !*b), "{:?} {:?}", written[a], written[b]);
                }
                if rule.disjoint(other, &regexes) {
                    prop_assert!(!pairs().any(|(a, b)| *a && *b), "{:?} {:?}", written[a], written[b]);
                }
            }
        }
    }

    #[test]
    fn the_index_finds_what_comparing_all_pairs_finds(written in proptest::collection::vec(rule(), 1..24)) {
        let regexes = Regexes::default();
        let rules: Vec<_> = written.iter().map(|it| Criteria::new(Some(it), None)).collect();
        let mut naive: Vec<Option<usize>> = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            let covers = |j: &usize| naive[*j].is_none() && rules[*j].covers(rule, &regexes);
            naive.push((0..i).find(covers));
        }
        prop_assert_eq!(shadows(&rules, &regexes), naive);
    }
}

#[test]
fn ten_thousand_routes_are_checked_without_comparing_all_pairs() {
    let of = |i: usize| match i % 4 {
        0 => HttpMatch { path_exact: Some(format!("/exact/{i}")), ..HttpMatch::default() },
        1 => HttpMatch { path_prefix: Some(format!("/prefix/{i}/")), ..HttpMatch::default() },
        2 => HttpMatch { path_regex: Some(format!("/regex/{i}/[0-9]+")), ..HttpMatch::default() },
        _ => {
            let header =
                HeaderMatch { name: "x".to_owned(), exact: Some(i.to_string()), ..HeaderMatch::default() };
            HttpMatch { path_prefix: Some("/".to_owned()), header: vec![header], ..HttpMatch::default() }
        }
    };
    let written: Vec<HttpMatch> = (0..10_000).map(of).chain([of(4_001), of(4_003)]).collect();
    let rules: Vec<_> = written.iter().map(|it| Criteria::new(Some(it), None)).collect();
    let mut found: Vec<_> = shadows(&rules, &Regexes::default());
    assert_eq!(found.split_off(10_000), [Some(4_001), Some(4_003)]);
    assert!(found.iter().all(Option::is_none));
}
