//! The applications of a mesh: servers that say who they are, write down what reached them, and fail on demand.
//!
//! They run on a thread of their own, apart from the test and from every sidecar, so that a fault is in place when
//! the call that asks for it returns.

mod http;
mod http2;
mod reply;
mod tcp;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub use self::http::Received;
pub use self::reply::{Reply, Then};
use crate::wait::eventually;

/// The thread that applications run on; it ends with them when it is dropped.
pub(crate) struct Stage {
    handle: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        // Whether told or dropped: it ends.
        let run = move || drop(runtime.block_on(ended));
        let thread = thread::Builder::new().name("applications".to_owned()).spawn(run);
        Self { handle, end: Some(end), thread: Some(thread.unwrap_or_else(|error| panic!("{error}"))) }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // An application that panicked has said so; the test's own failure says more.
            let _ = thread.join();
        }
    }
}

/// What an application speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Speaks {
    Http,
    /// Prior knowledge.
    Http2,
    Tcp,
}

/// One instance's application.
pub struct App {
    state: Arc<State>,
    address: SocketAddr,
    speaks: Speaks,
    handle: Handle,
    running: Mutex<Option<Running>>,
}

/// What its connections share.
struct State {
    name: String,
    log: Mutex<Log>,
    script: Mutex<reply::Script>,
    /// Set once what is stalled may go on.
    released: watch::Sender<bool>,
}

#[derive(Default)]
struct Log {
    connections: usize,
    received: Vec<Received>,
}

struct Running {
    end: oneshot::Sender<()>,
    ended: mpsc::Receiver<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// An application that accepts connections on `listener`.
    pub(crate) fn start(
        name: String,
        speaks: Speaks,
        listener: std::net::TcpListener,
        handle: Handle,
    ) -> Self {
        let state = State {
            name,
            log: Mutex::default(),
            script: Mutex::default(),
            released: watch::Sender::new(false),
        };
        let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
        let app = Self { state: Arc::new(state), address, speaks, handle, running: Mutex::default() };
        app.run(listener);
        app
    }

    fn run(&self, listener: std::net::TcpListener) {
        listener.set_nonblocking(true).unwrap_or_else(|error| panic!("{error}"));
        let (end, ends) = oneshot::channel();
        let (done, ended) = mpsc::channel();
        let (state, speaks) = (Arc::clone(&self.state), self.speaks);
        drop(self.handle.spawn(async move {
            serve(listener, state, speaks, ends).await;
            drop(done);
        }));
        *lock(&self.running) = Some(Running { end, ended });
    }

    /// Who it says it is: `CLUSTER/SERVICE/INDEX`.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// Ends it as SIGKILL would: its connections end, new ones are refused.
    pub fn kill(&self) {
        let Some(running) = lock(&self.running).take() else { return };
        drop(running.end);
        // An error is what is waited for: the sender is gone, and with it listener and connections.
        let _ = running.ended.recv();
    }

    /// Starts it again after [`App::kill`].
    pub fn revive(&self) {
        let listener = std::net::TcpListener::bind(self.address).unwrap_or_else(|error| panic!("{error}"));
        self.run(listener);
    }

    /// From now on, every request that nothing else is planned for gets this.
    pub fn reply(&self, reply: Reply) {
        lock(&self.state.script).always(reply);
    }

    /// The next `n` requests get this, after those that were planned before.
    pub fn reply_times(&self, n: usize, reply: Reply) {
        lock(&self.state.script).plan(n, reply);
    }

    /// From now on, connections are reset as soon as they are accepted, or accepted again.
    pub fn reset_connections(&self, reset: bool) {
        lock(&self.state.script).reset_connections = reset;
    }

    /// Whether it says `100 Continue` to who waits for that; it does unless told otherwise.
    pub fn says_continue(&self, says: bool) {
        lock(&self.state.script).says_continue = says;
    }

    /// Whether it announces extended CONNECT on the connections to come; it does unless told otherwise.
    pub fn tunnels(&self, tunnels: bool) {
        lock(&self.state.script).tunnels = tunnels;
    }

    /// Lets go on what is stalled, now and from now on.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// Every request that reached it, in order of arrival. One whose body never came whole is not among them.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.log).received.clone()
    }

    /// The last request that reached it.
    ///
    /// # Panics
    /// When there was none.
    pub fn last(&self) -> Received {
        self.received().pop().unwrap_or_else(|| panic!("no request reached {}", self.name()))
    }

    /// How many requests reached it.
    pub fn count(&self) -> usize {
        lock(&self.state.log).received.len()
    }

    /// How many requests with this `x-request-id` reached it.
    pub fn count_of(&self, id: &str) -> usize {
        let received = &lock(&self.state.log).received;
        received.iter().filter(|request| request.header("x-request-id") == Some(id)).count()
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        lock(&self.state.log).connections
    }

    /// Waits until `n` requests have reached it.
    pub async fn has_received(&self, n: usize) {
        eventually(&format!("{n} requests reach {}", self.name()), || self.count() >= n).await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(
    listener: std::net::TcpListener,
    state: Arc<State>,
    speaks: Speaks,
    mut ends: oneshot::Receiver<()>,
) {
    let listener = TcpListener::from_std(listener).unwrap_or_else(|error| panic!("{error}"));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            // Told or dropped: it ends.
            _ = &mut ends => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // A connection that is gone before it is accepted is its caller's affair.
                Err(_) => continue,
            },
        };
        lock(&state.log).connections += 1;
        if lock(&state.script).reset_connections {
            crate::wire::reset(&stream);
            continue;
        }
        connections.spawn(converse(Arc::clone(&state), speaks, stream));
    }
    drop(listener);
    connections.shutdown().await;
}

async fn converse(state: Arc<State>, speaks: Speaks, stream: TcpStream) {
    // Not worth failing for: it would only cost time.
    let _ = stream.set_nodelay(true);
    // Its error is that a caller left: no fault of the application's.
    let _ = match speaks {
        Speaks::Http => http::converse(&state, stream).await,
        Speaks::Http2 => http2::converse(&state, stream).await,
        Speaks::Tcp => tcp::converse(&state, stream).await,
    };
}
