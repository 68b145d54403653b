//! An application that speaks lines over TCP: it greets, says back each line, and says goodbye to a half-close. Told
//! `enough`, it says nothing more and listens on.

use std::io;

use tokio::net::TcpStream;

use super::http::Received;
use super::{State, lock};
use crate::wire::Wire;

/// Says `CLUSTER/SERVICE/INDEX`, then each line that it hears, and `bye` once the caller has said all. What it hears
/// behind `enough` is written down.
pub(super) async fn converse(state: &State, stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    wire.write(format!("{}\n", state.name).as_bytes()).await?;
    while let Some(line) = wire.line().await? {
        if line == "enough" {
            wire.half_close().await?;
            let body = wire.rest().await?;
            lock(&state.log).received.push(Received { body, ..Received::default() });
            return Ok(());
        }
        wire.write(format!("{line}\n").as_bytes()).await?;
    }
    wire.write(b"bye\n").await?;
    wire.half_close().await
}
