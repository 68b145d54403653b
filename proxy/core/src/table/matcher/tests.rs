//! What matches and what does not, by criterion.

use std::borrow::Cow;

use super::*;
use crate::table::Headers;

/// Headers by lower-case name.
struct Plain<'a>(&'a [(&'a str, &'a str)]);

impl Headers for Plain<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let values: Vec<&str> = self.0.iter().filter(|(n, _)| *n == name).map(|(_, v)| *v).collect();
        (!values.is_empty()).then(|| Cow::Owned(values.join(",").into_bytes()))
    }
}

fn matches(criteria: &HttpMatch, method: &str, target: &str, headers: &[(&str, &str)]) -> bool {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let head = RequestHead { method, path, query, headers: &Plain(headers) };
    Matcher::compile(criteria).expect("usable expressions").matches(&head)
}

fn check_paths(criteria: &HttpMatch, cases: &[(&str, bool)]) {
    for (target, expected) in cases {
        assert_eq!(matches(criteria, "GET", target, &[]), *expected, "{criteria:?} {target}");
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn no_criteria_match_everything() {
    check_paths(&HttpMatch::default(), &[("/", true), ("*", true), ("/a?b=c", true)]);
}

#[test]
fn an_exact_path_is_the_whole_path_without_the_query() {
    let exact = HttpMatch { path_exact: text("/a"), ..HttpMatch::default() };
    check_paths(&exact, &[("/a", true), ("/a?x=1", true), ("/a/", false), ("/A", false), ("/", false)]);
    let folded = HttpMatch { case_insensitive: true, ..exact };
    check_paths(&folded, &[("/A", true), ("/b", false), ("/aa", false)]);
}

#[test]
fn a_prefix_is_a_plain_string_prefix() {
    let prefix = HttpMatch { path_prefix: text("/admin"), ..HttpMatch::default() };
    check_paths(&prefix, &[("/admin", true), ("/administrator", true), ("/admi", false), ("/Admin", false)]);
    let folded = HttpMatch { case_insensitive: true, ..prefix };
    check_paths(&folded, &[("/ADMIN/x", true), ("/adm", false), ("/ädmin", false)]);
}

#[test]
fn a_regular_expression_matches_the_whole_path_in_its_own_case() {
    let regex =
        |pattern| HttpMatch { path_regex: text(pattern), case_insensitive: true, ..HttpMatch::default() };
    check_paths(
        &regex("/a|/b"),
        &[("/a", true), ("/b", true), ("/ab", false), ("/A", false), ("x/b", false)],
    );
    check_paths(&regex("/v[0-9]+/.*"), &[("/v12/x/y", true), ("/v/x", false), ("/v1", false)]);
    check_paths(&regex("(?i)/a"), &[("/A", true)]);
}

#[test]
fn an_unusable_expression_makes_no_matcher() {
    let regex = text("(");
    let param = QueryParamMatch { name: "q".to_owned(), regex: regex.clone(), ..QueryParamMatch::default() };
    for criteria in [
        HttpMatch { path_regex: regex.clone(), ..HttpMatch::default() },
        HttpMatch { header: vec![HeaderMatch { regex, ..header("x") }], ..HttpMatch::default() },
        HttpMatch { query_param: vec![param], ..HttpMatch::default() },
    ] {
        assert_eq!(Matcher::compile(&criteria).expect_err("no expression").reason, "unclosed group");
    }
}

#[test]
fn methods_match_any_of_those_listed() {
    let criteria = HttpMatch { methods: vec!["GET".to_owned(), "post".to_owned()], ..HttpMatch::default() };
    for (method, expected) in [("GET", true), ("POST", true), ("get", false), ("PUT", false)] {
        assert_eq!(matches(&criteria, method, "/", &[]), expected, "{method}");
    }
}

fn header(name: &str) -> HeaderMatch {
    HeaderMatch { name: name.to_owned(), ..HeaderMatch::default() }
}

#[test]
fn header_values_are_tested_as_asked() {
    let tests = [
        (HeaderMatch { present: true, ..header("X-A") }, [true, true, true, false]),
        (HeaderMatch { exact: text("abc"), ..header("X-A") }, [true, false, false, false]),
        (HeaderMatch { prefix: text("ab"), ..header("x-a") }, [true, true, false, false]),
        (HeaderMatch { suffix: text("bc"), ..header("x-a") }, [true, false, false, false]),
        (HeaderMatch { contains: text("B"), ignore_case: true, ..header("x-a") }, [true, true, false, false]),
        (HeaderMatch { contains: text("B"), ..header("x-a") }, [false, false, false, false]),
        (HeaderMatch { exact: text("ABC"), ignore_case: true, ..header("x-a") }, [true, false, false, false]),
        (HeaderMatch { regex: text("a.*c|x?"), ..header("x-a") }, [true, false, true, false]),
    ];
    for (test, expected) in tests {
        let values = [Some("abc"), Some("abd"), Some(""), None];
        for (value, expected) in values.into_iter().zip(expected) {
            let headers: Vec<_> = value.map(|value| ("x-a", value)).into_iter().collect();
            let criteria = HttpMatch { header: vec![test.clone()], ..HttpMatch::default() };
            assert_eq!(matches(&criteria, "GET", "/", &headers), expected, "{test:?} {value:?}");
            let inverted = HeaderMatch { invert: true, ..test.clone() };
            let criteria = HttpMatch { header: vec![inverted], ..HttpMatch::default() };
            let inverse = if value.is_none() { test.present } else { !expected };
            assert_eq!(matches(&criteria, "GET", "/", &headers), inverse, "not {test:?} {value:?}");
        }
    }
}

#[test]
fn all_headers_must_hold_and_repeated_ones_are_joined() {
    let exact = |name, value| HeaderMatch { exact: text(value), ..header(name) };
    let both = HttpMatch { header: vec![exact("a", "1"), exact("b", "2")], ..HttpMatch::default() };
    assert!(matches(&both, "GET", "/", &[("a", "1"), ("b", "2")]));
    assert!(!matches(&both, "GET", "/", &[("a", "1")]));
    let joined = HttpMatch { header: vec![exact("a", "1,2")], ..HttpMatch::default() };
    assert!(matches(&joined, "GET", "/", &[("a", "1"), ("a", "2")]));
}

#[test]
fn pseudo_headers_are_those_of_every_version_of_http() {
    let exact = |name, value| HttpMatch {
        header: vec![HeaderMatch { exact: text(value), ..header(name) }],
        ..HttpMatch::default()
    };
    assert!(matches(&exact(":authority", "web"), "GET", "/", &[("host", "web")]));
    assert!(matches(&exact("Host", "web"), "GET", "/", &[(":authority", "web")]));
    assert!(matches(&exact(":method", "PUT"), "PUT", "/", &[]));
    assert!(matches(&exact(":path", "/a?b"), "GET", "/a?b", &[]));
}

#[test]
fn query_parameters_are_compared_as_sent_and_the_first_counts() {
    let param = |exact: Option<&str>, regex: Option<&str>| HttpMatch {
        query_param: vec![QueryParamMatch {
            name: "q".to_owned(),
            present: exact.is_none() && regex.is_none(),
            exact: exact.map(str::to_owned),
            regex: regex.map(str::to_owned),
        }],
        ..HttpMatch::default()
    };
    check_paths(&param(None, None), &[("/?q", true), ("/?a&q=", true), ("/?Q=1", false), ("/", false)]);
    check_paths(&param(Some("1"), None), &[("/?q=1", true), ("/?q=1&q=2", true), ("/?q=2&q=1", false)]);
    check_paths(&param(Some("a b"), None), &[("/?q=a%20b", false), ("/?q=a+b", false)]);
    check_paths(&param(Some("a=b"), None), &[("/?q=a=b", true)]);
    check_paths(&param(None, Some("[0-9]+")), &[("/?q=12", true), ("/?q=12x", false), ("/?q=", false)]);
}

#[test]
fn a_rejection_names_the_criterion_that_failed() {
    let criteria = HttpMatch {
        path_prefix: text("/a"),
        methods: vec!["GET".to_owned()],
        header: vec![HeaderMatch { present: true, ..header("x") }],
        query_param: vec![QueryParamMatch {
            name: "q".to_owned(),
            present: true,
            ..QueryParamMatch::default()
        }],
        ..HttpMatch::default()
    };
    let matcher = Matcher::compile(&criteria).expect("no expressions");
    for (method, path, headers, expected) in [
        ("GET", "/b", &[][..], Some(Rejection::Path)),
        ("PUT", "/a", &[], Some(Rejection::Method)),
        ("GET", "/a", &[], Some(Rejection::Header(0))),
        ("GET", "/a", &[("x", "")], Some(Rejection::QueryParam(0))),
    ] {
        let head = RequestHead { method, path, query: None, headers: &Plain(headers) };
        assert_eq!(matcher.rejects(&head), expected);
    }
}
