//! Registered checks: the instance's own sidecar runs them, and whoever calls it goes elsewhere while one is critical.
//!
//! A second between two runs is the least that Consul knows, so these take a few.

use std::net::{SocketAddr, TcpListener, TcpStream};

use spillway_harness::{Mesh, Reply, Then, eventually};

/// Two instances of api, of which the first registers a check.
async fn checked(check: &str) -> Mesh {
    Mesh::builder()
        .cluster("dc1", |c| {
            let config = "passive_health_check {\n base_ejection_time = \"1s\"\n}";
            c.service_with("api", 2, |i, api| if i == 0 { api.check(check) } else { api }).service_with(
                "web",
                1,
                |_, web| web.upstream_config(config),
            )
        })
        .start()
        .await
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

/// What a check looks at: it is well while this listens.
struct Watched {
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Watched {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").expect("port 0 is free");
        Self { address: listener.local_addr().expect("it is bound"), listener: Some(listener) }
    }

    fn check(&self) -> String {
        format!("id = \"watched\"\n tcp = \"{}\"\n interval = \"1s\"", self.address)
    }

    fn fail(&mut self) {
        drop(self.listener.take());
    }

    fn recover(&mut self) {
        self.listener = Some(TcpListener::bind(self.address).expect("nobody else binds it"));
    }
}

#[tokio::test]
async fn an_instance_takes_no_connections_while_a_check_is_critical() {
    let mut watched = Watched::start();
    let mesh = checked(&watched.check()).await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let sidecar = mesh.instance("dc1/api/0").address();
    assert!(!refuses(sidecar));
    watched.fail();
    eventually("the sidecar refuses connections", || refuses(sidecar)).await;
    for _ in 0..20 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/1");
    }
    watched.recover();
    eventually("the sidecar accepts connections", || !refuses(sidecar)).await;
    let returned = async { while api.get("/").await.served_by() != "dc1/api/0" {} };
    spillway_harness::within("its share returns", returned).await;
}

#[tokio::test]
async fn what_is_in_flight_ends_well_and_what_comes_later_moves_on() {
    let mut watched = Watched::start();
    let mesh = checked(&watched.check()).await;
    mesh.sidecar("dc1/api/1").kill();
    mesh.app("dc1/api/0").reply_times(1, Reply::Nothing(Then::Stall));
    let web = mesh.client("dc1/web");
    // Another connection between the sidecars, which idles.
    let (mut stalled, mut idle) = (web.connect("api").await, web.connect("api").await);
    stalled.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    mesh.app("dc1/api/0").has_received(1).await;
    assert_eq!(idle.get("/").await.served_by(), "dc1/api/0");
    watched.fail();
    eventually("the sidecar refuses connections", || refuses(mesh.instance("dc1/api/0").address())).await;
    assert_eq!(idle.get("/").await.status, 503, "nobody else is there");
    assert_eq!(mesh.sidecar("dc1/api/0").refusals("UH"), 1, "it came over the idle connection");
    mesh.sidecar("dc1/api/1").start().await;
    assert_eq!(idle.get("/").await.served_by(), "dc1/api/1");
    mesh.app("dc1/api/0").release();
    assert_eq!(stalled.answer().await.served_by(), "dc1/api/0");
}

#[tokio::test]
async fn an_application_that_answers_500_to_its_check_is_left_alone() {
    let mesh = checked("http = \"http://APP/up\"\n interval = \"1s\"\n failures_before_critical = 2").await;
    mesh.app("dc1/api/0").has_received(1).await;
    let asked = mesh.app("dc1/api/0").last();
    assert_eq!((asked.target.as_str(), asked.header("user-agent")), ("/up", Some("Consul Health Check")));
    mesh.app("dc1/api/0").reply(Reply::Status(500));
    eventually("the sidecar refuses connections", || refuses(mesh.instance("dc1/api/0").address())).await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..10 {
        assert_eq!(api.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_status_that_was_written_counts_until_the_first_run() {
    let watched = Watched::start();
    let mesh = checked(&format!("status = \"critical\"\n {}", watched.check().replace("1s", "10m"))).await;
    let sidecar = mesh.instance("dc1/api/0").address();
    assert!(refuses(sidecar));
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..10 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/1");
    }
}
