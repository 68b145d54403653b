//! `GET /explain?service=S&path=P&method=M&header=K:V` of a sidecar's admin API: what `spillway explain` says, of the
//! tables in force and with every endpoint as healthy as this process finds it.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use hyper::{Method, StatusCode};
use spillway_core::name::ServiceName;

use super::{Asked, Asking};
use crate::admin::{PlaneAnswer, PlaneApi, PlaneRequest};
use crate::generation::Role;
use crate::worker::Shared;

/// Answers for one sidecar.
#[derive(Debug)]
pub(crate) struct ExplainApi {
    sidecar_for: String,
    config_dir: PathBuf,
    /// Where the tables in force are; set once, when the process has started.
    shared: OnceLock<Arc<Shared>>,
}

impl PlaneApi for ExplainApi {
    fn answer(&self, request: PlaneRequest) -> Pin<Box<dyn Future<Output = Option<PlaneAnswer>>>> {
        let answer = (request.path == "/explain").then(|| match self.explain(&request) {
            Ok(body) => PlaneAnswer { status: StatusCode::OK, body },
            Err((status, said)) => PlaneAnswer { status, body: format!("{said}\n") },
        });
        Box::pin(std::future::ready(answer))
    }
}

impl ExplainApi {
    /// Explains the upstreams of the sidecar that `--sidecar-for` names. `config_dir` is named in problems that no file
    /// is at fault for.
    pub(crate) fn new(sidecar_for: String, config_dir: PathBuf) -> Self {
        Self { sidecar_for, config_dir, shared: OnceLock::new() }
    }

    /// The process serves, by the tables in `shared`.
    pub(crate) fn started(&self, shared: &Arc<Shared>) {
        // Started once: a second call would name the same.
        let _ = self.shared.set(Arc::clone(shared));
    }

    fn explain(&self, request: &PlaneRequest) -> Result<String, (StatusCode, String)> {
        if request.method != Method::GET {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "explaining changes nothing: GET only".to_owned()));
        }
        let asking = self.read(&request.query).map_err(|said| (StatusCode::BAD_REQUEST, said))?;
        let started = self.shared.get().and_then(|shared| Some((shared, shared.inputs.load_full()?)));
        let Some((shared, inputs)) = started else {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "still starting".to_owned()));
        };
        let snapshot = shared.published.load();
        let upstream = |table: &spillway_core::table::ServiceTable| {
            let target = table.resolvers.first().and_then(|resolver| resolver.targets.first());
            table.service == asking.service
                && (asking.peer.is_none() || target.and_then(|it| it.id.peer()) == asking.peer.as_ref())
        };
        let mut services = snapshot.services().filter(|it| it.role == Role::Outbound);
        let service = services.find(|it| upstream(&it.table));
        let Some(service) = service else {
            return Err((StatusCode::NOT_FOUND, format!("there is no upstream {}", asking.service)));
        };
        let said = asking.explain_live(&inputs, &service.table, shared.now());
        let said = said.map_err(|problem| (StatusCode::NOT_FOUND, problem.to_string()))?;
        Ok(format!("{:#}\n", said.to_value()))
    }

    fn read(&self, query: &str) -> Result<Asking, String> {
        let (mut service, mut peer, mut source, mut identity) = (None, None, None, None);
        let (mut method, mut path, mut headers) = ("GET".to_owned(), "/".to_owned(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value).ok_or_else(|| format!("{name} is not percent-encoded UTF-8"))?;
            let wrong = |error: &dyn std::fmt::Display| format!("{name}: {error}");
            match name {
                "service" => service = Some(value.parse().map_err(|error| wrong(&error))?),
                "peer" => peer = Some(value.parse().map_err(|error| wrong(&error))?),
                "identity" => identity = Some(value.parse().map_err(|error| wrong(&error))?),
                "source" => source = Some(value.parse().map_err(|error| wrong(&error))?),
                "method" => method = value,
                "path" => path = value,
                "header" => {
                    let (name, value) = value.split_once(':').ok_or("header is NAME:VALUE")?;
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                other => {
                    return Err(format!(
                        "unknown parameter {other:?}: there are service, peer, path, method, header, source, identity"
                    ));
                }
            }
        }
        let service: ServiceName = service.ok_or("which service? /explain?service=NAME&path=/")?;
        let request = Asked::new(&method, &path, &headers, service.as_str());
        let request = request.map_err(|error| format!("the request is malformed: {error}"))?;
        Ok(Asking {
            service,
            peer,
            sidecar_for: Some(self.sidecar_for.clone()),
            datacenter: None,
            source,
            identity,
            request,
            config_dir: self.config_dir.clone(),
        })
    }
}

/// A parameter's value; None when it is not UTF-8, or its `%` is followed by no two digits.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use spillway_core::chain::Chains;
    use spillway_core::endpoint::Endpoints;
    use spillway_core::outlier::Outcome;

    use super::super::{registered, upstream_recipe};
    use super::*;
    use crate::generation::{Generation, Published, Service};
    use crate::process::Inputs;
    use crate::sidecar::resolve;
    use crate::stats::{ServiceStats, Stats};

    fn read(query: &str) -> Result<Asking, String> {
        ExplainApi::new("app".to_owned(), PathBuf::new()).read(query)
    }

    const MESH: &str = r#"
config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-resolver" Name = "web" Failover { "*" { Service = "backup" } } },
] }
services = [
  { name = "app" port = 1 connect { sidecar_service { proxy { upstreams = [{ destination_name = "web" local_bind_port = 5000 }] } } } },
  { name = "web" port = 2 connect { sidecar_service {} } },
  { name = "backup" port = 3 connect { sidecar_service {} } },
]
"#;

    /// Which of the targets of `web` serves, and how its first endpoint is.
    fn serving(api: &ExplainApi) -> Vec<(bool, String)> {
        let (path, query) = ("/explain".to_owned(), "service=web&path=/x".to_owned());
        let request = PlaneRequest { method: Method::GET, path, query, body: Default::default() };
        let said = api.explain(&request).expect("an explanation");
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["caller"], "app-sidecar-proxy");
        let targets = said["outcomes"][0]["targets"].as_array().cloned().unwrap_or_default();
        let health = |it: &serde_json::Value| it["endpoints"][0]["health"].as_str().map(str::to_owned);
        targets.iter().map(|it| (it["serves"] == true, health(it).unwrap_or_default())).collect()
    }

    #[test]
    fn what_is_said_is_what_is_in_force_now() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("mesh.hcl"), MESH).expect("a file");
        let trust_domain = "td.consul".parse().expect("a valid name");
        let inputs = Inputs::read(&[directory.path().to_owned()], &trust_domain).expect("valid entries");
        let api = ExplainApi::new("app".to_owned(), directory.path().to_owned());
        let registered = registered("app", directory.path(), &inputs).map_err(drop).expect("a sidecar");
        let upstream = &registered.sidecar.proxy.upstreams[0];
        let recipe = upstream_recipe(upstream, &registered, &inputs, &mut Chains::of(&inputs.config.entries));
        let table = recipe.expect("a chain").table(&inputs.catalog, &resolve, &mut Endpoints::default());
        let primary = Arc::clone(&table.resolvers[0].targets[0]);
        let stats = Arc::new(ServiceStats::new("web", 1));
        let service = Service {
            table,
            role: Role::Outbound,
            stats,
            intake: crate::generation::Intake::default(),
            log: None,
        };
        let shared = Arc::new(Shared::new(Published::default(), Stats::default()));
        shared.published.publish(Generation { services: vec![Some(Arc::new(service))], log: None });
        shared.inputs.store(Some(Arc::new(inputs)));
        api.started(&shared);

        let state = |serves, health: &str| (serves, health.to_owned());
        assert_eq!(serving(&api), [state(true, "available"), state(false, "available")]);
        for _ in 0..5 {
            primary.record(&primary.endpoints[0], Outcome::ConnectFailed, shared.now());
        }
        assert_eq!(serving(&api), [state(false, "ejected"), state(true, "available")]);
    }

    #[test]
    fn parameters_are_decoded() {
        let asking =
            read("service=web&path=%2Fa%3Fb%3Dc+d%2525&header=x-user:%207&method=PUT&source=10.0.0.1");
        assert!(asking.is_err_and(|said| said.contains("malformed")), "a target has no space");
        let asking = read("service=web&path=%2Fa%3Fb%3Dc&header=x-user:%207&method=PUT").expect("a question");
        let view = asking.request.view();
        let head = view.table_head();
        assert_eq!((head.method, head.path, head.query), ("PUT", "/a", Some("b=c")));
        assert_eq!(head.headers.value("x-user").as_deref(), Some(&b"7"[..]));
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        for (query, said) in [
            ("", "which service?"),
            ("service=", "service name \"\" is not valid"),
            ("service=web&pth=/", "unknown parameter \"pth\""),
            ("service=web&header=x", "header is NAME:VALUE"),
            ("service=web&path=%2", "path is not percent-encoded UTF-8"),
            ("service=web&path=%ff", "path is not percent-encoded UTF-8"),
            ("service=web&source=here", "source: "),
        ] {
            let error = read(query).expect_err("no question");
            assert!(error.contains(said), "{query}: {error}");
        }
    }
}
