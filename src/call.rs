//! A small HTTP/1.1 caller: for the admin API, and for the demo's traffic.
//!
//! Every call has a deadline and every body a limit, so that nobody who is called can hang the program.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The longest that connecting may take, and any call that does not ask for more.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pages of the admin API are far smaller.
const BODY_LIMIT: usize = 8 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody accepted.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    /// The connection broke before the whole answer was there.
    #[error("no whole answer from {address}: {source}")]
    Exchange { address: String, source: Box<dyn Error + Send + Sync> },
    /// A deadline passed.
    #[error("{address} did not answer within {} s", within.as_secs())]
    Late { address: String, within: Duration },
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

/// One kept connection, used by one caller at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    deadline: Duration,
    sender: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects to `address`, a `host:port`.
    pub(crate) async fn open(address: impl fmt::Display) -> Result<Self, CallError> {
        let address = address.to_string();
        let stream = match timeout(DEADLINE, TcpStream::connect(&address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(source)) => return Err(CallError::Connect { address, source }),
            Err(_) => return Err(CallError::Connect { address, source: io::ErrorKind::TimedOut.into() }),
        };
        // Not worth failing for: it would only cost time.
        let _ = stream.set_nodelay(true);
        match http1::handshake(TokioIo::new(stream)).await {
            Ok((sender, connection)) => {
                // Its error is the pending call's error too.
                let driver = tokio::spawn(async { drop(connection.await) });
                Ok(Self { address, deadline: DEADLINE, sender, driver })
            }
            Err(source) => Err(CallError::Exchange { address, source: source.into() }),
        }
    }

    /// Lets each call on it take up to `deadline`.
    pub(crate) fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Asks for `path` with `headers` and reads the whole answer.
    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, CallError> {
        self.call(Method::GET, path, headers, Bytes::new()).await
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let exchange = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, BODY_LIMIT).collect().await?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        match timeout(self.deadline, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(CallError::Exchange { address: self.address.clone(), source }),
            Err(_) => Err(CallError::Late { address: self.address.clone(), within: self.deadline }),
        }
    }

    /// Whether another call can be made on it.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Answer {
    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One `GET` on a connection of its own.
pub(crate) async fn get(
    address: impl fmt::Display,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, CallError> {
    Connection::open(address).await?.get(path, headers).await
}
