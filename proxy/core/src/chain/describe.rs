//! Words for the parts of a chain that people read: what a route asks for, a share, a target's particulars.
//!
//! What an operator wrote is quoted with its control characters escaped, so a drawing cannot be made to lie.

use std::time::Duration;

use super::{ChainTarget, SplitRules};
use crate::duration;
use crate::entry::{
    Destination, HeaderMatch, HeaderModifiers, HttpMatch, MeshGatewayMode, QueryParamMatch, Route, Sticky,
};

/// What a request must have for a route to take it: `path /admin*, method GET`.
pub(crate) fn criteria(route: &Route) -> String {
    let Some(http) = route.matches.as_ref().and_then(|it| it.http.as_ref()) else {
        return "any request".to_owned();
    };
    let mut all = Vec::new();
    all.extend(path(http));
    all.extend(methods(http));
    all.extend(http.header.iter().map(header));
    all.extend(http.query_param.iter().map(query_param));
    if all.is_empty() { "any request".to_owned() } else { all.join(", ") }
}

/// The path that a route asks for; None when any will do.
pub(crate) fn path(http: &HttpMatch) -> Option<String> {
    let any_case = if http.case_insensitive { " in any case" } else { "" };
    match (&http.path_exact, &http.path_prefix, &http.path_regex) {
        (Some(exact), _, _) => Some(format!("path {}{any_case}", escaped(exact))),
        (_, Some(prefix), _) => Some(format!("path {}*{any_case}", escaped(prefix))),
        (_, _, Some(regex)) => Some(format!("path ~ {}", escaped(regex))),
        _ => None,
    }
}

/// The methods that a route asks for; None when any will do.
pub(crate) fn methods(http: &HttpMatch) -> Option<String> {
    (!http.methods.is_empty()).then(|| format!("method {}", escaped(&http.methods.join("|"))))
}

/// A header that a route asks for: `not header x-debug = 1`.
pub(crate) fn header(it: &HeaderMatch) -> String {
    let test = test(it.exact.as_ref(), it.prefix.as_ref(), it.suffix.as_ref(), it.regex.as_ref());
    let not = if it.invert { "not " } else { "" };
    format!("{not}header {}{test}", escaped(&it.name))
}

/// A query parameter that a route asks for: `query version ~ v[0-9]`.
pub(crate) fn query_param(it: &QueryParamMatch) -> String {
    format!("query {}{}", escaped(&it.name), test(it.exact.as_ref(), None, None, it.regex.as_ref()))
}

fn test(
    exact: Option<&String>,
    prefix: Option<&String>,
    suffix: Option<&String>,
    regex: Option<&String>,
) -> String {
    match (exact, prefix, suffix, regex) {
        (Some(it), ..) => format!(" = {}", escaped(it)),
        (_, Some(it), ..) => format!(" = {}*", escaped(it)),
        (_, _, Some(it), _) => format!(" = *{}", escaped(it)),
        (.., Some(it)) => format!(" ~ {}", escaped(it)),
        _ => String::new(),
    }
}

/// What becomes of a request that a route takes, beyond where it goes: `rewritten to /, within 1s, 2 retries`.
pub(crate) fn treatment(route: &Route) -> String {
    let Some(it) = &route.destination else { return String::new() };
    let mut all = Vec::new();
    all.extend(it.prefix_rewrite.as_ref().map(|to| format!("rewritten to {}", escaped(to))));
    all.extend(it.request_timeout.map(|limit| match limit.nanos {
        ..0 => "without a time limit".to_owned(),
        nanos => format!("within {}", duration::format(nanos)),
    }));
    all.extend(it.idle_timeout.map(|limit| match limit.nanos {
        ..0 => "idle for ever".to_owned(),
        nanos => format!("idle for {}", duration::format(nanos)),
    }));
    all.extend(retries(it));
    all.extend(header_changes(it.request_headers.as_ref(), it.response_headers.as_ref()));
    all.join(", ")
}

/// `2 retries on 5xx, 503`. A condition without a number means one retry.
fn retries(it: &Destination) -> Option<String> {
    let mut conditions: Vec<String> = it.retry_on.iter().map(|it| escaped(it)).collect();
    if it.retry_on_connect_failure {
        conditions.push("connect-failure".to_owned());
    }
    conditions.extend(it.retry_on_status_codes.iter().map(u16::to_string));
    let text = match it.num_retries.filter(|n| *n > 0) {
        None if conditions.is_empty() => return None,
        None | Some(1) => "1 retry".to_owned(),
        Some(n) => format!("{n} retries"),
    };
    Some(if conditions.is_empty() { text } else { format!("{text} on {}", conditions.join(" ")) })
}

/// Whose headers change: `request headers changed`.
pub(super) fn header_changes(
    request: Option<&HeaderModifiers>,
    response: Option<&HeaderModifiers>,
) -> Option<String> {
    let whose = match (request, response) {
        (None, None) => return None,
        (Some(_), None) => "request",
        (None, Some(_)) => "response",
        (Some(_), Some(_)) => "request and response",
    };
    Some(format!("{whose} headers changed"))
}

/// What a splitter says beyond Consul: `sticky by cookie sid or source_ip`, `empty legs next`.
pub(super) fn rules(rules: &SplitRules) -> Vec<String> {
    let sticky = (!rules.sticky.is_empty()).then(|| format!("sticky by {}", sticky(&rules.sticky)));
    let empty = rules.empty_leg.map(|rule| format!("empty legs {}", rule.as_str()));
    sticky.into_iter().chain(empty).collect()
}

/// What keeps a request on its leg: `cookie sid or source_ip`.
pub(crate) fn sticky(by: &[Sticky]) -> String {
    let one = |sticky: &Sticky| match sticky.field_value.as_str() {
        "" => sticky.field.as_str().to_owned(),
        name => format!("{} {}", sticky.field.as_str(), escaped(name)),
    };
    by.iter().map(one).collect::<Vec<_>>().join(" or ")
}

/// `33.33%`, `50%`
pub(crate) fn per_cent(basis_points: u32) -> String {
    match (basis_points / 100, basis_points % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, rest) if rest % 10 == 0 => format!("{whole}.{}%", rest / 10),
        (whole, rest) => format!("{whole}.{rest:02}%"),
    }
}

/// `connect 5s`, `gateway remote`, `filter Service.Meta.version == v1`
pub(crate) fn particulars(target: &ChainTarget) -> Vec<String> {
    let mut all = vec![format!("connect {}", time(target.connect_timeout))];
    if target.external {
        all.push(target.sni.as_ref().map_or("external".to_owned(), |sni| format!("external as {sni}")));
    }
    if target.mesh_gateway != MeshGatewayMode::Default {
        all.push(format!("gateway {}", target.mesh_gateway.as_str()));
    }
    if target.dialed_directly {
        all.push("dialed directly".to_owned());
    }
    if target.subset.only_passing {
        all.push("only passing".to_owned());
    }
    if !target.subset.filter.is_empty() {
        all.push(format!("filter {}", escaped(&target.subset.filter)));
    }
    all
}

/// As Go prints a duration.
pub(crate) fn time(duration: Duration) -> String {
    duration::format(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// What an operator wrote, with what would not show as itself escaped; quotes and backslashes stay.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '"' | '\'' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}
