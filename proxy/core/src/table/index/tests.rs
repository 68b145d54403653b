//! The index against asking every route in order, over routes and requests made to collide.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::{collection, option, sample};

use super::*;
use crate::entry::{HeaderMatch, HttpMatch, QueryParamMatch};
use crate::table::{Headers, Matcher, Next, RouteAction};

/// A request. Values are few, so that most routes match some of them and most requests several routes.
#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    /// Whether it tells the names of its headers.
    lists_names: bool,
}

impl Headers for Request {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(",").into_bytes().into())
    }

    fn each_name(&self, see: &mut dyn FnMut(&str)) -> bool {
        self.headers.iter().filter(|_| self.lists_names).for_each(|(name, _)| see(name));
        self.lists_names
    }
}

impl Request {
    fn head(&self) -> RequestHead<'_> {
        RequestHead { method: self.method, path: &self.path, query: self.query.as_deref(), headers: self }
    }
}

fn compile(criteria: &[HttpMatch]) -> Routes {
    let matchers = criteria.iter().map(|criteria| Matcher::compile(criteria).expect("usable expressions"));
    let route = |matcher| Route { matcher, action: RouteAction::default(), next: Next::Resolver(0) };
    Routes::new(matchers.chain([Matcher::any()]).map(route).collect())
}

fn check(criteria: &[HttpMatch], requests: &[Request]) {
    let routes = compile(criteria);
    for request in requests {
        let head = request.head();
        let naive = routes.all().iter().position(|route| route.matcher.matches(&head));
        assert_eq!(routes.first_match(&head), naive, "{request:?} of {criteria:#?}");
    }
}

fn path() -> impl Strategy<Value = String> {
    let piece = sample::select(vec!["/", "/a", "/ab", "b", "/A", "/orders/", "v1", "é"]);
    collection::vec(piece, 0..5).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn expression() -> impl Strategy<Value = String> {
    let piece = sample::select(vec![
        "/",
        "/a",
        "b",
        "v[0-9]+",
        ".*",
        "/orders/",
        "(a|b)",
        "(?i:/A)",
        "(/a.*|/b)",
        "[ab]",
        "(b/)+",
        "(v1)?",
        "é",
        "",
        "[^/]+",
        r"\Qv1\E",
    ]);
    collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = &'static str> {
    sample::select(vec!["", "a", "A", "ab", "/a", "v1", "é"])
}

/// Few names as a rule, and sometimes more than a request is asked for one by one.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        sample::select(vec!["x-a", "X-B", "host", ":method", ":path"]).prop_map(str::to_owned),
        (0..12).prop_map(|number| format!("x-{number}")),
    ]
}

fn header() -> impl Strategy<Value = HeaderMatch> {
    (name(), 0..6, value(), expression(), any::<bool>(), any::<bool>()).prop_map(
        |(name, how, value, expression, invert, ignore_case)| {
            let mut header = HeaderMatch { name, invert, ignore_case, ..HeaderMatch::default() };
            let value = Some(value.to_owned());
            match how {
                0 => header.present = true,
                1 => header.exact = value,
                2 => header.prefix = value,
                3 => header.suffix = value,
                4 => header.contains = value,
                _ => header.regex = Some(expression),
            }
            header
        },
    )
}

fn param() -> impl Strategy<Value = QueryParamMatch> {
    (
        prop_oneof![Just("q".to_owned()), Just("Q".to_owned()), (0..12).prop_map(|it| format!("p{it}"))],
        0..3,
        value(),
    )
        .prop_map(|(name, how, value)| QueryParamMatch {
            name,
            present: how == 0,
            exact: (how == 1).then(|| value.to_owned()),
            regex: (how == 2).then(|| format!("{value}.*")),
        })
}

fn criteria() -> impl Strategy<Value = HttpMatch> {
    let methods = sample::subsequence(vec!["GET", "PUT", "DELETE"], 0..3);
    let lists = (collection::vec(header(), 0..3), collection::vec(param(), 0..2), methods);
    (0..5, path(), expression(), any::<bool>(), lists).prop_map(
        |(how, path, expression, case_insensitive, (header, query_param, methods))| HttpMatch {
            path_exact: (how == 0).then(|| path.clone()),
            path_prefix: (how == 1).then_some(path),
            path_regex: (how == 2).then_some(expression),
            case_insensitive,
            header,
            query_param,
            methods: methods.into_iter().map(str::to_owned).collect(),
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let method = sample::select(vec!["GET", "PUT", "POST"]);
    let pair =
        (prop_oneof![Just("q".to_owned()), (0..12).prop_map(|it| format!("p{it}"))], option::of(value()));
    let pair = pair.prop_map(|(name, value)| value.map_or(name.clone(), |value| format!("{name}={value}")));
    let query = option::of(collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&")));
    (method, path(), query, collection::vec((name(), value().prop_map(str::to_owned)), 0..5), any::<bool>())
        .prop_map(|(method, path, query, headers, lists_names)| Request {
            method,
            path,
            query,
            headers,
            lists_names,
        })
}

proptest! {
    #[test]
    fn the_index_finds_what_asking_every_route_in_order_finds(
        criteria in collection::vec(criteria(), 0..60),
        requests in collection::vec(request(), 20),
    ) {
        check(&criteria, &requests);
    }
}

fn text(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

fn get(path: &str) -> Request {
    Request { method: "GET", path: path.to_owned(), query: None, headers: vec![], lists_names: true }
}

/// How many routes a request is checked against, those included that stand behind the one that matches.
fn asked(routes: &Routes, request: &Request) -> usize {
    let never =
        |_| Route { matcher: Matcher::never(), action: RouteAction::default(), next: Next::Resolver(0) };
    let unmatched: Vec<Route> = (0..routes.all().len()).map(never).collect();
    let head = request.head();
    let mut search = Search::new(&unmatched, &head);
    routes.index.as_ref().expect("more than a few routes").look_up(&mut search);
    search.asked
}

/// 900 routes, and for each of some of them a request that it alone matches.
fn check_asked(route: impl Fn(usize) -> HttpMatch, request: impl Fn(usize) -> Request) {
    let criteria: Vec<HttpMatch> = (0..900).map(route).collect();
    let routes = compile(&criteria);
    for number in [0, 7, 450, 899] {
        let (request, example) = (request(number), &criteria[number]);
        assert_eq!(routes.first_match(&request.head()), Some(number), "{example:?}");
        assert!(asked(&routes, &request) <= FEW, "{} asked beside {example:?}", asked(&routes, &request));
    }
}

#[test]
fn few_routes_are_asked_when_paths_tell_them_apart() {
    let exact = |n| HttpMatch { path_exact: text(format!("/s/{n}")), ..HttpMatch::default() };
    check_asked(exact, |n| get(&format!("/s/{n}")));
    check_asked(|n| HttpMatch { case_insensitive: true, ..exact(n) }, |n| get(&format!("/S/{n}")));
    let prefix = |n| HttpMatch { path_prefix: text(format!("/s/{n}/")), ..HttpMatch::default() };
    check_asked(prefix, |n| get(&format!("/s/{n}/x")));
    check_asked(|n| HttpMatch { case_insensitive: true, ..prefix(n) }, |n| get(&format!("/S/{n}/x")));
}

#[test]
fn few_routes_are_asked_when_a_text_of_their_expressions_tells_them_apart() {
    let regex = |pattern: String| HttpMatch { path_regex: text(pattern), ..HttpMatch::default() };
    check_asked(|n| regex(format!("/s/{n}/[0-9]+")), |n| get(&format!("/s/{n}/7")));
    check_asked(|n| regex(format!("/v[0-9]+/s-{n}/.*")), |n| get(&format!("/v1/s-{n}/7")));
    check_asked(|n| regex(format!(".*-{n}[.]json")), |n| get(&format!("/a-{n}.json")));
    check_asked(|n| regex(format!("(?i:/s/{n}|/t/{n})/.*")), |n| get(&format!("/T/{n}/x")));
}

#[test]
fn few_routes_are_asked_when_headers_tell_them_apart() {
    let header = |header| HttpMatch { header: vec![header], ..HttpMatch::default() };
    let team = || HeaderMatch { name: "X-Team".to_owned(), ..HeaderMatch::default() };
    let with = |name: &str, value: String| Request { headers: vec![(name.to_owned(), value)], ..get("/") };
    let of = |value| with("x-team", value);
    check_asked(|n| header(HeaderMatch { exact: text(format!("t{n}")), ..team() }), |n| of(format!("t{n}")));
    check_asked(
        |n| header(HeaderMatch { prefix: text(format!("{n}-")), ..team() }),
        |n| of(format!("{n}-x")),
    );
    check_asked(
        |n| header(HeaderMatch { suffix: text(format!("-{n}")), ..team() }),
        |n| of(format!("x-{n}")),
    );
    check_asked(
        |n| header(HeaderMatch { regex: text(format!(".*-{n}-.*")), ..team() }),
        |n| of(format!("x-{n}-x")),
    );
    check_asked(
        |n| header(HeaderMatch { name: "Host".to_owned(), exact: text(format!("h{n}")), ..team() }),
        |n| with("host", format!("h{n}")),
    );
    check_asked(
        |n| header(HeaderMatch { name: format!("x-{n}"), present: true, ..team() }),
        |n| with(&format!("X-{n}"), String::new()),
    );
}

#[test]
fn few_routes_are_asked_when_the_query_tells_them_apart() {
    let param = |name: String, exact: Option<String>| HttpMatch {
        path_exact: text("/search"),
        query_param: vec![QueryParamMatch { name, present: exact.is_none(), exact, regex: None }],
        ..HttpMatch::default()
    };
    let search = |query: String| Request { query: text(query), ..get("/search") };
    check_asked(|n| param("q".to_owned(), text(n.to_string())), |n| search(format!("a=b&q={n}")));
    check_asked(|n| param(format!("q{n}"), None), |n| search(format!("a=b&q{n}")));
}

#[test]
fn few_routes_are_asked_when_only_several_criteria_together_tell_them_apart() {
    let methods = ["GET", "PUT", "POST"];
    let route = |n: usize| HttpMatch {
        path_prefix: text(format!("/{}/", n / 30)),
        query_param: vec![QueryParamMatch {
            name: "q".to_owned(),
            exact: text((n / 3 % 10).to_string()),
            ..QueryParamMatch::default()
        }],
        methods: vec![methods[n % 3].to_owned()],
        ..HttpMatch::default()
    };
    check_asked(route, |n| Request {
        method: methods[n % 3],
        query: text(format!("q={}", n / 3 % 10)),
        ..get(&format!("/{}/", n / 30))
    });
}

#[test]
fn a_path_that_has_many_texts_in_it_is_matched_all_the_same() {
    let regex = |n: usize| HttpMatch { path_regex: text(format!(".*/{n}/.*x{n}")), ..HttpMatch::default() };
    let criteria: Vec<HttpMatch> = (0..100).map(regex).collect();
    let all: String = (0..100).map(|n| format!("/{n}/")).collect();
    check(&criteria, &[get(&format!("{all}x7")), get(&format!("{all}{all}x99")), get(&all), get("/7/x7")]);
}

#[test]
fn routes_that_share_all_their_criteria_make_no_deep_index() {
    let headers = |value: &str| {
        let header = |n| HeaderMatch { name: format!("x-{n}"), exact: text(value), ..HeaderMatch::default() };
        (0..1_000).map(header).collect()
    };
    let route = |n| HttpMatch { header: headers(if n < 20 { "a" } else { "b" }), ..HttpMatch::default() };
    let criteria: Vec<HttpMatch> = (0..40).map(route).collect();
    let headers = (0..1_000).map(|n| (format!("x-{n}"), "b".to_owned())).collect();
    check(&criteria, &[get("/"), Request { headers, ..get("/") }]);
}
