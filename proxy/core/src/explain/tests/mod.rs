//! Explanations of configurations as an operator writes them, files and all.

mod agreement;
mod decisions;
mod origins;
mod shape;

use std::borrow::Cow;

use super::{Departure, Explanation, Header, Incoming, Locate, Question, Request, explain};
use crate::Tick;
use crate::catalog::Catalog;
use crate::chain::{Chain, Context, Overrides, UpstreamSettings, compile};
use crate::endpoint::Endpoints;
use crate::entry::Kind;
use crate::load::{Config, File, Locator, load};
use crate::name::{ServiceName, TrustDomain};
use crate::pick::Target;
use crate::table::{BuildSettings, Caller, Decision, Headers, RequestHead, ServiceTable, build};

/// A configuration, read.
struct World {
    files: Vec<File>,
    config: Config,
    catalog: Catalog,
}

/// A request as a test writes it.
#[derive(Clone, Debug, Default)]
struct Get {
    method: &'static str,
    path: String,
    query: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Headers for Get {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let found = self.headers.iter().find(|(header, _)| *header == name);
        found.map(|(_, value)| Cow::Borrowed(value.as_bytes()))
    }
}

impl Get {
    fn head(&self) -> RequestHead<'_> {
        RequestHead { method: self.method, path: &self.path, query: self.query.as_deref(), headers: self }
    }

    fn shown(&self) -> Request {
        let header = |(name, value): &(&str, String)| Header { name: (*name).into(), value: value.clone() };
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        Request {
            method: self.method.to_owned(),
            path: format!("{}{query}", self.path),
            headers: self.headers.iter().map(header).collect(),
        }
    }
}

fn get(path: &str) -> Get {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    Get { method: "GET", path: path.to_owned(), query: query.map(str::to_owned), headers: Vec::new() }
}

/// Reads one file of each name.
fn world(files: &[(&str, &str)]) -> World {
    let file = |(path, text): &(&str, &str)| File { path: path.into(), bytes: (*text).into() };
    let files: Vec<File> = files.iter().map(file).collect();
    let (config, problems) = load(&files);
    assert_eq!(problems, [], "tests write valid entries");
    let (catalog, problems) = Catalog::from_registrations(&config.registrations, &config.agent, &[]);
    assert_eq!(problems, [], "tests write valid registrations");
    World { files, config, catalog }
}

impl World {
    /// The upstream `service` of the only sidecar that has it.
    fn upstream(&self, service: &ServiceName) -> Option<UpstreamSettings<'_>> {
        let sidecars = self.config.registrations.iter().filter(|it| it.kind == Kind::ConnectProxy);
        let mut with_it = sidecars.filter_map(|sidecar| {
            let upstream = sidecar.proxy.upstreams.iter().find(|it| it.destination_name == *service)?;
            let caller = sidecar.proxy.destination_service_name.as_ref()?;
            Some(UpstreamSettings::new(&self.config.entries, caller, sidecar, upstream))
        });
        with_it.next()
    }

    fn table(&self, service: &str) -> (Chain, ServiceTable) {
        let service: ServiceName = service.parse().expect("a valid name");
        let trust_domain: TrustDomain = "td.consul".parse().expect("a valid name");
        let upstream = self.upstream(&service);
        let cx = Context {
            service,
            datacenter: self.config.agent.datacenter.clone(),
            trust_domain: trust_domain.clone(),
            overrides: upstream.map_or_else(Overrides::default, |it| it.overrides()),
        };
        let chain = compile(&self.config.entries, &cx).expect("tests write entries that fit together");
        let settings = BuildSettings {
            outlier: upstream.map(|it| it.outlier()).unwrap_or_default(),
            ..BuildSettings::new(&self.config.agent.datacenter, &trust_domain, &|_| Vec::new())
        };
        let table = build(&chain, &self.catalog, &settings, &mut Endpoints::default());
        (chain, table)
    }

    fn explain(&self, service: &str, request: &Get) -> Explanation {
        let (chain, table) = self.table(service);
        self.explain_table(&chain, &table, request)
    }

    fn explain_table(&self, chain: &Chain, table: &ServiceTable, request: &Get) -> Explanation {
        let locator = Locator::new(&self.files);
        self.explain_with(chain, table, request, &|entry, field| locator.place(entry, field))
    }

    /// Without looking for fields in files: for many requests.
    fn explain_at_entries(&self, chain: &Chain, table: &ServiceTable, request: &Get) -> Explanation {
        self.explain_with(chain, table, request, &|entry, _| entry.clone())
    }

    fn explain_with(
        &self,
        chain: &Chain,
        table: &ServiceTable,
        request: &Get,
        locate: &Locate<'_>,
    ) -> Explanation {
        let shown = request.shown();
        let depart = |_: &Decision<'_>, _: &Target| Departure { request: shown.clone(), dropped: Vec::new() };
        explain(&Question {
            chain: Some(chain),
            table,
            entries: &self.config.entries,
            catalog: &self.catalog,
            datacenter: &chain.datacenter,
            peer: None,
            upstream: self.upstream(&table.service),
            request: table.protocol.is_http().then(|| Incoming {
                head: request.head(),
                shown: &shown,
                idempotent: request.method == "GET",
                caller: Caller::default(),
                depart: &depart,
            }),
            now: Tick(0),
            locate,
        })
    }
}
