//! Workers: one current-thread runtime each, with its own connections, pools, buffers, deadlines and dice.
//!
//! Nothing between accept and response leaves a worker. Other threads speak to one by its mailbox, and only to
//! give it a listener, a connection, or word of a drain. The clock is read once a tick, by the ticker thread.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use arc_swap::ArcSwapOption;
use spillway_core::{Draw, Tick};
use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;

use crate::access_log::Batch;
use crate::buffer::Buffers;
use crate::deadline::{Deadline, Deadlines};
use crate::draw::Dice;
use crate::generation::{Published, Snapshot};
use crate::pool::Pools;
use crate::process::Inputs;
use crate::registered::RegisteredChecks;
use crate::slot::Line;
use crate::stats::Stats;

/// Work handed to a worker by another thread.
type Job = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// What all workers and the control thread share.
#[derive(Debug)]
pub struct Shared {
    /// The tables in force.
    pub published: Published,
    /// Counters that are not a worker's own.
    pub stats: Stats,
    /// Who waits for room for a connection.
    pub line: Line,
    /// What the tables in force were built from, for the admin API; None while the process starts.
    pub inputs: ArcSwapOption<Inputs>,
    /// The registered checks of our own instance.
    pub registered: Arc<RegisteredChecks>,
    /// Set once, when the process begins to drain.
    pub draining: AtomicBool,
    /// Set once, when the time for that is over: what is still in flight is told so.
    drain_is_over: AtomicBool,
    /// Requests get `connection: close`, and readiness is gone, although listeners stay (`/healthcheck/fail`).
    pub failing_health_checks: AtomicBool,
    now: AtomicU32,
    started: Instant,
    /// Ticks that a test did not wait for.
    #[cfg(test)]
    skipped: AtomicU32,
}

impl Shared {
    /// The state of a process that starts now.
    pub fn new(published: Published, stats: Stats) -> Self {
        Self {
            published,
            stats,
            line: Line::default(),
            inputs: ArcSwapOption::empty(),
            registered: Arc::default(),
            draining: AtomicBool::new(false),
            drain_is_over: AtomicBool::new(false),
            failing_health_checks: AtomicBool::new(false),
            now: AtomicU32::new(0),
            started: Instant::now(),
            #[cfg(test)]
            skipped: AtomicU32::new(0),
        }
    }

    /// Lets time pass for a test that will not wait.
    #[cfg(test)]
    pub(crate) fn skip(&self, time: Duration) {
        self.skipped.fetch_add(Tick(0).after(time).0, Ordering::Relaxed);
    }

    /// The tick as of the last sweep.
    pub fn now(&self) -> Tick {
        Tick(self.now.load(Ordering::Relaxed))
    }

    /// How long the process had run at this moment.
    pub fn age(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    /// How long the process has run.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn tick(&self) {
        let ticks = self.started.elapsed().as_millis() / u128::from(Tick::MILLIS);
        #[cfg(test)]
        let ticks = ticks + u128::from(self.skipped.load(Ordering::Relaxed));
        // Relaxed: a tick late is within what a deadline promises.
        self.now.store(u32::try_from(ticks).unwrap_or(u32::MAX - 1), Ordering::Relaxed);
    }
}

/// One worker, as its own thread sees it.
#[derive(Debug)]
pub struct Worker {
    /// Which one, from 0.
    pub index: usize,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its recycled buffers.
    pub buffers: Rc<Buffers>,
    /// Its upstream connections.
    pub pools: Pools,
    /// Its lines of the access log.
    pub(crate) lines: Batch,
    deadlines: Rc<Deadlines>,
    dice: Dice,
    snapshot: RefCell<Rc<Snapshot>>,
    now: Cell<Tick>,
    team: Arc<Team>,
}

impl Worker {
    /// The tick as of the last sweep.
    pub fn now(&self) -> Tick {
        self.now.get()
    }

    /// A random number.
    pub fn draw(&self) -> Draw {
        self.dice.draw()
    }

    /// The tables in force. The answer is kept until another generation is published, so that asking costs one
    /// atomic load.
    pub fn snapshot(&self) -> Rc<Snapshot> {
        let published = &self.shared.published;
        if self.snapshot.borrow().number() != published.number() {
            *self.snapshot.borrow_mut() = Rc::new(published.load());
        }
        Rc::clone(&self.snapshot.borrow())
    }

    /// A deadline for the task that asks.
    pub async fn deadline(&self) -> Deadline {
        std::future::poll_fn(|cx| std::task::Poll::Ready(self.deadlines.register(cx.waker()))).await
    }

    /// The tick at which `after` has certainly passed: the sweep's `now` can be a tick old.
    pub fn deadline_tick(&self, after: Duration) -> Tick {
        Tick(self.now().after(after).0.saturating_add(1))
    }

    /// Whether connections should end when they can.
    pub fn draining(&self) -> bool {
        // Relaxed: whoever waits is woken after it was set.
        self.shared.draining.load(Ordering::Relaxed)
            || self.shared.failing_health_checks.load(Ordering::Relaxed)
    }

    /// Whether what is in flight has to end now.
    pub fn drain_is_over(&self) -> bool {
        // Relaxed: whoever waits is woken after it was set.
        self.shared.drain_is_over.load(Ordering::Relaxed)
    }

    /// Counts one more connection that this worker serves, until the answer is dropped.
    pub(crate) fn load(&self) -> Load {
        Load::begin(&self.team, self.index)
    }

    /// Has every other worker do this. It wakes their threads: for what is rare.
    pub(crate) fn ask_others(&self, job: impl Fn(&Rc<Worker>) + Clone + Send + 'static) {
        for other in (0..self.team.members.len()).filter(|index| *index != self.index) {
            self.team.send(other, Box::new(job.clone()));
        }
    }

    /// Runs `serve` on the worker that has the fewest connections, on this one where it is even. The count goes down
    /// when it ends.
    pub fn place<F, Fut>(self: &Rc<Self>, serve: F)
    where
        F: FnOnce(Rc<Worker>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let here = self.index;
        let index = self.team.lightest(here);
        let load = Load::begin(&self.team, index);
        let start = move |worker: &Rc<Worker>| {
            let served = serve(Rc::clone(worker));
            drop(tokio::task::spawn_local(async move {
                served.await;
                drop(load);
            }));
        };
        if index == here {
            start(self);
        } else {
            self.team.send(index, Box::new(start));
        }
    }
}

/// All workers, as other threads see them.
#[derive(Debug)]
struct Team {
    members: Vec<Member>,
    /// Set once, when the workers are to end.
    ending: AtomicBool,
}

#[derive(Debug)]
struct Member {
    mailbox: mpsc::UnboundedSender<Job>,
    tick: Notify,
    /// Connections that it serves, or is about to.
    connections: AtomicUsize,
}

impl Team {
    fn lightest(&self, here: usize) -> usize {
        // Relaxed: a stale count costs balance, nothing else.
        let load = |i: usize| self.members[i].connections.load(Ordering::Relaxed);
        let lightest = (0..self.members.len()).min_by_key(|&i| load(i)).unwrap_or(here);
        if load(lightest) < load(here) { lightest } else { here }
    }

    fn send(&self, index: usize, job: Job) {
        // A worker whose mailbox is closed has ended with the process; its work ends too.
        let _ = self.members[index].mailbox.send(job);
    }
}

/// Counts a connection for as long as it lives.
pub(crate) struct Load {
    team: Arc<Team>,
    index: usize,
}

impl Load {
    fn begin(team: &Arc<Team>, index: usize) -> Self {
        team.members[index].connections.fetch_add(1, Ordering::Relaxed);
        Self { team: Arc::clone(team), index }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.team.members[self.index].connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The running workers.
#[derive(Clone, Debug)]
pub struct Workers {
    team: Arc<Team>,
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<thread::JoinHandle<()>>>>,
}

impl Workers {
    /// Starts `count` workers and the ticker.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(count: usize, shared: &Arc<Shared>) -> io::Result<Self> {
        let (members, mailboxes): (Vec<_>, Vec<_>) = (0..count.max(1))
            .map(|_| {
                let (mailbox, jobs) = mpsc::unbounded_channel();
                (Member { mailbox, tick: Notify::new(), connections: AtomicUsize::new(0) }, jobs)
            })
            .unzip();
        let team = Arc::new(Team { members, ending: AtomicBool::new(false) });
        let mut threads = Vec::new();
        for (index, jobs) in mailboxes.into_iter().enumerate() {
            let (team, shared) = (Arc::clone(&team), Arc::clone(shared));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let worker = thread::Builder::new().name(format!("worker-{index}"));
            threads.push(worker.spawn(move || {
                LocalSet::new().block_on(&runtime, run(index, team, shared, jobs));
            })?);
        }
        let (ticking, clock) = (Arc::downgrade(&team), Arc::downgrade(shared));
        thread::Builder::new().name("ticker".to_owned()).spawn(move || {
            while let (Some(team), Some(clock)) = (ticking.upgrade(), clock.upgrade()) {
                clock.tick();
                for member in &team.members {
                    member.tick.notify_one();
                }
                drop((team, clock));
                thread::sleep(Duration::from_millis(Tick::MILLIS));
            }
        })?;
        Ok(Self { team, shared: Arc::clone(shared), threads: Arc::new(Mutex::new(threads)) })
    }

    /// Ends the workers: whatever they listen on or serve is closed when this returns.
    pub fn end(&self) {
        // Relaxed: the notification orders it.
        self.team.ending.store(true, Ordering::Relaxed);
        self.team.members.iter().for_each(|member| member.tick.notify_one());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // One that panicked has said so, and has ended too.
            let _ = thread.join();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.team.members.len()
    }

    /// Runs `job` on one worker; `hint` spreads jobs over them.
    pub fn run_on(&self, hint: usize, job: impl FnOnce(&Rc<Worker>) + Send + 'static) {
        self.team.send(hint % self.count(), Box::new(job));
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.team.members.iter().map(|member| member.connections.load(Ordering::Relaxed)).sum()
    }

    /// Begins to drain: idle connections close now, busy ones after what is in flight.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.wake_all();
    }

    /// Ends the drain: requests in flight get an answer of our own, connections end.
    pub fn end_drain(&self) {
        self.shared.drain_is_over.store(true, Ordering::Relaxed);
        self.wake_all();
    }

    /// Wakes every connection, so that each sees what has changed.
    pub fn wake_all(&self) {
        for index in 0..self.count() {
            self.team.send(index, Box::new(|worker| worker.deadlines.wake_all()));
        }
    }
}

async fn run(index: usize, team: Arc<Team>, shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let snapshot = RefCell::new(Rc::new(shared.published.load()));
    let worker = Rc::new(Worker {
        index,
        buffers: Rc::default(),
        pools: Pools::default(),
        lines: Batch::new(index),
        deadlines: Rc::default(),
        dice: Dice::new(),
        snapshot,
        now: Cell::new(shared.now()),
        team: Arc::clone(&team),
        shared,
    });
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => job(&worker),
                None => return,
            },
            () = team.members[index].tick.notified() => {
                if team.ending.load(Ordering::Relaxed) {
                    return;
                }
                worker.now.set(worker.shared.now());
                worker.deadlines.sweep(worker.now());
                worker.pools.sweep(worker.now());
                worker.lines.hand_over();
            }
        }
    }
}
