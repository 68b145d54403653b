//! The demo's steady traffic: a few kept connections to `web`'s upstream, at a pace that any machine keeps up with.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use super::app;
use super::record::Record;
use crate::call::{Answer, CallError, Connection};

/// Connections that send at once.
const CONNECTIONS: u32 = 8;

/// Between two requests of one connection: 50 a second each, 400 in all.
const PACE: Duration = Duration::from_millis(20);

/// Traffic that flows until this is dropped.
#[derive(Debug)]
pub(crate) struct Traffic {
    _senders: JoinSet<()>,
}

impl Traffic {
    /// Starts to ask `address` for `/`, and to note in `record` what comes of it.
    pub(crate) fn start(address: SocketAddr, record: &Rc<RefCell<Record>>) -> Self {
        let mut senders = JoinSet::new();
        let now = tokio::time::Instant::now();
        for n in 0..CONNECTIONS {
            let first = now + PACE * n / CONNECTIONS;
            senders.spawn_local(send(address, first, record.clone()));
        }
        Self { _senders: senders }
    }
}

async fn send(address: SocketAddr, first: tokio::time::Instant, record: Rc<RefCell<Record>>) {
    let mut pace = interval_at(first, PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    loop {
        pace.tick().await;
        let began = Instant::now();
        let answer = call(address, &mut kept).await;
        let now = Instant::now();
        let mut record = record.borrow_mut();
        match answer {
            Ok(answer) => match answer.header(app::SERVED_BY) {
                Some(instance) if answer.status == StatusCode::OK => {
                    record.served(instance, now - began, now);
                }
                _ => record.failed(complaint(&answer), now),
            },
            Err(error) => {
                kept = None;
                record.failed(error.to_string(), now);
            }
        }
    }
}

fn complaint(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    format!("{}: {}", answer.status, body.lines().next().unwrap_or_default())
}

async fn call(address: SocketAddr, kept: &mut Option<Connection>) -> Result<Answer, CallError> {
    let connection = match kept {
        Some(connection) if connection.is_open() => connection,
        closed => closed.insert(Connection::open(address).await?),
    };
    connection.get("/", &[]).await
}
