//! An explanation for people: what happens first, who says so beside it, the rest below.
//!
//! Plain ASCII, made for 100 columns; what an operator or a caller wrote is shown with its control characters escaped,
//! so nothing can draw over the page.

use std::fmt::Write;

use serde_json::Value;

use super::report::{
    Departure, Effective, EndpointOffered, Explanation, Origin, Outcome, Redirected, RouteMissed, RouteTaken,
    SplitPassed, TargetTried,
};
use crate::chain::describe::escaped;
use crate::entry::settings::snake_case;

/// Routes before the taken one that are shown; JSON has all.
const MOST_ROUTES: usize = 20;

/// How wide the first column is: of a section, and of the settings with their longer names.
const COLUMN: usize = 18;
const SETTINGS_COLUMN: usize = 27;

/// How wide a value is, before who set it.
const VALUE: usize = 14;

/// How long a line may be before it is broken, where it can be.
const WIDTH: usize = 100;

/// The explanation, ending in a newline:
///
/// ```text
/// GET /api/x to web in dc1, as app-sidecar-proxy calls it
///
/// Routes[1] of service-router web takes it: path /api*
///   written at       web.hcl:5:3
///   Routes[0] lacks  path /login (it is /api/x)
/// ```
pub fn draw(said: &Explanation) -> String {
    let mut page = Page { text: String::new(), shown: Vec::new(), column: COLUMN };
    page.title(said);
    if let Some(route) = &said.route {
        page.route(route, &said.service);
    }
    if let Some(split) = &said.split {
        let sticky = said.outcomes.first().filter(|_| split.chosen == "sticky");
        page.split(split, sticky.and_then(|outcome| outcome.leg));
    }
    for outcome in &said.outcomes {
        page.outcome(outcome, said);
    }
    page.settings(said);
    if !said.warnings.is_empty() {
        page.heading("Warnings");
        said.warnings.iter().for_each(|warning| page.paragraph(2, &escaped(warning)));
    }
    page.text
}

struct Page {
    text: String,
    /// The values that have been shown with all that was overridden, by name.
    shown: Vec<(String, Effective)>,
    /// How wide the first column is.
    column: usize,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{text}", "");
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// Words over as many lines as they need, those after the first further in.
    fn paragraph(&mut self, indent: usize, text: &str) {
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(indent, &line);
                line = "  ".to_owned();
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(indent, &line);
    }

    fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.line(0, text);
    }

    /// A line of two columns.
    fn pair(&mut self, indent: usize, name: &str, text: &str) {
        let width = (self.column + 2).saturating_sub(indent).max(name.len() + 1);
        self.line(indent, &format!("{name:width$}{text}"));
    }

    fn title(&mut self, said: &Explanation) {
        let what = match &said.request {
            Some(request) => format!("{} {}", escaped(&request.method), escaped(&request.path)),
            None => "A connection".to_owned(),
        };
        let mut title = format!("{what} to {}", said.service);
        match &said.peer {
            Some(peer) => {
                let _ = write!(title, " at peer {peer}");
            }
            None => {
                let _ = write!(title, " in {}", said.datacenter);
            }
        }
        if let Some(caller) = &said.caller {
            let _ = write!(title, ", as {caller} calls it");
        }
        self.line(0, &title);
    }

    fn route(&mut self, route: &RouteTaken, service: &str) {
        match &route.set_by {
            Some(set_by) => {
                self.heading(&format!("{} of {} takes it: {}", set_by.field, set_by.entry, route.asks));
                self.pair(2, "written at", &escaped(&set_by.place));
            }
            None => {
                let last =
                    format!("The implicit last route of service-router {service} takes it: {}", route.asks);
                self.heading(&last);
            }
        }
        for earlier in route.earlier.iter().take(MOST_ROUTES) {
            self.missed(earlier);
        }
        if let Some(more) = route.earlier.len().checked_sub(MOST_ROUTES).filter(|more| *more > 0) {
            self.line(2, &format!("and {more} more before it, which --format json lists"));
        }
    }

    fn missed(&mut self, route: &RouteMissed) {
        let lacks = route.lacks.iter().map(|lack| match &lack.actual {
            Some(actual) => format!("{} (it is {})", lack.expected, escaped(actual)),
            None => format!("{} (there is none)", lack.expected),
        });
        let lacks: Vec<String> = lacks.collect();
        self.pair(2, &format!("Routes[{}] lacks", route.index), &lacks.join(", "));
    }

    /// `taken` is the leg that a sticky request takes.
    fn split(&mut self, split: &SplitPassed, taken: Option<usize>) {
        let by = split.sticky_by.join(" or ");
        let chosen = match (split.chosen, by.is_empty()) {
            ("sticky", _) => format!("sticky by {by}"),
            (turns, true) => turns.to_owned(),
            (turns, false) => format!("{turns}: the request has no {by} to stick to"),
        };
        let empty = if split.empty_leg == "fail" { "" } else { ", empty legs " };
        let rule = if empty.is_empty() { "" } else { split.empty_leg };
        self.heading(&format!("Splitter {}, {chosen}{empty}{rule}", split.service));
        for leg in &split.legs {
            let sticks = if taken == Some(leg.index) { "  <- this request" } else { "" };
            self.pair(2, &leg.share, &format!("{}{sticks}", leg.target));
        }
    }

    fn outcome(&mut self, outcome: &Outcome, said: &Explanation) {
        let leg = outcome.leg.and_then(|leg| said.split.as_ref()?.legs.get(leg));
        let share = leg.map(|leg| format!(", {} of the requests", leg.share)).unwrap_or_default();
        self.heading(&format!("Resolver {}{share}", outcome.resolver));
        for redirect in &outcome.redirects {
            let Redirected { from, to, set_by } = redirect;
            let place = if set_by.place.is_empty() { String::new() } else { format!(" ({})", set_by.place) };
            self.pair(2, "redirect", &escaped(&format!("{from} -> {to}{place}")));
        }
        if let Some(split) = said.split.as_ref().filter(|_| !outcome.instead.is_empty()) {
            let legs = outcome.instead.iter().filter_map(|leg| Some(split.legs.get(*leg)?.target.as_str()));
            let legs: Vec<&str> = legs.collect();
            self.pair(2, "empty", &format!("its requests go to {}", legs.join(", ")));
        }
        for (rank, target) in outcome.targets.iter().enumerate() {
            self.target(rank, target, &said.datacenter);
        }
        self.effective(2, "load balancer", &outcome.load_balancer);
        if let Some(hash) = &outcome.hash {
            let goes = match (&hash.value, &hash.endpoint) {
                (None, _) => "nothing of the request: it goes anywhere".to_owned(),
                (Some(value), None) => value.clone(),
                (Some(value), Some(endpoint)) => format!("{value}, to {endpoint} while that is available"),
            };
            self.pair(2, "hash", &goes);
        }
        if let Some(leaves) = &outcome.leaves {
            self.leaves(leaves);
        }
        for (i, change) in outcome.response_headers.iter().enumerate() {
            self.pair(2, if i == 0 { "answer gets" } else { "" }, &escaped(change));
        }
    }

    fn target(&mut self, rank: usize, target: &TargetTried, datacenter: &str) {
        let rank = if rank == 0 { "target".to_owned() } else { format!("failover {rank}") };
        let via = match target.via {
            "local_gateway" => ", through the local mesh gateway",
            "remote_gateway" => ", through its mesh gateway",
            _ => "",
        };
        let serves = match (target.serves, target.endpoints.is_empty()) {
            (true, _) => "",
            (false, false) => ", in reserve",
            (false, true) => ", without an endpoint",
        };
        self.pair(2, &rank, &format!("{}{via}{serves}", target.id));
        if let Some(why) = &target.absent {
            self.pair(4, "unreachable", &escaped(why));
        }
        for endpoint in &target.endpoints {
            self.pair(4, "endpoint", &endpoint_in_words(endpoint));
        }
        for out in &target.left_out {
            let text = format!("{} {}: {}", out.address, out.instance, escaped(&out.why));
            self.pair(4, "left out", &text);
        }
        if let Some(sni) = &target.sni {
            self.pair(4, "SNI", sni);
        }
        for id in &target.spiffe_ids {
            self.pair(4, "SPIFFE ID", id);
        }
        // Says nothing about who is here; JSON has it anyway.
        if target.via != "direct" || target.datacenter.as_deref() != Some(datacenter) {
            self.effective(4, "mesh gateway", &target.mesh_gateway);
        }
        self.effective(4, "connect timeout", &target.connect_timeout);
    }

    fn leaves(&mut self, leaves: &Departure) {
        let request = &leaves.request;
        self.pair(2, "leaves as", &format!("{} {}", escaped(&request.method), escaped(&request.path)));
        for header in &request.headers {
            self.pair(2, "", &format!("{}: {}", escaped(&header.name), escaped(&header.value)));
        }
        if !leaves.dropped.is_empty() {
            self.pair(2, "without", &escaped(&leaves.dropped.join(", ")));
        }
    }

    fn settings(&mut self, said: &Explanation) {
        self.heading("Settings of the upstream");
        self.column = SETTINGS_COLUMN;
        self.effective(2, "protocol", &said.protocol);
        if let Some(outcome) = said.outcomes.first() {
            self.of_route(outcome);
        }
        for setting in &said.settings {
            let (_, name) = setting.name.split_once('.').unwrap_or(("", setting.name));
            let mut effective = setting.effective.clone();
            // That a group was written without this field matters only where it hides another's.
            effective.set_by = effective.set_by.filter(|it| !it.implied || !effective.overrode.is_empty());
            self.effective(2, &snake_case(name).replace('_', " "), &effective);
        }
        self.column = COLUMN;
    }

    /// What the route sets, for every leg alike.
    fn of_route(&mut self, outcome: &Outcome) {
        for (name, timeout) in
            [("request timeout", &outcome.request_timeout), ("idle timeout", &outcome.idle_timeout)]
        {
            if let Some(timeout) = timeout {
                self.effective(2, name, timeout);
            }
        }
        if let Some(retries) = &outcome.retries {
            let set_by = retries.set_by.as_ref().map_or_else(|| "default".to_owned(), in_words);
            self.sourced(2, "retries", &retries.number.to_string(), &set_by);
            if retries.number > 0 {
                self.pair(2, "", &format!("on {}", retries.on.join(", ")));
            }
        }
    }

    /// A value, who set it, and who said otherwise.
    fn effective(&mut self, indent: usize, name: &str, effective: &Effective) {
        let Effective { value, set_by, overrode } = effective;
        if set_by.is_some() && self.shown.iter().any(|(before, it)| before == name && it == effective) {
            return self.sourced(indent, name, &plain(value), "as above");
        }
        self.shown.push((name.to_owned(), effective.clone()));
        let set_by = set_by.as_ref().map_or_else(|| "default".to_owned(), in_words);
        self.sourced(indent, name, &plain(value), &set_by);
        for overridden in overrode {
            let value = format!("not {}", plain(&overridden.value));
            self.sourced(indent, "", &value, &in_words(&overridden.set_by));
        }
    }

    /// A value and who set it: the place goes below where the line would be too long.
    fn sourced(&mut self, indent: usize, name: &str, value: &str, set_by: &str) {
        let room = WIDTH.saturating_sub(self.column + 2 + VALUE);
        let long = |text: &str| text.chars().count() > room;
        let (said, place) = match set_by.rsplit_once(" (") {
            Some((said, place)) if long(set_by) => (said, Some(format!("({place}"))),
            _ => (set_by, None),
        };
        let (said, field) = match said.split_once(": ") {
            Some((entry, field)) if long(said) => (format!("{entry}:"), Some(format!("  {field}"))),
            _ => (said.to_owned(), None),
        };
        self.pair(indent, name, &format!("{value:VALUE$}{said}"));
        for line in [field, place].into_iter().flatten() {
            self.pair(indent, "", &format!("{:VALUE$}{line}", ""));
        }
    }
}

fn endpoint_in_words(endpoint: &EndpointOffered) -> String {
    let mut text = endpoint.address.clone();
    if let Some(instance) = &endpoint.instance {
        let _ = write!(text, " {instance}");
    }
    let status = endpoint.status.filter(|status| *status != "passing");
    let health = Some(endpoint.health).filter(|health| *health != "available");
    let weight = (endpoint.weight != 1).then(|| format!("weight {}", endpoint.weight));
    for note in [status.map(str::to_owned), health.map(str::to_owned), weight].into_iter().flatten() {
        let _ = write!(text, ", {note}");
    }
    text
}

/// `service-resolver web: ConnectTimeout (web.hcl:3:20)`
fn in_words(origin: &Origin) -> String {
    let field = if origin.implied { format!("no {}", origin.field) } else { origin.field.clone() };
    let place = if origin.place.is_empty() { String::new() } else { format!(" ({})", origin.place) };
    escaped(&format!("{}: {field}{place}", origin.entry))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        other => other.to_string(),
    }
}
