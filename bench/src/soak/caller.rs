//! The callers: each sends one request after the other on a kept connection, and writes down how it ended.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use super::app::{ID, INSTANCE, PATH, body};
use super::ledger::{Ending, Ledger, is_post};
use super::weather::Weather;

/// What a request may take: its timeout, and what a slow machine adds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a caller waits that found nobody: time is what heals.
const PAUSE: Duration = Duration::from_millis(50);

/// A header that only sidecars may see.
const BETWEEN_SIDECARS: &str = "x-spillway-unprocessed";

/// What callers share with all others.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) entry: SocketAddr,
    pub(crate) requests: u32,
    /// The next request's id: how many have begun.
    pub(crate) next: Arc<AtomicU32>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) weather: Arc<Weather>,
}

/// Calls on so many connections until every request was sent.
pub(crate) fn run(task: &Task, connections: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let task = Rc::new(task.clone());
    LocalSet::new().block_on(&runtime, async {
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let task = Rc::clone(&task);
            callers.spawn_local(async move { task.call().await });
        }
        callers.join_all().await;
    });
    Ok(())
}

impl Task {
    async fn call(&self) {
        let mut connection = None;
        loop {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            if id >= self.requests {
                return;
            }
            let began = self.weather.begin();
            let asked = timeout(PATIENCE, self.ask(&mut connection, id)).await;
            let (ending, instance) = asked.unwrap_or((Ending::Hung, None));
            self.ledger.end(id, ending);
            if ending == Ending::Served && instance == Some(0) {
                self.weather.steady_served(began);
            }
            if ending.found_nobody() && self.weather.was_fair(began) {
                let now = time::OffsetDateTime::now_utc().time();
                self.ledger
                    .wrong(format!("request {id} was lost unsent at {now}: an instance could serve it"));
            }
            if ending.found_nobody() {
                sleep(PAUSE).await;
            }
            if matches!(ending, Ending::CutShort | Ending::Silence | Ending::Hung) {
                connection = None;
            }
        }
    }

    /// Sends a request and reads its answer; how it ended, and by which instance.
    async fn ask(&self, kept: &mut Option<SendRequest<Full<Bytes>>>, id: u32) -> (Ending, Option<usize>) {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match open(self.entry).await {
                Ok(connection) => connection,
                Err(_) => return (Ending::Silence, None),
            },
        };
        let answered = connection.send_request(request(self.entry, id)).await;
        let Ok(answer) = answered else { return (Ending::Silence, None) };
        let read = self.read(id, answer).await;
        // One that the sidecar has announced to end is done with.
        *kept = connection.ready().await.is_ok().then_some(connection);
        read
    }

    async fn read(&self, id: u32, answer: Response<Incoming>) -> (Ending, Option<usize>) {
        let (head, incoming) = answer.into_parts();
        let number = |name: &str| head.headers.get(name)?.to_str().ok()?.parse::<u32>().ok();
        let instance = number(INSTANCE).map(|it| it as usize);
        if head.headers.contains_key(BETWEEN_SIDECARS) {
            self.ledger.wrong(format!("request {id} was told what only sidecars may know"));
        }
        let Ok(said) = incoming.collect().await else { return (Ending::CutShort, instance) };
        let said = String::from_utf8_lossy(&said.to_bytes()).into_owned();
        let ending = match (instance, head.status.as_u16()) {
            (None, status) => Ending::own(status, &said),
            (Some(_), _) if number(ID) != Some(id) || said != body(id) => Ending::Foreign,
            (Some(_), 200) => Ending::Served,
            (Some(_), 503) => Ending::Failed,
            (Some(_), _) => Ending::Foreign,
        };
        if ending == Ending::Foreign {
            let begin: String = said.chars().take(200).collect();
            self.ledger.wrong(format!("request {id} got {} {:?} {begin:?}", head.status, head.headers));
        }
        (ending, instance)
    }
}

async fn open(entry: SocketAddr) -> io::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(entry).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with its sender, or tells it that it has ended.
    tokio::task::spawn_local(connection);
    Ok(sender)
}

fn request(entry: SocketAddr, id: u32) -> Request<Full<Bytes>> {
    let (method, body) = match is_post(id) {
        true => (Method::POST, Bytes::from(format!("do {id}"))),
        false => (Method::GET, Bytes::new()),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    let uri = format!("{PATH}{id}").parse().expect("digits are a path");
    *request.uri_mut() = uri;
    let host = entry.to_string().parse().expect("an address is a header's value");
    request.headers_mut().insert(http::header::HOST, host);
    request
}
