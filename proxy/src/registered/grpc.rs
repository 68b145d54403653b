//! Checks by `grpc`: the gRPC health checking protocol (`grpc.health.v1.Health/Check`), where SERVING is passing.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, Request};
use spillway_core::entry::{Check, HealthStatus};

use super::Task;
use super::connect::connect;
use super::probe::Finding;

/// The most that is read of an answer, which has two bytes in it.
const MOST: usize = 4096;

/// `HealthCheckResponse.ServingStatus`.
const SERVING: u8 = 1;

/// Asks `host:port/service` once; without a service, about the server as a whole.
pub(super) async fn run(target: &str, check: &Check) -> io::Result<Finding> {
    let (address, service) = target.split_once('/').unwrap_or((target, ""));
    let stream = connect(address, check.use_tls.then_some(&[b"h2".as_slice()]), check).await?;
    let (mut sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
    let _driven = Task::spawn(async move {
        // Its error is the call's, too.
        let _ = connection.await;
    });
    let scheme = if check.use_tls { "https" } else { "http" };
    let request = Request::post(format!("{scheme}://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "Consul Health Check")
        .body(())
        .map_err(io::Error::other)?;
    let (response, mut body) = sender.send_request(request, false).map_err(io::Error::other)?;
    body.send_data(question(service), true).map_err(io::Error::other)?;
    let (head, body) = response.await.map_err(io::Error::other)?.into_parts();
    let (answer, trailers) = read(body).await.map_err(io::Error::other)?;
    Ok(meaning(head.status.as_u16(), &head.headers, &answer, &trailers))
}

/// A message of one string, behind gRPC's prefix.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

async fn read(mut body: RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let mut answer = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if answer.len() + data.len() > MOST {
            break;
        }
        answer.extend_from_slice(&data);
    }
    Ok((answer, body.trailers().await?.unwrap_or_default()))
}

/// The call's status stands in the trailers or, where there is nothing else to say, in the head.
fn meaning(status: u16, head: &HeaderMap, answer: &[u8], trailers: &HeaderMap) -> Finding {
    let field = |name: &str| {
        let value = trailers.get(name).or_else(|| head.get(name));
        value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let grpc_status = field("grpc-status");
    if status != 200 || grpc_status != "0" {
        let message = field("grpc-message");
        let why = format!("HTTP status {status}, grpc-status {grpc_status:?} {message}");
        return Finding::new(HealthStatus::Critical, why.trim_end());
    }
    match answer {
        // Five bytes of prefix, then field 1 of the message: a number.
        [_, _, _, _, _, 8, SERVING, ..] => Finding::new(HealthStatus::Passing, "SERVING"),
        [_, _, _, _, _, 8, other, ..] => {
            Finding::new(HealthStatus::Critical, format!("serving status {other}"))
        }
        _ => Finding::new(HealthStatus::Critical, "serving status UNKNOWN"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_the_service_or_asks_for_all() {
        assert_eq!(question(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(question("web"), &b"\0\0\0\0\x05\x0a\x03web"[..]);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn only_a_call_that_succeeds_and_says_serving_is_passing() {
        let said = |status: &str| {
            HeaderMap::from_iter([("grpc-status".parse().expect("a name"), status.parse().expect("a value"))])
        };
        let none = HeaderMap::new();
        let serving = b"\0\0\0\0\x02\x08\x01";
        for (status, head, answer, trailers, expected) in [
            (200, &none, &serving[..], &said("0"), HealthStatus::Passing),
            (200, &none, &serving[..], &said("14"), HealthStatus::Critical),
            (200, &none, &serving[..], &none, HealthStatus::Critical),
            (503, &none, &serving[..], &said("0"), HealthStatus::Critical),
            (200, &said("12"), &[][..], &none, HealthStatus::Critical),
            (200, &none, b"\0\0\0\0\x02\x08\x02", &said("0"), HealthStatus::Critical),
            (200, &none, b"\0\0\0\0\0", &said("0"), HealthStatus::Critical),
        ] {
            let found = meaning(status, head, answer, trailers);
            assert_eq!(found.status, expected, "{status} {head:?} {answer:?} {trailers:?}");
        }
    }
}
