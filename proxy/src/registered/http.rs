//! Checks by `http`: a status of 2xx is passing, 429 a warning, everything else critical, as in Consul.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use spillway_core::entry::{Check, HealthStatus};

use super::Task;
use super::connect::connect;
use super::probe::Finding;

/// How often a check lets itself be sent elsewhere.
const MOST_REDIRECTS: usize = 10;

/// Asks `url` once, and whoever it refers to.
pub(super) async fn run(url: &str, check: &Check) -> io::Result<Finding> {
    let mut uri: Uri = url.parse().map_err(|error| invalid(url, error))?;
    let method = check.method.as_deref().unwrap_or("GET").to_uppercase();
    let mut method: Method = method.parse().map_err(|error| invalid(&method, error))?;
    let mut body = check.body.clone().unwrap_or_default();
    for _ in 0..=MOST_REDIRECTS {
        let response = ask(&uri, &method, &body, check).await?;
        let status = response.status();
        let Some(to) = redirect(&uri, &response).filter(|_| !check.disable_redirects) else {
            return Ok(Finding::new(meaning(status), format!("{method} {uri}: {status}")));
        };
        // What had a body loses it on the way, unless the redirect says otherwise (RFC 9110 section 15.4).
        if !matches!(status.as_u16(), 307 | 308) && method != Method::HEAD {
            method = Method::GET;
            body = String::new();
        }
        uri = to;
    }
    Ok(Finding::new(
        HealthStatus::Critical,
        format!("{url} leads through more than {MOST_REDIRECTS} redirects"),
    ))
}

fn meaning(status: StatusCode) -> HealthStatus {
    match status.as_u16() {
        200..=299 => HealthStatus::Passing,
        429 => HealthStatus::Warning,
        _ => HealthStatus::Critical,
    }
}

fn invalid(what: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{what:?}: {error}"))
}

async fn ask(
    uri: &Uri,
    method: &Method,
    body: &str,
    check: &Check,
) -> io::Result<Response<hyper::body::Incoming>> {
    let (host, tls, port) = match (uri.host(), uri.scheme_str()) {
        (Some(host), Some("http")) => (host, None, 80),
        (Some(host), Some("https")) => (host, Some(&[b"http/1.1".as_slice()][..]), 443),
        _ => return Err(io::Error::other(format!("{uri} is no http:// or https:// URL"))),
    };
    let stream = connect(&format!("{host}:{}", uri.port_u16().unwrap_or(port)), tls, check).await?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let _driven = Task::spawn(async move {
        // Its error is the request's, too.
        let _ = connection.await;
    });
    let request = request(uri, method, body, check)?;
    sender.send_request(request).await.map_err(io::Error::other)
}

fn request(uri: &Uri, method: &Method, body: &str, check: &Check) -> io::Result<Request<Full<Bytes>>> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{query}", if uri.path().is_empty() { "/" } else { uri.path() });
    let mut request = Request::new(Full::new(Bytes::from(body.to_owned())));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse().map_err(|error| invalid(&path, error))?;
    let headers = request.headers_mut();
    for (name, values) in &check.headers {
        let name: HeaderName = name.parse().map_err(|error| invalid(name, error))?;
        for value in values {
            headers.append(name.clone(), value.parse().map_err(|error| invalid(value, error))?);
        }
    }
    let authority = uri.authority().map_or("", |it| it.as_str());
    let authority = HeaderValue::from_str(authority).map_err(|error| invalid(authority, error))?;
    headers.entry(HOST).or_insert(authority);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("Consul Health Check"));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("text/plain, text/*, */*"));
    Ok(request)
}

/// Where a response sends its reader.
fn redirect<B>(from: &Uri, response: &Response<B>) -> Option<Uri> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to = response.headers().get(LOCATION)?.to_str().ok()?;
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let whole = if to.contains("://") {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{to}")
    };
    whole.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_read_against_where_it_came_from() {
        let from: Uri = "http://app:8080/up/health?full=1".parse().expect("a URL");
        for (status, location, expected) in [
            (302, "/other", Some("http://app:8080/other")),
            (301, "https://elsewhere/x", Some("https://elsewhere/x")),
            (303, "//elsewhere/x", Some("http://elsewhere/x")),
            (307, "deep?y", Some("http://app:8080/up/deep?y")),
            (308, "http://[", None),
            (304, "/other", None),
            (200, "/other", None),
        ] {
            let response = Response::builder().status(status).header(LOCATION, location).body(());
            let to = redirect(&from, &response.expect("a response")).map(|it| it.to_string());
            assert_eq!(to.as_deref(), expected, "{status} {location}");
        }
        let nowhere = Response::builder().status(302).body(()).expect("a response");
        assert_eq!(redirect(&from, &nowhere), None);
    }

    #[test]
    fn what_is_written_goes_before_what_consul_sends() {
        let headers = [("Host", vec!["app.internal"]), ("X-Two", vec!["a", "b"])];
        let headers =
            headers.map(|(name, values)| (name.into(), values.iter().map(|it| (*it).into()).collect()));
        let check = Check { headers: headers.into(), ..Check::default() };
        let uri = "http://127.0.0.1:80?deep".parse().expect("a URL");
        let request = request(&uri, &Method::PUT, "ping", &check).expect("a request");
        assert_eq!((request.method().as_str(), request.uri().to_string()), ("PUT", "/?deep".to_owned()));
        let header = |name| {
            request.headers().get_all(name).iter().map(|it| it.to_str().expect("text")).collect::<Vec<_>>()
        };
        assert_eq!((header("host"), header("x-two")), (vec!["app.internal"], vec!["a", "b"]));
        assert_eq!(header("user-agent"), ["Consul Health Check"]);
    }
}
