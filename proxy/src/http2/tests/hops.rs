use spillway_certs::{Ca, KeyType, TlsPolicy, TrustBundles};
use spillway_core::entry::CaConfig;
use spillway_core::name::{Datacenter, ServiceName, Sni, SpiffeId};

use super::applications::{http2, nowhere};
use super::*;
use crate::inbound::Inbound;

/// Two sidecars with mTLS between them: the one of `client`, and that of `web` before an application.
struct Hop {
    outbound: Proxy,
    inbound: Proxy,
}

impl Hop {
    fn start(application: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ca = Ca::init(directory.path(), None, &CaConfig::default()).expect("a CA");
        let (web, datacenter): (ServiceName, Datacenter) =
            ("web".parse().expect("a name"), "dc1".parse().expect("a name"));
        let identity = |service: &ServiceName| SpiffeId::service(ca.trust_domain(), &datacenter, service);
        let contexts = |service: &ServiceName| {
            let hour = Duration::from_hours(1);
            let leaf = ca.issue(&identity(service), hour, KeyType::default()).expect("a leaf");
            let bundles = TrustBundles::new(ca.trust_domain().clone(), ca.roots()).expect("a bundle");
            let policy = TlsPolicy::from_mesh(None).expect("defaults");
            Some(TlsContexts::new(Arc::new(leaf), bundles, policy).expect("contexts"))
        };
        let serve = Inbound { slot: ServiceSlot(0), identity: identity(&web) };
        let front = Front { role: Role::Inbound, protocol: Protocol::Grpc, ..Front::default() };
        let inbound = Proxy::serve(Arc::new(serve), front, &[application], contexts(&web), None);
        let tls = TargetTls {
            sni: Sni::internal(None, &web, &datacenter, ca.trust_domain()),
            identities: [identity(&web)].into(),
        };
        let front = Front { protocol: Protocol::Grpc, ..Front::default() };
        let contexts = contexts(&"client".parse().expect("a name"));
        let outbound = Proxy::serve(Arc::new(front), front, &[inbound.address], contexts, Some(tls));
        Self { outbound, inbound }
    }
}

#[tokio::test]
async fn a_call_crosses_two_sidecars() {
    let hop = Hop::start(http2().await);
    let mut client = hop.outbound.http2().await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = soon(client.send_request(request("POST", "/call", &headers, "message"))).await;
    let answer = soon(Answer::read(answer.expect("an answer"))).await.expect("a whole answer");
    assert_eq!(
        (answer.body.as_str(), &answer.trailers["grpc-status"]),
        ("message", &"0".parse().expect("a value"))
    );
    let forged = [("x-forwarded-client-cert", "By=forged")];
    for answer in [
        soon(client.send_request(request("GET", "/head", &forged, ""))).await,
        soon(hop.outbound.http1().await.send_request(origin(request("GET", "/head", &forged, "")))).await,
    ] {
        let body = soon(Answer::read(answer.expect("an answer"))).await.expect("a whole answer").body;
        let vouched: Vec<_> =
            body.lines().filter(|line| line.starts_with("x-forwarded-client-cert")).collect();
        assert!(matches!(vouched[..], [line] if line.contains("/svc/client")), "{body}");
        assert!(body.starts_with("GET /head HTTP/2.0\n:authority: web.example\n"), "{body}");
    }
    let inbound = hop.inbound.stats.sum(|counters| &counters.requests);
    assert_eq!((inbound, hop.outbound.stats.sum(|counters| &counters.moved_on)), (3, 0));
}

#[tokio::test]
async fn a_sidecar_that_cannot_reach_its_application_says_that_nothing_was_processed() {
    let hop = Hop::start(nowhere().await);
    for headers in [&[][..], &[("content-type", "application/grpc")]] {
        let post = request("POST", "/", headers, "body");
        let answer = soon(hop.outbound.http2().await.send_request(post)).await;
        let answer = soon(Answer::read(answer.expect("an answer"))).await.expect("a whole answer");
        assert_eq!(answer.header("x-spillway-unprocessed"), None, "it stays between the sidecars");
        let refused = answer.status == 503 || answer.header("grpc-status") == Some("14");
        assert!(refused, "{answer:?}");
    }
    let moved_on = hop.outbound.stats.sum(|counters| &counters.moved_on);
    assert_eq!(moved_on, 2, "both were free to go elsewhere");
    assert_eq!(hop.outbound.endpoints[0].outlier().connect_failures, 2);
}
