//! Dialing an endpoint: TCP, then mTLS with the target's SNI, expecting one of the target's identities.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::SystemTime;

use rustix::io::Errno;
use rustls::pki_types::ServerName;
use spillway_certs::Alpn;
use spillway_core::endpoint::{Address, Endpoint};
use spillway_core::entry::Protocol;
use spillway_core::name::Locus;
use spillway_core::outlier::Outcome;
use spillway_core::pick::{Pick, Target, TargetTls, Via};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::deadline::Deadline;
use crate::stream::Stream;
use crate::worker::Worker;

/// Why there is no connection. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TCP, or a Unix socket.
    #[error("cannot connect to {endpoint} of {target}: {source}")]
    Connect {
        /// Whose endpoint.
        target: String,
        /// Which.
        endpoint: Address,
        /// Why.
        source: io::Error,
    },
    /// TLS, the other side's identity included.
    #[error("no mTLS with {endpoint} of {target}: {source}")]
    Tls {
        /// Whose endpoint.
        target: String,
        /// Which.
        endpoint: Address,
        /// Why.
        source: io::Error,
    },
    /// No certificate or trust bundle is loaded.
    #[error("no certificate to dial {target} with")]
    NoIdentity {
        /// Whom.
        target: String,
    },
    /// The target's connect timeout passed.
    #[error("connecting to {endpoint} of {target} took longer than {timeout:?}")]
    TimedOut {
        /// Whose endpoint.
        target: String,
        /// Which.
        endpoint: Address,
        /// The limit.
        timeout: std::time::Duration,
    },
}

impl DialError {
    /// The pick's endpoint takes connections and ends them before they can be used.
    pub(crate) fn ended_early(pick: &Pick<'_>) -> Self {
        Self::Connect {
            target: pick.target.id.to_string(),
            endpoint: pick.endpoint.address.clone(),
            source: io::ErrorKind::ConnectionReset.into(),
        }
    }

    /// What it says about the endpoint: nothing, where it is us who lack something.
    pub fn outcome(&self) -> Outcome {
        // Too many open files, here or on the host; no memory; no port left to dial from.
        const OURS: [Errno; 5] =
            [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
        match self {
            Self::NoIdentity { .. } => Outcome::Abandoned,
            Self::Connect { source, .. }
                if Errno::from_io_error(source).is_some_and(|it| OURS.contains(&it)) =>
            {
                Outcome::Abandoned
            }
            Self::Connect { .. } | Self::Tls { .. } | Self::TimedOut { .. } => Outcome::ConnectFailed,
        }
    }
}

/// Connects to `endpoint` of `target` within the target's connect timeout; `deadline` is borrowed for it and is
/// left as it was found.
///
/// # Errors
/// When there is no connection, or the other side is not who it should be.
pub async fn dial(
    worker: &Rc<Worker>,
    target: &Target,
    endpoint: &Endpoint,
    deadline: &Deadline,
) -> Result<Stream, DialError> {
    let tls = target.tls.as_ref().map(|tls| (tls, alpn(target)));
    within(worker, target, endpoint, deadline, connect(worker, target, endpoint, tls)).await
}

/// [`dial`] for a connection that is to speak HTTP/1.1, whatever the target's protocol.
///
/// # Errors
/// When there is no connection, or the other side is not who it should be.
pub(crate) async fn dial_http1(
    worker: &Rc<Worker>,
    target: &Target,
    endpoint: &Endpoint,
    deadline: &Deadline,
) -> Result<Stream, DialError> {
    let tls = target.tls.as_ref().map(|tls| (tls, Alpn::Http1));
    within(worker, target, endpoint, deadline, connect(worker, target, endpoint, tls)).await
}

/// What is asked of a target.
fn alpn(target: &Target) -> Alpn {
    match target.protocol {
        Protocol::Tcp => Alpn::None,
        Protocol::Http if multiplexes(target) => Alpn::Multiplexed,
        Protocol::Http => Alpn::Http1,
        Protocol::Http2 | Protocol::Grpc => Alpn::Http2,
    }
}

/// [`dial`] without the TLS, for a connection that brings its own: a gateway passes it through.
///
/// # Errors
/// When there is no connection.
pub async fn dial_below_tls(
    worker: &Rc<Worker>,
    target: &Target,
    endpoint: &Endpoint,
    deadline: &Deadline,
) -> Result<Stream, DialError> {
    within(worker, target, endpoint, deadline, connect(worker, target, endpoint, None)).await
}

async fn within(
    worker: &Rc<Worker>,
    target: &Target,
    endpoint: &Endpoint,
    deadline: &Deadline,
    connect: impl Future<Output = Result<Stream, DialError>>,
) -> Result<Stream, DialError> {
    let request_deadline = deadline.at();
    let connect_deadline = worker.now().after(target.connect_timeout);
    deadline.set_at(request_deadline.min(connect_deadline));
    // In a box of its own while it lasts: a handshake's state takes 4 KiB, and whoever dials is a connection's task,
    // which would hold room for it for as long as it lives.
    let result = until(worker, deadline, Box::pin(connect)).await;
    deadline.set_at(request_deadline);
    result.unwrap_or_else(|| {
        Err(DialError::TimedOut {
            target: target.id.to_string(),
            endpoint: endpoint.address.clone(),
            timeout: target.connect_timeout,
        })
    })
}

/// The future's output, or None when the deadline, or the end of a drain, comes first.
pub async fn until<F: Future>(worker: &Worker, deadline: &Deadline, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if deadline.expired(worker.now()) || worker.drain_is_over() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

async fn connect(
    worker: &Rc<Worker>,
    target: &Target,
    endpoint: &Endpoint,
    tls: Option<(&TargetTls, Alpn)>,
) -> Result<Stream, DialError> {
    let failed = |source| DialError::Connect {
        target: target.id.to_string(),
        endpoint: endpoint.address.clone(),
        source,
    };
    let tcp = match &endpoint.address {
        Address::Unix(path) => return UnixStream::connect(path).await.map(Stream::Unix).map_err(failed),
        Address::Ip(addr) => TcpStream::connect(addr).await.map_err(failed)?,
    };
    tcp.set_nodelay(true).map_err(failed)?;
    match tls {
        None => Ok(Stream::Tcp(tcp)),
        Some(tls) => handshake(worker, target, endpoint, tls, tcp).await,
    }
}

/// Whether a hop to `target` may carry many connections in one: where it leads to one instance, or to a peer's gateway,
/// which sends each request where it belongs. Not through a gateway that would pin all of them to one instance.
pub(crate) fn multiplexes(target: &Target) -> bool {
    let settled = target.via == Via::Direct || matches!(target.id.locus, Locus::Peer(_));
    target.protocol == Protocol::Http && settled && target.tls.is_some()
}

async fn handshake(
    worker: &Rc<Worker>,
    target: &Target,
    endpoint: &Endpoint,
    (tls, alpn): (&TargetTls, Alpn),
    tcp: TcpStream,
) -> Result<Stream, DialError> {
    let failed =
        |source| DialError::Tls { target: target.id.to_string(), endpoint: endpoint.address.clone(), source };
    let contexts = worker
        .shared
        .published
        .tls()
        .ok_or_else(|| DialError::NoIdentity { target: target.id.to_string() })?;
    let name =
        ServerName::try_from(tls.sni.as_str().to_owned()).map_err(|error| failed(io::Error::other(error)))?;
    let connector = TlsConnector::from(contexts.client(&tls.identities, alpn));
    let stream = connector.connect(name, tcp).await.map_err(failed)?;
    // A resumed session skips the verifier: what it rests on is judged anew.
    spillway_certs::authenticated(stream.get_ref().1, SystemTime::now())
        .map_err(|error| failed(io::Error::other(error)))?;
    Ok(Stream::Dialed(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_ourselves_is_not_held_against_an_endpoint() {
        let failed = |code| DialError::Connect {
            target: "api".to_owned(),
            endpoint: Address::Ip(([127, 0, 0, 1], 80).into()),
            source: io::Error::from_raw_os_error(code),
        };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            assert_eq!(failed(errno.raw_os_error()).outcome(), Outcome::Abandoned, "{errno}");
        }
        for errno in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT] {
            assert_eq!(failed(errno.raw_os_error()).outcome(), Outcome::ConnectFailed, "{errno}");
        }
        let no_identity = DialError::NoIdentity { target: "api".to_owned() };
        assert_eq!(no_identity.outcome(), Outcome::Abandoned);
    }
}
