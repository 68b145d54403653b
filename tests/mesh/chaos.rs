//! Everything fails at some time, under traffic: what must hold all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spillway_harness::{Client, Mesh, Reply, Then, eventually, router};

const CALLERS: usize = 4;
const REQUESTS: usize = 150;

/// What a caller saw of one request.
struct Seen {
    id: String,
    post: bool,
    status: u16,
    answers: Option<String>,
    text: String,
}

/// Sends requests of both kinds, one after the other; a connection that ends is replaced.
async fn call(web: Client, caller: usize, progress: Arc<AtomicUsize>) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut api = web.connect("api").await;
    for i in 0..REQUESTS {
        let (id, post) = (format!("{caller}-{i}"), i % 2 == 0);
        let headers = [("x-request-id", id.as_str()), ("content-length", "0")];
        let (method, headers) = if post { ("POST", &headers[..]) } else { ("GET", &headers[..1]) };
        let answer = api.request(method, "/", headers).await;
        if !answer.keeps_alive() {
            api = web.connect("api").await;
        }
        let answers = answer.header("x-answers").map(str::to_owned);
        seen.push(Seen { id, post, status: answer.status, answers, text: answer.text() });
        progress.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

/// Section 10 of the reliability bars: sidecars and applications die, close and reset, one instance at a time. Every
/// GET is served, no POST is done twice, and every answer is that of its own request.
#[tokio::test]
async fn while_instances_fail_one_by_one_no_post_doubles_and_no_answer_is_swapped() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| {
            let checks = "passive_health_check {\n base_ejection_time = \"200ms\"\n}";
            c.service("api", 3).service_with("web", 1, |_, web| web.upstream_config(checks))
        })
        .entry(
            "dc1",
            router("api").route(r#"PathPrefix = "/""#, "NumRetries = 3\nRetryOn = [\"5xx\", \"reset\"]"),
        )
        .start()
        .await;
    let progress = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(call(mesh.client("dc1/web"), caller, Arc::clone(&progress))))
        .collect();
    let step = CALLERS * REQUESTS / 10;
    for round in 0..9 {
        let instance = mesh.instance(&format!("dc1/api/{}", round % 3));
        eventually("the callers get on", || progress.load(Ordering::Relaxed) >= round * step).await;
        match round / 3 {
            0 => instance.sidecar().kill(),
            1 => instance.app().kill(),
            _ => instance.app().reply(Reply::Nothing(if round == 8 { Then::Reset } else { Then::Close })),
        }
        let later = round * step + step / 2;
        eventually("the callers get on", || progress.load(Ordering::Relaxed) >= later).await;
        match round / 3 {
            0 => instance.sidecar().start().await,
            1 => instance.app().revive(),
            _ => instance.app().reply(Reply::Own(Then::GoOn)),
        }
        let endpoint = mesh.sidecar("dc1/web").endpoint(instance.address());
        eventually("the instance is back", || !endpoint.outlier().is_out()).await;
    }
    let mut served = 0;
    for caller in callers {
        for Seen { id, post, status, answers, text } in caller.await.expect("no caller panics") {
            let times = mesh.service("dc1/api").count_of(&id);
            match status {
                200 => assert_eq!(answers, Some(id.clone())),
                other => assert!(post && other == 503, "{id}: {other} {text}"),
            }
            assert!(!post || times <= 1, "{id} was done {times} times");
            served += usize::from(status == 200);
        }
    }
    assert!(served * 10 >= CALLERS * REQUESTS * 9, "{served} served");
}
