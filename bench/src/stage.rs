//! What a case is played on: a backend and every proxy, set up for one job and running for the whole time.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::backend::LISTENING;
use crate::error::BenchError;
use crate::group::{Group, free_addresses};
use crate::load::{How, Target, builtin};
use crate::peers::{Job, Peer, Setup, Site, Topology};

/// How long the backend or a proxy may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Everything that runs for a job. Dropping it ends all, and then its files go.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) setups: Vec<Setup>,
    pub(crate) backend: Group,
    pub(crate) site: Site,
    _dir: TempDir,
}

impl Stage {
    /// Starts all for `job`: a backend that answers with `body` bytes, and every contender that can do it, ready
    /// for so many connections.
    pub(crate) async fn start(
        job: Job,
        body: usize,
        contenders: &[(Peer, PathBuf)],
        connections: usize,
    ) -> Result<Self, BenchError> {
        let dir = tempfile::Builder::new().prefix("spillway-bench-").tempdir();
        let dir = dir.map_err(|source| BenchError::io("make a directory", source))?;
        let addresses = free_addresses()?;
        let site = Site::prepare(dir.path(), job, addresses, connections)?;
        let backend = start_backend(&site, body)?;
        listening(&backend).await?;
        let able = contenders.iter().filter(|(peer, _)| peer.does(job));
        let setups = able.map(|(peer, program)| peer.start(program, &site));
        Ok(Self { setups: setups.collect::<Result<_, _>>()?, backend, site, _dir: dir })
    }

    /// Waits until a proxy answers with a body of this length.
    pub(crate) async fn ready(
        &self,
        setup: &Setup,
        target: &Target,
        how: &How,
        body: usize,
    ) -> Result<(), BenchError> {
        let begin = Instant::now();
        loop {
            let found = match builtin::ask(target, how).await {
                Ok((200, answer)) if answer.len() == body => return Ok(()),
                Ok((status, answer)) => format!("status {status} with {} bytes to {target}", answer.len()),
                Err(error) => format!("{error} at {target}"),
            };
            setup.sides.iter().try_for_each(Group::check_runs)?;
            if begin.elapsed() > PATIENCE {
                let said: String = setup.sides.iter().map(Group::said).collect();
                let found = format!("{found}\n{said}");
                return Err(BenchError::NotReady { name: setup.peer.to_string(), found });
            }
            sleep(LOOK).await;
        }
    }
}

fn start_backend(site: &Site, body: usize) -> Result<Group, BenchError> {
    let own = env::current_exe().map_err(|source| BenchError::io("find this program's own file", source))?;
    let [plain, encrypted] = site.backend.map(|it: SocketAddr| OsString::from(it.to_string()));
    let mut args: Vec<OsString> =
        vec!["backend".into(), "--listen".into(), plain, "--size".into(), body.to_string().into()];
    if site.job.topology == Topology::Gateway {
        args.extend(["--tls-listen".into(), encrypted]);
        args.extend(["--certificate".into(), site.certificate("backend").into()]);
        args.extend(["--key".into(), site.key("backend").into()]);
        args.extend(["--root".into(), site.root().into()]);
    }
    Group::start("backend", own, &args, &site.dir)
}

/// Waits until the backend says that it listens.
async fn listening(backend: &Group) -> Result<(), BenchError> {
    let begin = Instant::now();
    while !backend.said().contains(LISTENING) {
        backend.check_runs()?;
        if begin.elapsed() > PATIENCE {
            return Err(BenchError::NotReady { name: "the backend".to_owned(), found: backend.said() });
        }
        sleep(LOOK).await;
    }
    Ok(())
}
