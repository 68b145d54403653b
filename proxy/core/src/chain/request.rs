//! The overrides that a caller of `/v1/discovery-chain/:service` sends: Consul's JSON, read as loosely as Consul does.

use serde_json::{Map, Value};

use super::Overrides;
use crate::duration;
use crate::entry::{MeshGatewayMode, Protocol};

/// Why a request gets no chain, in the words of Consul's API.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRequest {
    /// The body is not JSON of the right shape.
    #[error("Request decoding failed: {0}")]
    Body(String),
    /// A gateway mode that there is not.
    #[error("Invalid OverrideMeshGateway.Mode parameter")]
    Mode,
    /// A protocol that there is not. Consul takes any word and treats it as tcp; nothing here can serve it.
    #[error("OverrideProtocol: {0:?} is none of tcp, http, http2, grpc")]
    Protocol(String),
}

/// Reads `OverrideProtocol`, `OverrideConnectTimeout` and `OverrideMeshGateway { Mode }`, in snake_case too. What
/// else is there says nothing.
///
/// # Errors
/// When the body cannot be read, or names a protocol or gateway mode that there is not.
pub fn overrides(body: &[u8]) -> Result<Overrides, InvalidRequest> {
    let undecodable = |error: serde_json::Error| InvalidRequest::Body(error.to_string());
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(undecodable)?;
    let mut overrides = Overrides::default();
    for (key, value) in &body {
        match folded(key).as_str() {
            "overrideprotocol" => overrides.protocol = protocol(value)?,
            "overrideconnecttimeout" => overrides.connect_timeout = connect_timeout(value)?,
            "overridemeshgateway" => overrides.mesh_gateway = mode(value)?,
            _ => {}
        }
    }
    Ok(overrides)
}

fn folded(key: &str) -> String {
    key.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

fn protocol(value: &Value) -> Result<Option<Protocol>, InvalidRequest> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => match Protocol::named(text) {
            Some(protocol) => Ok(Some(protocol)),
            None => Err(InvalidRequest::Protocol(text.clone())),
        },
        other => Err(InvalidRequest::Body(format!("OverrideProtocol: {other} is not a string"))),
    }
}

/// A Go duration, or a number of nanoseconds. Consul takes no notice of one that is not positive.
fn connect_timeout(value: &Value) -> Result<Option<std::time::Duration>, InvalidRequest> {
    let refused = |why: String| InvalidRequest::Body(format!("OverrideConnectTimeout: {why}"));
    let nanos = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => duration::parse(text).map_err(|error| refused(error.to_string()))?.nanos,
        other => other.as_i64().ok_or_else(|| refused(format!("{other} is not a duration")))?,
    };
    Ok(duration::Signed { nanos }.to_duration().filter(|timeout| !timeout.is_zero()))
}

/// `{ "Mode": "local" }`, or a list of one, as HCL turned to JSON has it.
fn mode(value: &Value) -> Result<MeshGatewayMode, InvalidRequest> {
    let map = match value {
        Value::Null => return Ok(MeshGatewayMode::Default),
        Value::Array(items) => items.first().and_then(Value::as_object),
        other => other.as_object(),
    };
    let not_a_map = || InvalidRequest::Body(format!("OverrideMeshGateway: {value} is not a map"));
    let modes = map.ok_or_else(not_a_map)?.iter().filter(|(key, _)| folded(key) == "mode");
    let mut mode = MeshGatewayMode::Default;
    for (_, value) in modes {
        mode = match value {
            Value::Null => MeshGatewayMode::Default,
            value => value.as_str().and_then(MeshGatewayMode::named).ok_or(InvalidRequest::Mode)?,
        };
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn overrides_are_read_in_either_style_and_loosely() {
        let timeout =
            |connect_timeout| Overrides { connect_timeout: Some(connect_timeout), ..Overrides::default() };
        let mode = |mesh_gateway| Overrides { mesh_gateway, ..Overrides::default() };
        let protocol = |it| Overrides { protocol: Some(it), ..Overrides::default() };
        for (body, expected) in [
            ("{}", Overrides::default()),
            (r#"{"OverrideProtocol": "", "OverrideMeshGateway": {}, "Other": 1}"#, Overrides::default()),
            (r#"{"OverrideProtocol": "grpc"}"#, protocol(Protocol::Grpc)),
            (r#"{"override_protocol": "HTTP"}"#, protocol(Protocol::Http)),
            (r#"{"OverrideConnectTimeout": "22s"}"#, timeout(Duration::from_secs(22))),
            (r#"{"override_connect_timeout": 5000000}"#, timeout(Duration::from_millis(5))),
            (r#"{"OverrideConnectTimeout": "-1s"}"#, Overrides::default()),
            (r#"{"OverrideMeshGateway": {"Mode": "remote"}}"#, mode(MeshGatewayMode::Remote)),
            (r#"{"override_mesh_gateway": [{"mode": "none"}]}"#, mode(MeshGatewayMode::None)),
            (r#"{"OverrideMeshGateway": {"Mode": ""}}"#, Overrides::default()),
        ] {
            assert_eq!(overrides(body.as_bytes()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_consuls_words() {
        for (body, message) in [
            ("", "Request decoding failed: "),
            ("[]", "Request decoding failed: "),
            (r#"{"OverrideProtocol": {}}"#, "Request decoding failed: OverrideProtocol"),
            (r#"{"OverrideConnectTimeout": "soon"}"#, "Request decoding failed: OverrideConnectTimeout"),
            (r#"{"OverrideConnectTimeout": 1.5}"#, "Request decoding failed: OverrideConnectTimeout"),
            (r#"{"OverrideMeshGateway": "local"}"#, "Request decoding failed: OverrideMeshGateway"),
            (
                r#"{"OverrideMeshGateway": {"Mode": "sideways"}}"#,
                "Invalid OverrideMeshGateway.Mode parameter",
            ),
            (r#"{"OverrideProtocol": "udp"}"#, "OverrideProtocol: \"udp\" is none of"),
        ] {
            let error = overrides(body.as_bytes()).expect_err(body).to_string();
            assert!(error.starts_with(message), "{body}: {error}");
        }
    }
}
