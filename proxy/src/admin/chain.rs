//! `/v1/discovery-chain/:service`: the chain as Consul's API answers it, compiled from the configuration in force.

use hyper::{Method, StatusCode};
use spillway_core::chain::{Context, Overrides, compile, json, request};
use spillway_core::name::Datacenter;

use super::plane::{PlaneAnswer, PlaneRequest};
use crate::process::Inputs;

/// Where the service's name begins.
pub(super) const PREFIX: &str = "/v1/discovery-chain/";

/// GET compiles as the entries say, POST with the overrides in its body; `compile-dc` says where.
pub(super) fn answer(inputs: &Inputs, request: &PlaneRequest) -> PlaneAnswer {
    let PlaneRequest { method, path, query, body } = request;
    let overrides = match *method {
        Method::GET => Ok(Overrides::default()),
        Method::POST => request::overrides(body),
        _ => return refused(StatusCode::METHOD_NOT_ALLOWED, format_args!("method {method} not allowed")),
    };
    let overrides = match overrides {
        Ok(overrides) => overrides,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error),
    };
    let service = match path.strip_prefix(PREFIX).unwrap_or_default() {
        "" => return refused(StatusCode::BAD_REQUEST, "Missing chain name"),
        name => match name.parse() {
            Ok(service) => service,
            Err(error) => return refused(StatusCode::BAD_REQUEST, error),
        },
    };
    let compile_dc = query.split('&').find_map(|pair| pair.strip_prefix("compile-dc="));
    let datacenter: Datacenter = match compile_dc.filter(|name| !name.is_empty()).map(str::parse) {
        None => inputs.config.agent.datacenter.clone(),
        Some(Ok(datacenter)) => datacenter,
        Some(Err(error)) => return refused(StatusCode::BAD_REQUEST, error),
    };
    let cx = Context { service, datacenter, trust_domain: inputs.trust_domain.clone(), overrides };
    match compile(&inputs.config.entries, &cx) {
        Ok(chain) => PlaneAnswer { status: StatusCode::OK, body: format!("{:#}\n", json::to_value(&chain)) },
        Err(error) => refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            format_args!("failed to compile discovery chain: {error}"),
        ),
    }
}

fn refused(status: StatusCode, why: impl std::fmt::Display) -> PlaneAnswer {
    PlaneAnswer { status, body: format!("{why}\n") }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use bytes::Bytes;
    use serde_json::Value;

    use super::*;

    const ENTRIES: &str = r#"
        Kind = "service-resolver"
        Name = "web"
        ConnectTimeout = "3s"
    "#;

    fn ask(method: Method, path: &str, query: &str, body: &str) -> io::Result<(u16, String)> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("web.hcl"), ENTRIES)?;
        let trust_domain = "td.consul".parse().map_err(io::Error::other)?;
        let inputs = Inputs::read(&[directory.path().to_owned()], &trust_domain)
            .map_err(|problems| io::Error::other(format!("{problems:?}")))?;
        let body = Bytes::from(body.to_owned());
        let request = PlaneRequest { method, path: path.to_owned(), query: query.to_owned(), body };
        let answer = answer(&inputs, &request);
        Ok((answer.status.as_u16(), answer.body))
    }

    fn chain(answer: (u16, String)) -> io::Result<Value> {
        assert_eq!(answer.0, 200, "{}", answer.1);
        let answer: Value = serde_json::from_str(&answer.1)?;
        Ok(answer["Chain"].clone())
    }

    #[test]
    fn the_chain_of_any_service_is_answered_as_consul_does() -> io::Result<()> {
        let web = chain(ask(Method::GET, "/v1/discovery-chain/web", "", "")?)?;
        assert_eq!(web["Nodes"]["resolver:web.default.default.dc1"]["Resolver"]["ConnectTimeout"], "3s");
        assert_eq!(web["Targets"]["web.default.default.dc1"]["SNI"], "web.default.dc1.internal.td.consul");
        let other = chain(ask(Method::GET, "/v1/discovery-chain/other", "dc=x&compile-dc=dc2", "")?)?;
        assert_eq!(other["StartNode"], "resolver:other.default.default.dc2");
        assert_eq!(other["Default"], true);
        Ok(())
    }

    #[test]
    fn a_post_has_overrides_in_its_body() -> io::Result<()> {
        let body = r#"{"OverrideProtocol": "grpc", "override_mesh_gateway": {"Mode": "local"}}"#;
        let web = chain(ask(Method::POST, "/v1/discovery-chain/web", "", body)?)?;
        assert_eq!(web["Protocol"], "grpc");
        assert_eq!(web["Targets"]["web.default.default.dc1"]["MeshGateway"]["Mode"], "local");
        assert!(web["CustomizationHash"].is_string());
        Ok(())
    }

    #[test]
    fn what_consul_refuses_is_refused_with_its_status() -> io::Result<()> {
        for (method, path, body, status, message) in [
            (Method::GET, "", "", 400, "Missing chain name"),
            (Method::GET, "a/b", "", 400, ""),
            (Method::POST, "web", "", 400, "Request decoding failed: "),
            (
                Method::POST,
                "web",
                r#"{"OverrideMeshGateway": {"Mode": "x"}}"#,
                400,
                "Invalid OverrideMeshGateway.Mode parameter\n",
            ),
            (Method::DELETE, "web", "", 405, "method DELETE not allowed"),
        ] {
            let answer = ask(method, &format!("{PREFIX}{path}"), "", body)?;
            assert_eq!(answer.0, status, "{path} {body}: {}", answer.1);
            assert!(answer.1.starts_with(message), "{}", answer.1);
        }
        Ok(())
    }
}
