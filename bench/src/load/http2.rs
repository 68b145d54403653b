//! gRPC calls over HTTP/2 without TLS, one at a time on a connection.

use std::future::Future;
use std::io;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Target;

/// An empty message: not compressed, of no bytes.
const MESSAGE: &[u8] = &[0; 5];

/// Runs what hyper wants to run beside a connection on the same local set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// A connection that calls can be made on.
#[derive(Debug)]
pub(crate) struct Calls(SendRequest<Full<Bytes>>);

impl Calls {
    pub(super) async fn open(target: &Target) -> io::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            handshake(OnThisThread, TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends with its sender, or tells it that it has ended.
        tokio::task::spawn_local(connection);
        Ok(Self(sender))
    }

    /// The status, 500 for a call that failed, and the body.
    pub(super) async fn ask(&mut self, target: &Target) -> io::Result<(u16, Bytes)> {
        self.0.ready().await.map_err(io::Error::other)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(target.to_string())
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(Bytes::from_static(MESSAGE)))
            .map_err(io::Error::other)?;
        let answer = self.0.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        let said = answer.into_body().collect().await.map_err(io::Error::other)?;
        let succeeded = said.trailers().and_then(|it| it.get("grpc-status")).is_some_and(|it| it == "0");
        Ok((if succeeded { status } else { 500 }, said.to_bytes()))
    }
}
