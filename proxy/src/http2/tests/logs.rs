//! Lines of the access log for HTTP/2 and gRPC, on either side.

use super::applications::{http1, http2, nowhere};
use super::*;
use crate::access_log::testing::log_to;

/// Calls `path`, and checks the line that the access log then has.
async fn check(front: Front, application: SocketAddr, path: &str, format: &str, expected: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("access.log");
    let log = log_to(&file, format);
    let proxy = Proxy::serve_logged(Arc::new(front), front, &[application], None, None, Some(log));
    let mut client = proxy.http2().await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = soon(client.send_request(request("POST", path, &headers, "message"))).await;
    soon(Answer::read(answer.expect("an answer"))).await.expect("a whole answer");
    let written = || std::fs::read_to_string(&file).unwrap_or_default();
    let line = async {
        while !written().ends_with('\n') {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        written()
    };
    assert_eq!(soon(line).await, expected);
}

const GRPC: Front =
    Front { role: Role::Outbound, xfcc: None, protocol: Protocol::Grpc, thresholds: Thresholds::UNLIMITED };

#[tokio::test]
async fn a_call_is_logged_with_its_status_from_wherever_that_stood() {
    let format = "%PROTOCOL% %REQ(:AUTHORITY)%%REQ(:PATH)% %RESPONSE_CODE% %GRPC_STATUS% %GRPC_STATUS(NUMBER)% \
                  %TRAILER(X-TRAILING)% %BYTES_RECEIVED%/%BYTES_SENT% %RESPONSE_FLAGS%";
    for (path, expected) in [
        ("/call", "200 OK 0 yes 7/7 -\n"),
        ("/failing-call", "200 Unavailable 14 yes 7/7 -\n"),
        ("/refused-call", "200 Unimplemented 12 - 7/0 -\n"),
    ] {
        check(GRPC, http2().await, path, format, &format!("HTTP/2 web.example{path} {expected}")).await;
    }
    let plain = Front { protocol: Protocol::Http, ..GRPC };
    check(plain, http1().await, "/echo", format, "HTTP/2 web.example/echo 200 - - - 7/7 -\n").await;
}

#[tokio::test]
async fn a_call_that_nobody_takes_is_logged_with_its_flag() {
    let format =
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %GRPC_STATUS(SNAKE_STRING)% %BYTES_SENT% %SPILLWAY_TARGET%";
    check(GRPC, nowhere().await, "/call", format, "503 UF UNAVAILABLE 0 web.default.default.dc1\n").await;
}
