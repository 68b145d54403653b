//! `idle`: what memory an idle proxy holds, and how much more for each idle mTLS connection to its server side.

use std::path::PathBuf;

use crate::backend;
use crate::compare::Comparison;
use crate::error::BenchError;
use crate::load::builtin::Connection;
use crate::load::tls::{Mesh, Reuse};
use crate::load::{How, Target};
use crate::peers::{Job, Peer, Setup};
use crate::stage::Stage;
use crate::table::{grid, mib, number};

/// How many connections shake hands at once.
const AT_ONCE: usize = 64;

/// What one proxy holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) peer: Peer,
    /// Resident bytes of the server side before its first connection.
    pub(crate) idle: u64,
    /// And with all of them.
    pub(crate) full: u64,
    connections: usize,
}

impl Held {
    /// KiB for each connection.
    pub(crate) fn each(&self) -> f64 {
        self.full.saturating_sub(self.idle) as f64 / 1024.0 / self.connections as f64
    }
}

/// Every contender with so many connections.
pub(crate) async fn held(
    contenders: &[(Peer, PathBuf)],
    connections: usize,
) -> Result<Vec<Held>, BenchError> {
    let stage = Stage::start(Job::PAIR, backend::BODY, contenders, connections).await?;
    let how = How::Mesh(Mesh::new(&stage.site, Reuse::Connection)?);
    let mut all = Vec::new();
    for setup in &stage.setups {
        let target = Target::new(setup.public, "/api/v2/items/42");
        stage.ready(setup, &target, &how, backend::BODY).await?;
        all.push(hold(setup, &target, &how, connections).await?);
    }
    Ok(all)
}

async fn hold(setup: &Setup, target: &Target, how: &How, connections: usize) -> Result<Held, BenchError> {
    let failed = |source| BenchError::io(format!("connect to {}", setup.peer), source);
    // The one that asks last is the server side.
    let server = setup.sides.last().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let idle = server.usage()?.resident;
    let mut open = Vec::new();
    while open.len() < connections {
        let opening: Vec<_> = (0..AT_ONCE.min(connections - open.len()))
            .map(|_| {
                let (target, how) = (target.clone(), how.clone());
                tokio::task::spawn_local(async move { asked_once(&target, &how).await })
            })
            .collect();
        for opened in opening {
            open.push(opened.await.map_err(std::io::Error::other).flatten().map_err(failed)?);
        }
    }
    let full = server.usage()?.resident;
    Ok(Held { peer: setup.peer, idle, full, connections })
}

/// A connection that has had one answer.
async fn asked_once(target: &Target, how: &How) -> std::io::Result<Connection> {
    let mut connection = Connection::open(target, how).await?;
    connection.ask(target, target.request().as_bytes()).await?;
    connection.rest();
    Ok(connection)
}

/// What is printed and kept.
pub(crate) fn report(comparison: &Comparison, held: &[Held]) -> String {
    let base = held.iter().find(|it| it.peer == comparison.base()).map_or(f64::NAN, Held::each);
    let head = ["proxy", "idle MiB", "full MiB", "KiB a connection", "ratio"].map(str::to_owned).to_vec();
    let lines = held.iter().map(|it| {
        let [idle, full] = [it.idle, it.full].map(|bytes| number(mib(bytes), 1));
        vec![it.peer.to_string(), idle, full, number(it.each(), 1), number(it.each() / base, 2)]
    });
    let cells: Vec<Vec<String>> = std::iter::once(head).chain(lines).collect();
    let connections = held.first().map_or(0, |it| it.connections);
    format!(
        "# Memory: {connections} idle kept mTLS connections to the server side\n\n{comparison}- each connection has had one \
         answer; resident memory of the server side, summed over its processes\n\n{}",
        grid(&cells)
    )
}
