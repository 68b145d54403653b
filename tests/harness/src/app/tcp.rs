//! An application that speaks lines over TCP: it greets, says back each line, and says goodbye to a half-close.

use std::io;

use tokio::net::TcpStream;

use super::State;
use crate::wire::Wire;

/// Says `CLUSTER/SERVICE/INDEX`, then each line that it hears, and `bye` once the caller has said all.
pub(super) async fn converse(state: &State, stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    wire.write(format!("{}\n", state.name).as_bytes()).await?;
    while let Some(line) = wire.line().await? {
        wire.write(format!("{line}\n").as_bytes()).await?;
    }
    wire.write(b"bye\n").await?;
    wire.half_close().await
}
