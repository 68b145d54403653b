//! The demo's application: a real HTTP server that says who it is, as a process of its own.
//!
//! Its answers name service, cluster, instance and path, and who called, as the mesh vouches for it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

/// The answer's header that names the instance, as `CLUSTER/INSTANCE`.
pub(crate) const SERVED_BY: &str = "x-served-by";

/// Who this application says it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Identity {
    /// The service
    #[arg(long)]
    name: String,
    /// Its cluster
    #[arg(long)]
    cluster: String,
    /// The instance's id
    #[arg(long)]
    instance: String,
}

/// Serves until SIGTERM or SIGINT, then finishes the answers that it has begun.
pub(crate) async fn serve(identity: Identity, listen: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    LocalSet::new().run_until(accept(Rc::new(identity), listener)).await
}

async fn accept(identity: Rc<Identity>, listener: TcpListener) -> io::Result<()> {
    let mut ended = super::signals()?;
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that is gone before it is accepted is its caller's affair.
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn_local(converse(identity.clone(), stream, stopped.clone()));
            }
            Some(_) = connections.join_next() => {}
            _ = ended.next() => break,
        }
    }
    drop(listener);
    stop.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn converse(identity: Rc<Identity>, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(|request| {
        let answer = answer(&identity, &request);
        async { Ok::<_, Infallible>(answer) }
    });
    // Not worth failing for: it would only cost time.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    // Its error would be the caller's leaving early.
    let _ = connection.await;
}

fn answer(identity: &Identity, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let Identity { name, cluster, instance } = identity;
    let body = serde_json::json!({
        "service": name,
        "cluster": cluster,
        "instance": instance,
        "path": request.uri().path(),
        "caller": caller(request.headers()),
    });
    let mut response = Response::new(Full::from(format!("{body:#}\n")));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(&format!("{cluster}/{instance}")) {
        headers.insert(SERVED_BY, value);
    }
    response
}

/// The first caller's SPIFFE ID in `x-forwarded-client-cert`, which only the mesh can have written.
fn caller(headers: &HeaderMap) -> Option<&str> {
    let hops = headers.get("x-forwarded-client-cert")?.to_str().ok()?;
    hops.split(',').next()?.split(';').find_map(|field| field.strip_prefix("URI="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_the_oldest_hop() -> Result<(), http::Error> {
        let hops =
            "By=spiffe://b/x;Hash=00;URI=spiffe://a.consul/ns/default/dc/dc1/svc/web,By=c;URI=spiffe://b/gw";
        let request = Request::get("/").header("x-forwarded-client-cert", hops).body(())?;
        assert_eq!(caller(request.headers()), Some("spiffe://a.consul/ns/default/dc/dc1/svc/web"));
        Ok(())
    }
}
