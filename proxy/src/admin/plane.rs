//! Paths that only one kind of process has: a gateway's peerings, below `/v1/`, and a sidecar's `/explain`.
//!
//! The admin API reads the request, bounded in bytes and time, and asks the plane; what the plane does not know is
//! unknown.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

/// The longest body that is read: a peering token with many roots.
const MAX_BODY: usize = 1 << 20;

/// How long it may take to arrive.
const BODY: Duration = Duration::from_secs(10);

/// The part of the admin API that a plane answers itself.
pub trait PlaneApi: Debug + Send + Sync {
    /// What is answered to a request; None when the path is not the plane's.
    fn answer(&self, request: PlaneRequest) -> Pin<Box<dyn Future<Output = Option<PlaneAnswer>>>>;
}

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct PlaneRequest {
    /// HEAD is asked as GET.
    pub method: Method,
    /// Without the query.
    pub path: String,
    /// Without the `?`; empty when there is none.
    pub query: String,
    /// The body.
    pub body: Bytes,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct PlaneAnswer {
    /// Its status.
    pub status: StatusCode,
    /// JSON when it is a success, a line of text when not.
    pub body: String,
}

/// Whether a path may be a plane's: only such requests are read whole.
pub(super) fn may_answer(path: &str) -> bool {
    path == "/explain" || path.starts_with("/v1/")
}

impl PlaneAnswer {
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let json = self.status.is_success() && !self.body.is_empty();
        let content_type = if json { "application/json" } else { "text/plain; charset=UTF-8" };
        super::answer(self.status, content_type, self.body)
    }
}

/// Reads `request` whole; the answer to it when that cannot be done.
pub(super) async fn read(request: Request<Incoming>) -> Result<PlaneRequest, Response<Full<Bytes>>> {
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let Ok(Ok(body)) = tokio::time::timeout(BODY, body).await else {
        return Err(super::text(StatusCode::BAD_REQUEST, "the request's body is too long, or too slow\n"));
    };
    Ok(PlaneRequest { method, path, query, body: body.to_bytes() })
}
