//! The admin API: Envoy's paths and shapes, on the control thread, so that a slow scrape never delays a request.

mod chain;
mod clusters;
mod plane;
mod stats;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
pub use plane::{PlaneAnswer, PlaneApi, PlaneRequest};
use serde_json::json;
use spillway_core::endpoint::Address;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::listener::BindError;
use crate::stats::Reloads;
use crate::worker::{Shared, Workers};

/// What the admin API shows and can do.
#[derive(Clone, Debug)]
pub struct Admin(Arc<State>);

#[derive(Debug)]
struct State {
    shared: Arc<Shared>,
    workers: Workers,
    reloads: Arc<Reloads>,
    identity: String,
    listeners: Vec<(String, Address)>,
    quit: Arc<Notify>,
    plane: Option<Arc<dyn PlaneApi>>,
}

impl Admin {
    /// Shows this process.
    pub fn new(
        shared: Arc<Shared>,
        workers: Workers,
        reloads: Arc<Reloads>,
        identity: String,
        listeners: Vec<(String, Address)>,
        plane: Option<Arc<dyn PlaneApi>>,
    ) -> Self {
        let quit = Arc::default();
        Self(Arc::new(State { shared, workers, reloads, identity, listeners, quit, plane }))
    }

    /// Told when somebody asks the process to end.
    pub fn quit(&self) -> Arc<Notify> {
        Arc::clone(&self.0.quit)
    }
}

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves the admin API on `addr`.
///
/// # Errors
/// When the address cannot be bound.
pub async fn listen(addr: SocketAddr, admin: Admin) -> Result<Server, BindError> {
    let failed = |source| BindError { address: Address::Ip(addr), source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "admin API");
    Ok(Server(tokio::task::spawn_local(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let admin = admin.clone();
            let service = service_fn(move |request| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(admin.respond(request).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).half_close(true);
            drop(tokio::task::spawn_local(async move {
                // A client of the admin API that breaks off concerns nobody else.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }));
        }
    })))
}

const INDEX: &str = "\
Spillway admin API
  GET  /ready                 LIVE, or 503 while starting or draining
  GET  /server_info           version, state, uptime
  GET  /clusters              targets and their endpoints (?format=json)
  GET  /listeners             what is listened on (?format=json)
  GET  /stats                 counters (?format=json, ?filter=TEXT)
  GET  /stats/prometheus      the same for Prometheus (also /metrics)
  POST /healthcheck/fail      be not ready, and close connections when they can be
  POST /healthcheck/ok        be ready again
  POST /quitquitquit          drain and end
As Consul has them:
  GET, POST /v1/discovery-chain/SERVICE (?compile-dc=DC)
Sidecars only:
  GET  /explain?service=S     where a request would go now, and why (&path=P&method=M&header=K:V)
Gateways only:
  POST /v1/peering/token, /v1/peering/establish
  GET, DELETE /v1/peering/NAME
  GET  /v1/peerings, /v1/exported-services, /v1/imported-services
";

impl Admin {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_local(&request) || !plane::may_answer(request.uri().path()) {
            return self.answer(&request);
        }
        let request = match plane::read(request).await {
            Ok(request) => request,
            Err(refusal) => return refusal,
        };
        let answer = match &self.0.plane {
            _ if request.path.starts_with(chain::PREFIX) => {
                let inputs = self.0.shared.inputs.load_full();
                inputs.map(|inputs| chain::answer(&inputs, &request))
            }
            Some(plane) => plane.answer(request).await,
            None => None,
        };
        answer.map_or_else(unknown, PlaneAnswer::into_response)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_local(request) {
            return text(StatusCode::FORBIDDEN, "this host or origin may not use the admin API\n");
        }
        let state = &*self.0;
        let query = request.uri().query().unwrap_or_default();
        let wants_json = query.split('&').any(|pair| pair == "format=json");
        let filter = query.split('&').find_map(|pair| pair.strip_prefix("filter="));
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        match (method, request.uri().path()) {
            (&Method::GET, "/") => text(StatusCode::OK, INDEX),
            (&Method::GET, "/ready") => match state.state() {
                "LIVE" => text(StatusCode::OK, "LIVE\n"),
                other => text(StatusCode::SERVICE_UNAVAILABLE, format!("{other}\n")),
            },
            (&Method::GET, "/server_info") => json_text(&state.server_info()),
            (&Method::GET, "/clusters") if wants_json => json_text(&clusters::json(&state.shared)),
            (&Method::GET, "/clusters") => text(StatusCode::OK, clusters::text(&state.shared)),
            (&Method::GET, "/listeners") if wants_json => json_text(&state.listeners_json()),
            (&Method::GET, "/listeners") => text(StatusCode::OK, state.listeners_text()),
            (&Method::GET, "/stats") if wants_json => json_text(&stats::json(&state.stats(filter))),
            (&Method::GET, "/stats") if query.contains("format=prometheus") => {
                prometheus(&state.stats(filter))
            }
            (&Method::GET, "/stats") => text(StatusCode::OK, stats::text(&state.stats(filter))),
            (&Method::GET, "/stats/prometheus" | "/metrics") => prometheus(&state.stats(filter)),
            (&Method::POST, "/healthcheck/fail") => state.fail_health_checks(true),
            (&Method::POST, "/healthcheck/ok") => state.fail_health_checks(false),
            (&Method::POST, "/quitquitquit") => {
                state.quit.notify_one();
                text(StatusCode::OK, "OK\n")
            }
            (_, "/healthcheck/fail" | "/healthcheck/ok" | "/quitquitquit") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "this changes the process: POST only\n")
            }
            _ => unknown(),
        }
    }
}

impl State {
    fn state(&self) -> &'static str {
        let failing = self.shared.failing_health_checks.load(Ordering::Relaxed);
        if failing || self.shared.draining.load(Ordering::Relaxed) { "DRAINING" } else { "LIVE" }
    }

    fn stats(&self, filter: Option<&str>) -> Vec<stats::Stat> {
        let mut all = stats::collect(&self.shared, &self.reloads, self.workers.connections());
        all.retain(|stat| filter.is_none_or(|filter| stat.name.contains(filter)));
        all
    }

    fn server_info(&self) -> serde_json::Value {
        json!({
            "version": format!("spillway/{}", env!("CARGO_PKG_VERSION")),
            "state": self.state(),
            "uptime_current_epoch": format!("{}s", self.shared.uptime().as_secs()),
            "uptime_all_epochs": format!("{}s", self.shared.uptime().as_secs()),
            "node": { "id": self.identity },
            "command_line_options": { "concurrency": self.workers.count() },
        })
    }

    fn listeners_json(&self) -> serde_json::Value {
        let status = |(name, address): &(String, Address)| match address {
            Address::Ip(addr) => json!({
                "name": name,
                "local_address": { "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } },
            }),
            Address::Unix(path) => {
                json!({ "name": name, "local_address": { "pipe": { "path": path.display().to_string() } } })
            }
        };
        json!({ "listener_statuses": self.listeners.iter().map(status).collect::<Vec<_>>() })
    }

    fn listeners_text(&self) -> String {
        self.listeners.iter().map(|(name, address)| format!("{name}::{address}\n")).collect()
    }

    fn fail_health_checks(&self, fail: bool) -> Response<Full<Bytes>> {
        self.shared.failing_health_checks.store(fail, Ordering::Relaxed);
        self.workers.wake_all();
        text(StatusCode::OK, "OK\n")
    }
}

/// What `/stats` answers of a process whose connections nobody counts.
pub fn stats_text(shared: &Shared, reloads: &Reloads) -> String {
    stats::text(&stats::collect(shared, reloads, 0))
}

/// Whether a request comes from a tool on this host, and not from a page in somebody's browser: the Host is an IP
/// address or localhost (no name that an attacker's DNS can point here), and an Origin, if any, is the same.
fn is_local(request: &Request<Incoming>) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let bare = |authority: &str| {
        authority == "localhost"
            || authority.starts_with("localhost:")
            || authority.parse::<SocketAddr>().is_ok()
            || authority.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
    };
    let host = header(header::HOST);
    let origin = header(header::ORIGIN).map(|origin| origin.trim_start_matches("http://"));
    host.is_some_and(bare) && origin.is_none_or(|origin| Some(origin) == host)
}

fn unknown() -> Response<Full<Bytes>> {
    text(StatusCode::NOT_FOUND, "unknown path; see / for what there is\n")
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, max-age=0"));
    response
}

fn text(status: StatusCode, body: impl Into<String>) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=UTF-8", body.into())
}

fn json_text(body: &serde_json::Value) -> Response<Full<Bytes>> {
    answer(StatusCode::OK, "application/json", format!("{body:#}\n"))
}

fn prometheus(stats: &[stats::Stat]) -> Response<Full<Bytes>> {
    answer(StatusCode::OK, "text/plain; version=0.0.4", stats::prometheus(stats))
}
