//! What a sidecar's admin API says, read as any tool made for Envoy would read it.

use std::net::SocketAddr;

use http::StatusCode;
use serde_json::Value;

use crate::call::get;

/// An endpoint of one of the sidecar's targets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EndpointState {
    /// The target, as Envoy's cluster.
    pub(crate) cluster: String,
    /// `host:port`
    pub(crate) address: String,
    /// Taken out of the pick after failures in a row.
    pub(crate) ejected: bool,
    /// Out of the pick for any reason.
    pub(crate) healthy: bool,
    /// Connections that failed, since the sidecar started.
    pub(crate) connect_failures: u64,
    /// Requests, since the sidecar started.
    pub(crate) requests: u64,
}

/// Whether the process at `admin` says that it is ready.
pub(crate) async fn is_ready(admin: SocketAddr) -> bool {
    get(admin, "/ready", &[]).await.is_ok_and(|answer| answer.status == StatusCode::OK)
}

/// All endpoints that the sidecar at `admin` knows; none while it does not answer.
pub(crate) async fn endpoints(admin: SocketAddr) -> Vec<EndpointState> {
    match get(admin, "/clusters?format=json", &[]).await {
        Ok(answer) => read_endpoints(&serde_json::from_slice(&answer.body).unwrap_or_default()),
        Err(_) => Vec::new(),
    }
}

/// Takes what it finds: a field that is missing has its zero, as Envoy's JSON leaves zeros out.
fn read_endpoints(answer: &Value) -> Vec<EndpointState> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut endpoints = Vec::new();
    for cluster in list(&answer["cluster_statuses"]) {
        for host in list(&cluster["host_statuses"]) {
            let address = &host["address"]["socket_address"];
            let health = &host["health_status"];
            let flag = |name: &str| health[name].as_bool().unwrap_or_default();
            let ejected = flag("failed_outlier_check");
            let stats = list(&host["stats"]);
            let stat = |name: &str| {
                stats.iter().find(|stat| stat["name"] == name).map_or(0, |stat| number(&stat["value"]))
            };
            endpoints.push(EndpointState {
                cluster: cluster["name"].as_str().unwrap_or_default().to_owned(),
                address: format!(
                    "{}:{}",
                    address["address"].as_str().unwrap_or_default(),
                    number(&address["port_value"])
                ),
                ejected,
                healthy: !ejected
                    && !flag("failed_active_health_check")
                    && health["eds_health_status"].as_str().is_none_or(|status| status == "HEALTHY"),
                connect_failures: stat("cx_connect_fail"),
                requests: stat("rq_total"),
            });
        }
    }
    endpoints
}

/// Protobuf's JSON writes 64-bit numbers as strings.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_cluster_page_is_read_with_its_strings_for_numbers() {
        let page = serde_json::json!({ "cluster_statuses": [{
            "name": "failover-target~0~frontend.default.cluster-01.internal.a.consul",
            "host_statuses": [{
                "address": { "socket_address": { "address": "127.0.1.20", "port_value": 21000 } },
                "stats": [
                    { "name": "cx_connect_fail", "value": "5" },
                    { "name": "cx_total" },
                    { "name": "rq_total", "value": 7 },
                ],
                "health_status": { "eds_health_status": "HEALTHY", "failed_outlier_check": true },
            }],
        }, { "name": "empty" }]});
        let endpoint = EndpointState {
            cluster: "failover-target~0~frontend.default.cluster-01.internal.a.consul".into(),
            address: "127.0.1.20:21000".into(),
            ejected: true,
            healthy: false,
            connect_failures: 5,
            requests: 7,
        };
        assert_eq!(read_endpoints(&page), [endpoint]);
    }

    #[test]
    fn a_page_of_another_shape_has_no_endpoints() {
        for page in [Value::Null, serde_json::json!([]), serde_json::json!({ "cluster_statuses": 1 })] {
            assert_eq!(read_endpoints(&page), []);
        }
    }
}
