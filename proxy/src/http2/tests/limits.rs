use spillway_core::breaker::Load;

use super::applications::http2;
use super::*;

fn front(thresholds: Thresholds) -> Front {
    Front { thresholds, ..Front::default() }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let holding = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), holding).await.unwrap_or_else(|_| panic!("{what}"));
}

impl Proxy {
    fn load(&self) -> Arc<Load> {
        let snapshot = self.shared.published.load();
        let service = snapshot.service(ServiceSlot(0)).expect("there is one");
        Arc::clone(&service.table.resolvers[0].targets[0].breaker.load)
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_on_requests_are_turned_away_until_one_ends() {
    let limits = Thresholds { requests: 2, ..Thresholds::default() };
    let proxy = Proxy::start(front(limits), &[http2().await]);
    let load = proxy.load();
    let mut client = proxy.http2().await;
    let held: Vec<_> =
        (0..2).map(|_| tokio::spawn(client.send_request(request("GET", "/hold", &[], "")))).collect();
    until("two are held", || load.requests() == 2).await;
    let third = soon(client.send_request(request("GET", "/head", &[], ""))).await.expect("an answer");
    let third = soon(Answer::read(third)).await.expect("a whole answer");
    assert_eq!((third.status, third.header("x-envoy-overloaded")), (503, Some("true")));
    assert!(third.body.contains("MaxConcurrentRequests (2)"), "{}", third.body);
    held.iter().for_each(tokio::task::JoinHandle::abort);
    until("their end is counted", || load.requests() == 0).await;
    let fourth = soon(client.send_request(request("GET", "/head", &[], ""))).await.expect("an answer");
    assert_eq!(fourth.status(), 200);
}

#[tokio::test]
async fn streams_to_two_endpoints_take_turns_with_the_only_connection() {
    let limits = Thresholds { connections: 1, ..Thresholds::default() };
    let proxy = Proxy::start(front(limits), &[http2().await, http2().await]);
    let load = proxy.load();
    let client = proxy.http2().await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (mut client, load) = (client.clone(), Arc::clone(&load));
            tokio::spawn(async move {
                let answer = client.send_request(request("GET", "/head", &[], "")).await;
                assert!(load.connections() <= 1);
                answer.expect("an answer").status()
            })
        })
        .collect();
    for call in calls {
        assert_eq!(soon(call).await.expect("no call panics"), 200);
    }
    until("nothing is left over", || (load.pending(), load.requests()) == (0, 0)).await;
    let reached = |endpoint: &Arc<Endpoint>| proxy.shared.stats.sum(endpoint.uid, |it| &it.requests) > 0;
    assert!(proxy.endpoints.iter().all(reached), "both were asked");
}
