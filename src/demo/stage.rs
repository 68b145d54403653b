//! What the story is played on: the mesh, its processes, the record of its traffic, and what is told of it.
//!
//! All on one thread; nothing here is borrowed over an `.await`.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::DemoError;
use super::admin::{self, EndpointState};
use super::fleet::Fleet;
use super::mesh::{Instance, Mesh, Port, WEB};
use super::record::{Record, Totals};
use crate::output;

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// How long after its sockets a process that was killed may be seen to have ended.
const GRACE: Duration = Duration::from_millis(200);

/// The stage and everyone on it.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Who is where.
    pub(crate) mesh: Mesh,
    /// The processes.
    pub(crate) fleet: RefCell<Fleet>,
    /// What the traffic saw.
    pub(crate) record: Rc<RefCell<Record>>,
    /// What has been told.
    pub(crate) telling: RefCell<Telling>,
    /// The caller's sidecar's view of its endpoints, when last asked.
    pub(crate) endpoints: RefCell<Vec<EndpointState>>,
}

/// The words of the story so far.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// The chapter being told.
    pub(crate) title: String,
    /// What was said in it.
    pub(crate) lines: Vec<String>,
    /// Somebody draws these words: do not print them too.
    pub(crate) drawn: bool,
}

impl Telling {
    /// Prints it, unless somebody draws it; a demo that nobody can read goes on all the same.
    fn print(&self, text: fmt::Arguments<'_>) {
        if !self.drawn {
            let _ = output::print(text);
        }
    }
}

impl Stage {
    /// Begins a chapter.
    pub(crate) fn chapter(&self, title: &str) {
        let mut telling = self.telling.borrow_mut();
        title.clone_into(&mut telling.title);
        telling.lines.clear();
        telling.print(format_args!("\n{title}"));
    }

    /// Says something in this chapter.
    pub(crate) fn say(&self, line: impl Into<String>) {
        let line = line.into();
        let mut telling = self.telling.borrow_mut();
        telling.print(format_args!("  {line}"));
        telling.lines.push(line);
    }

    /// Looks until there is something to see, for at most `limit`. The loss of a process ends it at once.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T, DemoError> {
        let deadline = Instant::now() + limit;
        loop {
            let losses = self.fleet.borrow_mut().losses();
            if !losses.is_empty() {
                return Err(DemoError::Lost(losses));
            }
            if let Some(seen) = look().await {
                return Ok(seen);
            }
            if Instant::now() >= deadline {
                return Err(DemoError::Late { what: what.to_owned() });
            }
            sleep(LOOK).await;
        }
    }

    /// `error`, or what it came from: a process that has just ended.
    pub(crate) async fn cause_of(&self, error: DemoError) -> DemoError {
        if matches!(error, DemoError::Lost(_)) {
            return error;
        }
        match self.until("a process to end", GRACE, async || None::<()>).await {
            Err(lost @ DemoError::Lost(_)) => lost,
            _ => error,
        }
    }

    /// Watches the traffic from now until it has had `answers` more answers.
    pub(crate) async fn window(&self, answers: u64) -> Result<Totals, DemoError> {
        let mark = self.totals();
        let look = async || Some(self.totals().since(&mark)).filter(|window| window.answers() >= answers);
        self.until("the traffic", Duration::from_secs(30), look).await
    }

    /// All traffic so far.
    pub(crate) fn totals(&self) -> Totals {
        self.record.borrow().totals().clone()
    }

    /// Asks the caller's sidecar for the state of `instance`, in each target that has it.
    pub(crate) async fn seen_by_web(&self, instance: &Instance) -> Vec<EndpointState> {
        let address = self.mesh.address(instance, Port::Sidecar).to_string();
        let mut endpoints = admin::endpoints(self.mesh.address(&WEB, Port::Admin)).await;
        endpoints.retain(|endpoint| endpoint.address == address);
        endpoints
    }

    /// Every request so far had a good answer.
    pub(crate) fn none_failed(&self) -> Result<(), DemoError> {
        let record = self.record.borrow();
        match record.totals().failed {
            0 => Ok(()),
            count => {
                let first = record.first_failure().unwrap_or_default().to_owned();
                Err(DemoError::Failed { count, first })
            }
        }
    }
}
