//! Splitters and subsets: the shares that legs get, and which instances make up a subset.

use std::collections::BTreeMap;

use spillway_harness::{Client, Entry, Mesh, MeshBuilder, resolver, router, splitter};

/// Two instances of api, the first of version v1, the second of v2, and a caller.
fn two_versions() -> MeshBuilder {
    Mesh::builder().cluster("dc1", |c| {
        c.service_with("api", 2, |i, instance| instance.meta("version", ["v1", "v2"][i]))
            .service("rewrite", 1)
            .service("web", 1)
    })
}

/// How many points a splitter has: after as many requests its shares are exact.
const WHOLE: usize = 10_000;

/// Enough to see who serves at all.
const SOME: usize = 200;

/// Who serves `n` requests over one connection, and how often.
async fn served(client: &Client, upstream: &str, n: usize) -> BTreeMap<String, usize> {
    const PIPELINED: usize = 50;
    let mut connection = client.connect(upstream).await;
    let mut served = BTreeMap::new();
    for _ in 0..n / PIPELINED {
        connection.send(&"GET / HTTP/1.1\r\nhost: api\r\n\r\n".repeat(PIPELINED)).await;
        for _ in 0..PIPELINED {
            let answer = connection.answer().await;
            *served.entry(answer.served_by().to_owned()).or_default() += 1;
        }
    }
    served
}

fn shares<const N: usize>(of: [(&str, usize); N]) -> BTreeMap<String, usize> {
    of.into_iter().map(|(name, share)| (name.to_owned(), share)).collect()
}

/// Rows 4.18, 4.28: across services, and a leg that names none is the splitter's own service.
#[tokio::test]
async fn two_equal_legs_serve_half_of_the_requests_each() {
    let mesh = two_versions()
        .entry("dc1", splitter("api", &[(50.0, "api.v1"), (50.0, "rewrite")]))
        .entry("dc1", resolver("api").subset_by_version("v1"))
        .start()
        .await;
    let served = served(&mesh.client("dc1/web"), "api", WHOLE).await;
    assert_eq!(served, shares([("dc1/api/0", 5_000), ("dc1/rewrite/0", 5_000)]));
}

/// Rows 4.19, 4.27, 4.35: a canary of one per cent.
#[tokio::test]
async fn subsets_of_one_service_get_the_shares_of_their_legs() {
    let mesh = two_versions()
        .entry("dc1", splitter("api", &[(99.0, "api.v1"), (1.0, "api.v2")]))
        .entry("dc1", resolver("api").subset_by_version("v1").subset_by_version("v2"))
        .start()
        .await;
    let served = served(&mesh.client("dc1/web"), "api", WHOLE).await;
    assert_eq!(served, shares([("dc1/api/0", 9_900), ("dc1/api/1", 100)]));
}

/// Row 4.36.
#[tokio::test]
async fn without_a_subset_everything_goes_to_the_default_subset() {
    let mesh = two_versions()
        .entry("dc1", resolver("api").subset_by_version("v2").with("DefaultSubset = \"v2\""))
        .start()
        .await;
    let served = served(&mesh.client("dc1/web"), "api", SOME).await;
    assert_eq!(served, shares([("dc1/api/1", SOME)]));
}

/// Row 4.30: a quarter, a quarter, a half.
#[tokio::test]
async fn the_shares_of_nested_splitters_multiply() {
    let mesh = two_versions()
        .entry("dc1", splitter("api", &[(50.0, "api.v1"), (50.0, "api.v2")]))
        .entry("dc1", resolver("api").subset_by_version("v1").subset_by_version("v2"))
        .entry("dc1", splitter("shop", &[(50.0, "api"), (50.0, "rewrite")]))
        .start()
        .await;
    let served = served(&mesh.client("dc1/web"), "shop", WHOLE).await;
    assert_eq!(served, shares([("dc1/api/0", 2_500), ("dc1/api/1", 2_500), ("dc1/rewrite/0", 5_000)]));
}

/// One entry does what takes three without `Peer` in a split: the same shares of the same instances.
#[tokio::test]
async fn a_peer_named_in_a_split_gets_what_it_gets_by_a_helper_resolver() {
    let split = |name: &str, other: &str| {
        let text = format!(
            "Kind = \"service-splitter\"\nName = \"{name}\"\nSplits = [\n\
             {{ Weight = 50, Service = \"api\" }},\n{{ Weight = 50, {other} }},\n]\n"
        );
        Entry::from(text.as_str())
    };
    let redirect = "Redirect {\n  Service = \"api\"\n  Peer    = \"dc2\"\n}";
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 1).service("web", 1))
        .cluster("dc2", |c| c.service("api", 1).exports("api", "dc1"))
        .entry("dc1", split("one", "Service = \"api\", Peer = \"dc2\""))
        .entry("dc1", split("three", "Service = \"api-peer\""))
        .entry("dc1", resolver("api-peer").with(redirect))
        .start()
        .await;
    let web = mesh.client("dc1/web");
    let halves = shares([("dc1/api/0", 5_000), ("dc2/api/0", 5_000)]);
    assert_eq!(served(&web, "one", WHOLE).await, halves);
    assert_eq!(served(&web, "three", WHOLE).await, halves);
}

#[tokio::test]
async fn a_peer_named_in_a_route_serves_it() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 1).service("web", 1))
        .cluster("dc2", |c| c.service("api", 1).exports("api", "dc1"))
        .entry("dc1", router("api").route("PathPrefix = \"/far\"", "Peer = \"dc2\""))
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    assert_eq!(api.get("/far").await.served_by(), "dc2/api/0");
    assert_eq!(api.get("/near").await.served_by(), "dc1/api/0");
}

/// Row 4.41.
#[tokio::test]
async fn without_any_entry_every_instance_serves() {
    let mesh = two_versions().start().await;
    let served = served(&mesh.client("dc1/web"), "api", SOME).await;
    assert!(served.len() == 2 && served.values().all(|share| *share >= SOME / 5), "{served:?}");
}
