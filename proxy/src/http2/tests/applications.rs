//! Applications for the proxies under test.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// An address that nobody listens on.
pub(super) async fn nowhere() -> SocketAddr {
    listener().await.1
}

pub(super) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port 0 is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// An application that speaks HTTP/1.1.
pub(super) async fn http1() -> SocketAddr {
    let (listener, address) = listener().await;
    drop(tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let served = http1::Builder::new().serve_connection(TokioIo::new(tcp), service_fn(serve));
            drop(tokio::spawn(served));
        }
    }));
    address
}

/// An application that speaks HTTP/2.
pub(super) async fn http2() -> SocketAddr {
    let (listener, address) = listener().await;
    drop(tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let builder = http2::Builder::new(TokioExecutor::new());
            drop(tokio::spawn(builder.serve_connection(TokioIo::new(tcp), service_fn(serve))));
        }
    }));
    address
}

type Body = BoxBody<Bytes, hyper::Error>;

async fn serve(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        _ if request.method() == http::Method::HEAD => {
            let response = Response::builder().header("content-length", "5");
            response.body(text(String::new())).expect("a response")
        }
        "/head" => Response::new(text(describe(&request))),
        "/echo" => Response::new(request.into_body().boxed()),
        "/hold" => std::future::pending().await,
        "/pretend" => Response::builder()
            .status(503)
            .header("x-spillway-unprocessed", "UF")
            .header("x-own", "kept")
            .body(text(String::new()))
            .expect("a response"),
        "/call" => call(request, "0").await,
        "/failing-call" => call(request, "14").await,
        "/refused-call" => Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "12")
            .body(Empty::new().map_err(|never| match never {}).boxed())
            .expect("a response"),
        _ => Response::builder().status(404).body(text("nothing here\n".to_owned())).expect("a response"),
    })
}

fn text(text: String) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed()
}

/// The head as it arrived, a line each.
fn describe(request: &Request<Incoming>) -> String {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let mut text = format!("{} {target} {:?}\n", request.method(), request.version());
    if let Some(authority) = request.uri().authority() {
        text += &format!(":authority: {authority}\n");
    }
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\n", value.to_str().unwrap_or("?"));
    }
    text
}

/// Echoes a gRPC message, and says `status` behind it.
async fn call(request: Request<Incoming>, status: &'static str) -> Response<Body> {
    let message = request.into_body().collect().await.expect("the request is whole").to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    trailers.insert("x-trailing", HeaderValue::from_static("yes"));
    trailers.insert("x-forwarded-client-cert", HeaderValue::from_static("By=forged"));
    let body = Full::new(message).map_err(|never| match never {});
    Response::builder()
        .header("content-type", "application/grpc")
        .body(body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed())
        .expect("a response")
}

/// An application that drives HTTP/2 by hand: `serve` gets each connection.
pub(super) async fn by_hand<F, Fut>(builder: h2::server::Builder, serve: F) -> SocketAddr
where
    F: Fn(usize, h2::server::Connection<tokio::net::TcpStream, Bytes>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listener().await;
    drop(tokio::spawn(async move {
        for index in 0.. {
            let Ok((tcp, _)) = listener.accept().await else { return };
            let connection = builder.handshake(tcp).await.expect("a preface");
            drop(tokio::spawn(serve(index, connection)));
        }
    }));
    address
}
