//! What ties requests together: legs that users stay on, endpoints chosen by hash, and the cookies for both.

use std::collections::{BTreeMap, BTreeSet};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use spillway_harness::{Client, Connection, Entry, Mesh, MeshBuilder, resolver, within};

/// Two versions of a service and two instances of a caller that ejects for half a second.
fn two_versions() -> MeshBuilder {
    let checks = "passive_health_check {\n max_failures = 5\n base_ejection_time = \"500ms\"\n}";
    Mesh::builder().cluster("dc1", |c| {
        let c = c.service("stable", 1).service("canary", 1);
        c.service_with("web", 2, |_, web| web.upstream_config(checks))
    })
}

/// The splitter of api: `canary` per cent to the canary, the rest stays.
fn splitter(canary: u32, rules: &str) -> Entry {
    let stable = 100 - canary;
    let text = format!(
        "Kind = \"service-splitter\"\nName = \"api\"\n{rules}\nSplits = [\n\
         {{ Weight = {stable}, Service = \"stable\" }},\n{{ Weight = {canary}, Service = \"canary\" }},\n]\n"
    );
    text.as_str().into()
}

const BY_USER: &str = "Sticky {\n Field = \"header\"\n FieldValue = \"x-user\"\n}";
const BY_COOKIE: &str = "Sticky {\n Field = \"cookie\"\n FieldValue = \"leg\"\n CookieConfig {\n TTL = \"1h\"\n Path = \"/\"\n }\n}";

async fn served_by(connection: &mut Connection, user: &str) -> String {
    connection.request("GET", "/", &[("x-user", user)]).await.served_by().to_owned()
}

/// Which of some users the canary serves.
async fn on_canary(client: &Client) -> BTreeSet<String> {
    let mut api = client.connect("api").await;
    let mut found = BTreeSet::new();
    for user in 0..400 {
        let user = format!("user-{user}");
        if served_by(&mut api, &user).await == "dc1/canary/0" {
            found.insert(user);
        }
    }
    found
}

#[tokio::test]
async fn every_sidecar_sends_a_user_to_the_same_leg_and_a_larger_canary_only_adds_users() {
    let mesh = two_versions().entry("dc1", splitter(5, BY_USER)).start().await;
    let small = on_canary(&mesh.client("dc1/web/0")).await;
    assert_eq!(on_canary(&mesh.client("dc1/web/1")).await, small);
    assert!((8..=36).contains(&small.len()), "{} of 400 are 5 %", small.len());
    mesh.apply("dc1", splitter(20, BY_USER)).await;
    let large = on_canary(&mesh.client("dc1/web/1")).await;
    assert!(small.is_subset(&large), "{:?} left", small.difference(&large));
    assert!((50..=110).contains(&large.len()), "{} of 400 are 20 %", large.len());
}

#[tokio::test]
async fn who_has_nothing_to_stick_to_takes_turns() {
    let mesh = two_versions().entry("dc1", splitter(50, BY_USER)).start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let mut canary = 0;
    for _ in 0..200 {
        canary += usize::from(api.get("/").await.served_by() == "dc1/canary/0");
    }
    assert!((97..=103).contains(&canary), "{canary} of 200");
}

/// The `name="value"` of an answer's only cookie.
fn pair(lines: &[&str]) -> String {
    let [line] = lines else { panic!("not one cookie: {lines:?}") };
    let (pair, attributes) = line.split_once("; ").unwrap_or_default();
    assert_eq!(attributes, "Max-Age=3600; Path=/; HttpOnly", "{line}");
    pair.to_owned()
}

#[tokio::test]
async fn a_cookie_is_set_over_http_1_and_keeps_its_bearer_on_a_leg() {
    let mesh = two_versions().entry("dc1", splitter(50, BY_COOKIE)).start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let mut legs = BTreeSet::new();
    for _ in 0..20 {
        let first = api.get("/").await;
        let cookies = first.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let cookie = pair(&cookies.map(|(_, value)| value.as_str()).collect::<Vec<_>>());
        legs.insert(first.served_by().to_owned());
        for _ in 0..5 {
            let again = api.request("GET", "/", &[("cookie", &cookie)]).await;
            assert_eq!((again.served_by(), again.header("set-cookie")), (first.served_by(), None));
        }
    }
    assert_eq!(legs.len(), 2, "strangers come to either leg");
}

#[tokio::test]
async fn a_cookie_is_set_over_http_2_and_keeps_its_bearer_on_a_leg() {
    let mesh = two_versions().entry("dc1", splitter(50, BY_COOKIE)).start().await;
    let stream = tokio::net::TcpStream::connect(mesh.client("dc1/web").address("api")).await;
    let io = TokioIo::new(stream.expect("the sidecar listens"));
    let (mut api, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    for _ in 0..10 {
        let mut cookie = None;
        let mut leg = None;
        for _ in 0..4 {
            let mut request = http::Request::builder().uri("http://api/");
            if let Some(cookie) = &cookie {
                request = request.header("cookie", cookie);
            }
            let request = request.body(Empty::<Bytes>::new()).expect("a request");
            let answer = within("an answer", api.send_request(request)).await.expect("an answer");
            let text = |name: &str| -> Vec<String> {
                let values = answer.headers().get_all(name).iter();
                values.map(|value| value.to_str().expect("text").to_owned()).collect()
            };
            let cookies = text("set-cookie");
            match &cookie {
                None => cookie = Some(pair(&cookies.iter().map(String::as_str).collect::<Vec<_>>())),
                Some(_) => assert_eq!(cookies, Vec::<String>::new()),
            }
            let served_by = text("x-served-by");
            assert_eq!(*leg.get_or_insert_with(|| served_by.clone()), served_by);
        }
    }
    connection.abort();
}

#[tokio::test]
async fn all_instances_of_a_caller_share_a_leg_by_their_identity() {
    let identity = "Sticky {\n Field = \"caller_identity\"\n}";
    let mesh = two_versions().entry("dc1", splitter(50, identity)).start().await;
    let mut legs = BTreeSet::new();
    for caller in ["dc1/web/0", "dc1/web/1"] {
        let mut api = mesh.client(caller).connect("api").await;
        for _ in 0..10 {
            legs.insert(api.get("/").await.served_by().to_owned());
        }
    }
    assert_eq!(legs.len(), 1, "{legs:?}");
}

#[tokio::test]
async fn a_source_address_stays_on_its_leg() {
    let source = "Sticky {\n Field = \"source_ip\"\n}";
    let mesh = two_versions().entry("dc1", splitter(50, source)).start().await;
    let web = mesh.client("dc1/web");
    let mut legs = BTreeSet::new();
    for _ in 0..10 {
        legs.insert(web.get("http://api/").await.served_by().to_owned());
    }
    assert_eq!(legs.len(), 1, "{legs:?}");
}

#[tokio::test]
async fn users_of_a_dead_leg_go_elsewhere_and_come_back() {
    let rules = format!("{BY_USER}\nEmptyLeg = \"renormalise\"");
    let mesh = two_versions().entry("dc1", splitter(50, &rules)).start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let mut homes = BTreeMap::new();
    for user in 0..40 {
        let user = format!("user-{user}");
        let home = served_by(&mut api, &user).await;
        homes.insert(user, home);
    }
    mesh.service("dc1/canary").refuse_connections();
    for user in homes.keys() {
        assert_eq!(served_by(&mut api, user).await, "dc1/stable/0");
    }
    assert!(mesh.sidecar("dc1/web/0").empty_legs("canary.default.default.dc1") > 0);
    mesh.service("dc1/canary").accept_connections().await;
    let canary = homes.iter().find(|(_, home)| *home == "dc1/canary/0").map(|(user, _)| user.clone());
    let canary = canary.expect("half of the users");
    let back = async { while served_by(&mut api, &canary).await != "dc1/canary/0" {} };
    within("the canary has its users again", back).await;
    for (user, home) in &homes {
        assert_eq!(served_by(&mut api, user).await, *home);
    }
}

/// What 100 requests get when the leg of half of them has no instance: by status, and how often it was reported.
async fn with_an_empty_leg(rule: &str) -> (BTreeMap<u16, usize>, u64) {
    let empty = format!(
        "Kind = \"service-splitter\"\nName = \"api\"\n{rule}\nSplits = [\n\
         {{ Weight = 50, Service = \"stable\" }},\n{{ Weight = 50, Service = \"nobody\" }},\n]\n"
    );
    let mesh = two_versions().entry("dc1", empty.as_str()).start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let mut statuses = BTreeMap::new();
    for _ in 0..100 {
        *statuses.entry(api.get("/").await.status).or_default() += 1;
    }
    (statuses, mesh.sidecar("dc1/web/0").empty_legs("nobody.default.default.dc1"))
}

#[tokio::test]
async fn an_empty_leg_is_reported_whatever_its_rule_makes_of_it() {
    for (rule, answers) in [
        ("", [(200, 50), (503, 50)].into()),
        ("EmptyLeg = \"fail\"", [(200, 50), (503, 50)].into()),
        ("EmptyLeg = \"next\"", BTreeMap::from([(200, 100)])),
        ("EmptyLeg = \"renormalise\"", [(200, 100)].into()),
    ] {
        let (statuses, reported) = with_an_empty_leg(rule).await;
        let near = |(status, count): (&u16, &usize)| {
            statuses.get(status).is_some_and(|found: &usize| found.abs_diff(*count) <= 2)
        };
        assert!(statuses.len() == answers.len() && answers.iter().all(near), "{rule}: {statuses:?}");
        assert!((48..=52).contains(&reported), "{rule}: {reported}");
    }
}

/// `ring_hash` of a resolver, and of a leg that a splitter chose.
#[tokio::test]
async fn requests_with_the_same_hash_reach_the_same_endpoint() {
    let by_user = "LoadBalancer {\n Policy = \"ring_hash\"\n HashPolicies = [\n\
                   { Field = \"header\", FieldValue = \"x-user\" },\n]\n}";
    let all =
        "Kind = \"service-splitter\"\nName = \"shop\"\nSplits = [\n{ Weight = 100, Service = \"api\" },\n]\n";
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 4).service("web", 2))
        .entry("dc1", resolver("api").with(by_user))
        .entry("dc1", all)
        .start()
        .await;
    let mut homes: BTreeMap<String, String> = BTreeMap::new();
    for caller in ["dc1/web/0", "dc1/web/1"] {
        for upstream in ["api", "shop"] {
            let mut connection = mesh.client(caller).connect(upstream).await;
            for user in 0..40 {
                let user = format!("user-{user}");
                let served = served_by(&mut connection, &user).await;
                assert_eq!(*homes.entry(user).or_insert_with(|| served.clone()), served, "{upstream}");
            }
        }
    }
    assert_eq!(homes.values().collect::<BTreeSet<_>>().len(), 4, "users spread over all instances");
}

#[tokio::test]
async fn a_hash_policy_makes_the_cookie_that_it_goes_by() {
    let cookie = "LoadBalancer {\n Policy = \"maglev\"\n HashPolicies = [\n\
                  { Field = \"cookie\", FieldValue = \"leg\", CookieConfig { TTL = \"1h\", Path = \"/\" } },\n]\n}";
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 4).service("web", 1))
        .entry("dc1", resolver("api").with(cookie))
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..10 {
        let first = api.get("/").await;
        let cookie = pair(&first.header("set-cookie").into_iter().collect::<Vec<_>>());
        for _ in 0..5 {
            let again = api.request("GET", "/", &[("cookie", &cookie)]).await;
            assert_eq!((again.served_by(), again.header("set-cookie")), (first.served_by(), None));
        }
    }
}
