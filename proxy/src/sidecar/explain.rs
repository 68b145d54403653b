//! `explain` with the data plane's own parts: the codec that reads and rewrites heads, the sidecar's upstreams.
//!
//! The core says where a request goes and why; here is what it was asked with: a request read as if it had come in,
//! the table that the sidecar would serve it by, and the head as it would be sent. Nothing is sent.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use spillway_core::Tick;
use spillway_core::breaker::Thresholds;
use spillway_core::chain::{Chain, Chains, Context, Overrides, UpstreamSettings};
use spillway_core::endpoint::Endpoints;
use spillway_core::entry::{Kind, Upstream};
use spillway_core::explain::{Departure, Explanation, Header, Incoming, Question, Request, explain};
use spillway_core::load::Locator;
use spillway_core::name::{Datacenter, PeerName, ServiceName, SpiffeId};
use spillway_core::outlier::OutlierPolicy;
use spillway_core::pick::Target;
use spillway_core::problem::{Place, Problem};
use spillway_core::table::{self, Decision, ServiceTable};

mod api;

pub(crate) use api::ExplainApi;

use super::{Registered, datacenter, registered, resolve, source, upstream_recipe};
use crate::assembly::Recipe;
use crate::heads::as_decided;
use crate::http1::{
    HeadView, Limits, Malformed, Parse, Reason, RequestHead, RequestOut, parse_request, write_request,
};
use crate::process::Inputs;

/// A request that somebody asks about, read as if an application had sent it.
#[derive(Debug)]
pub struct Asked {
    bytes: Vec<u8>,
    head: RequestHead,
    shown: Request,
}

impl Asked {
    /// A request without a body. Headers may name `host`; otherwise it asks `default_host`.
    ///
    /// # Errors
    /// When the data plane would refuse it as malformed.
    pub fn new(
        method: &str,
        path_and_query: &str,
        headers: &[(String, String)],
        default_host: &str,
    ) -> Result<Self, Malformed> {
        let one_line = |text: &str| !text.bytes().any(|b| matches!(b, b'\r' | b'\n'));
        let one_word = |text: &str| one_line(text) && !text.contains(' ');
        if !one_word(method) || !one_word(path_and_query) {
            return Err(Reason::RequestLine.into());
        }
        if !headers.iter().all(|(name, value)| one_line(name) && one_line(value)) {
            return Err(Reason::LineEnd.into());
        }
        let mut text = format!("{method} {path_and_query} HTTP/1.1\r\n");
        let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = (!named).then(|| ("host".to_owned(), default_host.to_owned()));
        let lines: Vec<&(String, String)> = host.iter().chain(headers).collect();
        for (name, value) in &lines {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let bytes = text.into_bytes();
        let mut head = RequestHead::default();
        match parse_request(&bytes, &Limits::default(), &mut head)? {
            Parse::Complete if head.len() == bytes.len() => {}
            _ => return Err(Reason::RequestLine.into()),
        }
        let header = |(name, value): &&(String, String)| Header { name: name.clone(), value: value.clone() };
        let shown = Request {
            method: method.to_owned(),
            path: path_and_query.to_owned(),
            headers: lines.iter().map(header).collect(),
        };
        Ok(Self { bytes, head, shown })
    }

    fn view(&self) -> HeadView<'_> {
        HeadView { head: &self.head, buf: &self.bytes }
    }

    /// The head as it would be written to `target`. Over HTTP/2 the same lines leave.
    fn leaves(&self, decision: &Decision<'_>, target: &Target) -> Departure {
        let (view, mut written) = (self.view(), Vec::new());
        let out = RequestOut {
            request_id: (!self.head.has_request_id()).then_some(&b"(a new one)"[..]),
            upgrade: self.head.upgrade(),
            expect_continue: self.head.expect_continue(),
            ..as_decided(&view, target, decision)
        };
        write_request(&self.head, &self.bytes, &out, &mut written);
        let text = String::from_utf8_lossy(&written);
        let mut lines = text.trim_end().split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let request = Request {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            headers: lines.filter_map(|line| line.split_once(": ")).map(header).collect(),
        };
        let leaves = |name: &str| request.headers.iter().any(|it| it.name.eq_ignore_ascii_case(name));
        let came = self.shown.headers.iter().map(|it| it.name.clone());
        let dropped = came.filter(|name| !leaves(name)).collect();
        Departure { request, dropped }
    }
}

fn header((name, value): (&str, &str)) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}

/// What somebody asks.
#[derive(Debug)]
pub struct Asking {
    /// Which service.
    pub service: ServiceName,
    /// At this peer: an upstream with `destination_peer`.
    pub peer: Option<PeerName>,
    /// As the upstream of this instance's sidecar. None: of the only sidecar that has it, or of nobody's.
    pub sidecar_for: Option<String>,
    /// Compile the chain there.
    pub datacenter: Option<Datacenter>,
    /// Where the connection comes from.
    pub source: Option<IpAddr>,
    /// Who asks [default: the service of the sidecar whose upstream it is].
    pub identity: Option<SpiffeId>,
    /// The request; of a tcp service only the connection counts.
    pub request: Asked,
    /// Named in problems that no file is at fault for.
    pub config_dir: PathBuf,
}

/// Whose upstream is explained.
enum Caller<'a> {
    /// This sidecar's.
    Sidecar(Registered<'a>, &'a Upstream),
    /// Nobody's: no registered sidecar has it.
    Nobody,
    /// Nobody's: these sidecars have it, and may override one thing each.
    Several(Vec<&'a str>),
}

impl Asking {
    /// Explains it by `inputs`, with every endpoint as healthy as it is registered.
    ///
    /// # Errors
    /// When there is no such sidecar or upstream, or no chain.
    pub fn explain(&self, inputs: &Inputs) -> Result<Explanation, Problem> {
        let caller = self.caller(inputs)?;
        let mut endpoints = Endpoints::default();
        let recipe = self.recipe(inputs, &caller)?;
        let table = recipe.table(&inputs.catalog, &resolve, &mut endpoints);
        Ok(self.report(inputs, &caller, &table, recipe.chain(), Tick::default()))
    }

    /// Explains it by the table in force, as its endpoints are at `now`.
    pub(crate) fn explain_live(
        &self,
        inputs: &Inputs,
        table: &ServiceTable,
        now: Tick,
    ) -> Result<Explanation, Problem> {
        let caller = self.caller(inputs)?;
        let recipe = self.recipe(inputs, &caller)?;
        Ok(self.report(inputs, &caller, table, recipe.chain(), now))
    }

    fn report(
        &self,
        inputs: &Inputs,
        caller: &Caller<'_>,
        table: &ServiceTable,
        chain: Option<&Chain>,
        now: Tick,
    ) -> Explanation {
        let upstream = match caller {
            Caller::Sidecar(Registered { application, sidecar }, upstream) => {
                Some(UpstreamSettings::new(&inputs.config.entries, &application.name, sidecar, upstream))
            }
            Caller::Nobody | Caller::Several(_) => None,
        };
        let of_caller = match caller {
            Caller::Sidecar(Registered { application, .. }, _) => {
                let home = datacenter(application, inputs);
                Some(SpiffeId::service(&inputs.trust_domain, home, &application.name))
            }
            Caller::Nobody | Caller::Several(_) => None,
        };
        let identity = self.identity.clone().or(of_caller).map(|id| id.to_string());
        let view = self.request.view();
        let depart = |decision: &Decision<'_>, target: &Target| self.request.leaves(decision, target);
        let locator = Locator::new(&inputs.files);
        let own = self.datacenter.as_ref().unwrap_or(&inputs.config.agent.datacenter);
        let mut said = explain(&Question {
            chain,
            table,
            entries: &inputs.config.entries,
            catalog: &inputs.catalog,
            datacenter: chain.map_or(own, |chain| &chain.datacenter),
            peer: self.peer.as_ref(),
            upstream,
            request: table.protocol.is_http().then(|| Incoming {
                head: view.table_head(),
                shown: &self.request.shown,
                idempotent: self.request.head.is_idempotent(),
                caller: table::Caller { address: self.source, identity: identity.as_deref() },
                depart: &depart,
            }),
            now,
            locate: &|entry, field| locator.place(entry, field),
        });
        if let Caller::Several(sidecars) = caller {
            said.warnings.push(format!(
                "what the registered upstreams of {} override is left out: --sidecar-for shows it for one",
                sidecars.join(", ")
            ));
        }
        said
    }

    fn caller<'a>(&self, inputs: &'a Inputs) -> Result<Caller<'a>, Problem> {
        let asked = |upstream: &&Upstream| {
            upstream.destination_name == self.service
                && upstream.destination_peer == self.peer
                && (self.datacenter.is_none() || upstream.datacenter == self.datacenter)
        };
        if let Some(id) = &self.sidecar_for {
            let registered = self.sidecar(id, inputs)?;
            let upstreams = &registered.sidecar.proxy.upstreams;
            let found = upstreams.iter().find(asked).map(|it| Caller::Sidecar(registered, it));
            return found.ok_or_else(|| {
                let known: Vec<String> = upstreams.iter().map(|it| it.destination_name.to_string()).collect();
                let message = format!("has no upstream {}; there are {}", self.service, known.join(", "));
                Problem::error(&registered.sidecar.place, "proxy.upstreams", message)
            });
        }
        let own = &inputs.config.agent.datacenter;
        let sidecars = inputs.config.registrations.iter().filter(|it| it.kind == Kind::ConnectProxy);
        let here = sidecars.filter(|it| datacenter(it, inputs) == own);
        let with_it: Vec<_> =
            here.filter_map(|it| Some((it, it.proxy.upstreams.iter().find(asked)?))).collect();
        Ok(match with_it[..] {
            [] => Caller::Nobody,
            [(sidecar, upstream)] => Caller::Sidecar(self.sidecar(&sidecar.id, inputs)?, upstream),
            _ => Caller::Several(with_it.iter().map(|(sidecar, _)| sidecar.id.as_str()).collect()),
        })
    }

    fn sidecar<'a>(&self, id: &str, inputs: &'a Inputs) -> Result<Registered<'a>, Problem> {
        registered(id, &self.config_dir, inputs).map_err(|mut problems| {
            let nowhere = Place { file: Arc::new(self.config_dir.clone()), line: 0, column: 0 };
            problems.pop().unwrap_or_else(|| Problem::error(&nowhere, "--sidecar-for", "there is none"))
        })
    }

    /// What the table is built from: by the upstream of the caller, else as the entries say to everybody and as
    /// `spillway chain` shows it.
    fn recipe(&self, inputs: &Inputs, caller: &Caller<'_>) -> Result<Recipe, Problem> {
        let entries = &inputs.config.entries;
        let mut chains = Chains::of(entries);
        if let Caller::Sidecar(registered, upstream) = caller {
            return upstream_recipe(upstream, registered, inputs, &mut chains);
        }
        let own = &inputs.config.agent.datacenter;
        let cx = Context {
            service: self.service.clone(),
            datacenter: self.datacenter.as_ref().unwrap_or(own).clone(),
            trust_domain: inputs.trust_domain.clone(),
            overrides: Overrides::default(),
        };
        let source = source(cx, self.peer.as_ref(), inputs, &mut chains).map_err(|error| {
            let entry = error.at_fault();
            let place = entry.place(entries).cloned().unwrap_or_default();
            Problem::error(&place, entry.to_string(), error.to_string())
        })?;
        Ok(Recipe {
            source,
            datacenter: own.clone(),
            trust_domain: inputs.trust_domain.clone(),
            outlier: OutlierPolicy::default(),
            thresholds: Thresholds::default(),
            exported: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, headers: &[(&str, &str)]) -> Result<Asked, Malformed> {
        let owned: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Asked::new("GET", path, &owned, "web")
    }

    #[test]
    fn a_request_is_read_as_the_data_plane_reads_it() {
        let request = asked("/a?b=c", &[("X-User", "7")]).expect("a request");
        let view = request.view();
        let head = view.table_head();
        assert_eq!((head.method, head.path, head.query), ("GET", "/a", Some("b=c")));
        assert_eq!(head.headers.value("x-user").as_deref(), Some(&b"7"[..]));
        assert_eq!(head.headers.value("host").as_deref(), Some(&b"web"[..]));
    }

    #[test]
    fn what_the_data_plane_refuses_cannot_be_asked() {
        for (path, headers) in [
            ("/a b", &[][..]),
            ("/a\r\nx: y", &[]),
            ("a", &[]),
            ("/", &[("x", "a\r\ny: b")]),
            ("/", &[("x y", "a")]),
            ("/", &[("content-length", "1"), ("content-length", "2")]),
        ] {
            assert!(asked(path, headers).is_err(), "{path:?} {headers:?}");
        }
    }
}
