//! The two ends of a connection, as lines name them.

use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Who is connected with whom, and by which name.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// Ours; none of a Unix socket.
    pub local: Option<SocketAddr>,
    /// Theirs; none of a Unix socket.
    pub remote: Option<SocketAddr>,
    /// The server name that they asked for.
    pub name: Option<Box<str>>,
}

impl Ends {
    /// The ends of a TCP connection. Costs two system calls.
    pub fn of(tcp: &TcpStream) -> Self {
        Self { local: tcp.local_addr().ok(), remote: tcp.peer_addr().ok(), name: None }
    }
}
