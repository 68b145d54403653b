//! An application that speaks HTTP/2 with prior knowledge, extended CONNECT (RFC 8441) unless told otherwise, and
//! HTTP/1.1 beside it on the same port, as many servers do.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::http::{Received, released};
use super::{Reply, State, Then, lock};
use crate::client::lines;

/// Answers streams until the caller has had enough.
pub(super) async fn converse(state: &Arc<State>, tcp: TcpStream) -> io::Result<()> {
    let mut first = [0; 3];
    tcp.peek(&mut first).await?;
    if first != *b"PRI" {
        return super::http::converse(state, tcp).await;
    }
    let mut builder = server::Builder::new();
    if lock(&state.script).tunnels {
        builder.enable_connect_protocol();
    }
    let mut connection = builder.handshake::<_, Bytes>(tcp).await.map_err(io::Error::other)?;
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = streams.join_next() => {}
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => drop(streams.spawn(serve(Arc::clone(state), request, respond))),
                // Its error is that a caller left: no fault of the application's.
                Some(Err(_)) | None => return Ok(()),
            },
        }
    }
}

/// One stream. What fails in it is its caller's affair.
async fn serve(state: Arc<State>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let _ = try_serve(&state, request, respond).await;
}

async fn try_serve(
    state: &State,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut received = begun(&request);
    let tunnel = request.extensions().get::<Protocol>().is_some();
    let mut body = request.into_body();
    let early = lock(&state.script).early();
    match early {
        _ if tunnel => {
            lock(&state.log).received.push(received.clone());
            let reply = lock(&state.script).next();
            return match reply {
                Reply::Own(Then::GoOn) => echo(state, body, respond).await,
                reply => answer(state, respond, reply, &received).await,
            };
        }
        Some(Reply::Early(status)) => {
            // Leaving the body unread resets the stream, with NO_ERROR as the answer is whole.
            return respond.send_response(head(state, &received, status, &[]), true).map(drop);
        }
        Some(Reply::Mirror) => {
            let head = head(state, &received, 200, &[]);
            lock(&state.log).received.push(received);
            return mirror(&mut body, respond.send_response(head, false)?).await;
        }
        Some(_) => {
            lock(&state.log).received.push(received.clone());
            released(state).await;
        }
        None => {}
    }
    let says_continue = lock(&state.script).says_continue;
    if received.header("expect").is_some() && says_continue {
        respond.send_informational(status(100))?;
    }
    while let Some(data) = body.data().await.transpose()? {
        received.body.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    received.trailers = body.trailers().await?.map(|map| lines(&map)).unwrap_or_default();
    let reply = match early {
        Some(_) => Reply::Own(Then::GoOn),
        None => {
            lock(&state.log).received.push(received.clone());
            lock(&state.script).next()
        }
    };
    answer(state, respond, reply, &received).await
}

async fn answer(
    state: &State,
    mut respond: SendResponse<Bytes>,
    reply: Reply,
    request: &Received,
) -> Result<(), h2::Error> {
    let name = Bytes::copy_from_slice(state.name.as_bytes());
    let own = |status, more: &[(&str, &str)]| head(state, request, status, more);
    let (response, body, trailers) = match reply {
        Reply::Own(Then::Reset) | Reply::Nothing(Then::Reset) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        }
        Reply::Own(then) | Reply::Nothing(then) => {
            if then == Then::Stall {
                released(state).await;
            }
            (own(200, &[]), vec![name], HeaderMap::new())
        }
        Reply::Status(status @ (204 | 304)) => (own(status, &[]), Vec::new(), HeaderMap::new()),
        Reply::Status(status) | Reply::Early(status) => (own(status, &[]), vec![name], HeaderMap::new()),
        Reply::Header(key, value) => (own(200, &[(key, value)]), vec![name], HeaderMap::new()),
        Reply::Echo => (own(200, &[]), vec![request.body.clone().into()], HeaderMap::new()),
        Reply::Hints => {
            let mut hints = status(103);
            hints.headers_mut().insert("link", HeaderValue::from_static("</style.css>"));
            respond.send_informational(hints)?;
            (own(200, &[]), vec![name], HeaderMap::new())
        }
        Reply::Chunked(pieces, trailers) => {
            let pieces = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
            let pairs = trailers.iter().copied();
            let pairs =
                pairs.map(|(key, value)| (HeaderName::from_static(key), HeaderValue::from_static(value)));
            (own(200, &[]), pieces, pairs.collect())
        }
        Reply::Halves => {
            let (first, second) = state.name.split_at(state.name.len() / 2);
            let mut stream = respond.send_response(own(200, &[]), false)?;
            stream.send_data(Bytes::copy_from_slice(first.as_bytes()), false)?;
            released(state).await;
            return stream.send_data(Bytes::copy_from_slice(second.as_bytes()), true);
        }
        Reply::Mirror | Reply::Unread => (own(200, &[]), vec![name], HeaderMap::new()),
        Reply::Bytes(..) => panic!("an application of HTTP/2 cannot send bytes of HTTP/1.1"),
    };
    let body = if request.method == "HEAD" { Vec::new() } else { body };
    let mut stream = respond.send_response(response, body.is_empty() && trailers.is_empty())?;
    let pieces = body.len();
    for (index, piece) in body.into_iter().enumerate() {
        send(&mut stream, piece, trailers.is_empty() && index + 1 == pieces).await?;
    }
    if trailers.is_empty() { Ok(()) } else { stream.send_trailers(trailers) }
}

/// Sends each piece back as it comes, then the trailers.
async fn mirror(body: &mut RecvStream, mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await.transpose()? {
        body.flow_control().release_capacity(data.len())?;
        send(&mut stream, data, false).await?;
    }
    match body.trailers().await? {
        Some(trailers) => stream.send_trailers(trailers),
        None => stream.send_data(Bytes::new(), true),
    }
}

/// Sends as fast as the other side takes it.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        while stream.capacity() == 0 {
            if std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.transpose()?.is_none() {
                return Err(Reason::CANCEL.into());
            }
        }
        let piece = data.split_to(data.len().min(stream.capacity()));
        stream.send_data(piece, last && data.is_empty())?;
    }
    Ok(())
}

/// Takes the tunnel that was asked for, and says back whatever it is told.
async fn echo(
    state: &State,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut response = status(200);
    let name = HeaderValue::from_str(&state.name).unwrap_or_else(|error| panic!("{error}"));
    response.headers_mut().insert("x-served-by", name);
    mirror(&mut body, respond.send_response(response, false)?).await
}

/// A request of which only the head has been read. `:protocol` and `:authority` stand among its headers.
fn begun(request: &Request<RecvStream>) -> Received {
    let mut headers = lines(request.headers());
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    for (name, value) in [(":protocol", protocol), (":authority", authority)] {
        headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    Received {
        method: request.method().to_string(),
        target: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
        version: "HTTP/2.0".to_owned(),
        headers,
        ..Received::default()
    }
}

fn status(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap_or_else(|error| panic!("{error}"))
}

/// What every answer begins with.
fn head(state: &State, request: &Received, status: u16, more: &[(&str, &str)]) -> Response<()> {
    let mut builder = Response::builder()
        .status(status)
        .header("x-served-by", &state.name)
        .header("x-answers", request.header("x-request-id").unwrap_or_default());
    if request.header("content-type").is_some_and(|value| value.starts_with("application/grpc")) {
        builder = builder.header("content-type", "application/grpc");
    }
    for (name, value) in more {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap_or_else(|error| panic!("{error}"))
}
