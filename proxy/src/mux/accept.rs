//! The answering end: every substream that the other side opens is served as a connection of its own.

use std::rc::Rc;

use super::driver::drive;
use super::session::{Session, Side};
use crate::conn::Conn;
use crate::downstream::{Downstream, Facts};
use crate::serve::serve_http1;
use crate::stream::Stream;
use crate::worker::Worker;

/// Serves the substreams of the session that the other side has dialed, all on this worker, until it ends.
///
/// What is known of the other side is known of each of them: it proved who it is once.
pub async fn serve(worker: Rc<Worker>, conn: Conn, facts: Facts) {
    // Substreams know nothing of their connection but its facts.
    facts.ends(&conn.stream);
    let session = Session::new(Side::Accepting, &worker.buffers);
    let serving = Rc::clone(&worker);
    let accept = move |substream| {
        let conn = Conn::new(Stream::Multiplexed(substream), &serving.buffers);
        let (worker, facts, load) = (Rc::clone(&serving), facts.clone(), serving.load());
        drop(tokio::task::spawn_local(async move {
            let mut downstream = Downstream { conn, deadline: worker.deadline().await, facts };
            serve_http1(&worker, &mut downstream).await;
            drop(load);
        }));
    };
    drive(worker, session, Side::Accepting, conn, accept).await;
}
