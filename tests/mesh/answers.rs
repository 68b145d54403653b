//! Every answer that Spillway makes itself: its status, its one line of text, and its flag in log and counters.

use spillway_harness::{AccessLog, Answer, Mesh, Proxy, Reply, Then, resolver, router};

/// Web may have no request under way to full.
const NO_REQUESTS: &str = r#"
Kind = "service-defaults"
Name = "web"
UpstreamConfig { Overrides = [{ Name = "full", Limits { MaxConcurrentRequests = 0 } }] }
"#;

/// How an answer of our own is provoked, and what it has to be.
struct Row {
    /// Whom the request is sent to, and the request.
    upstream: &'static str,
    request: String,
    /// What the application does with it, if it gets there.
    reply: Reply,
    /// Whose sidecar answers.
    by: &'static str,
    status: u16,
    flag: &'static str,
    /// What the line of text names.
    names: [&'static str; 2],
}

impl Row {
    /// A POST to `upstream`, which is not sent twice.
    fn new(upstream: &'static str, by: &'static str, status: u16, flag: &'static str) -> Self {
        let request = format!("POST /{flag} HTTP/1.1\r\nhost: {upstream}\r\ncontent-length: 0\r\n\r\n");
        Self { upstream, request, reply: Reply::Own(Then::GoOn), by, status, flag, names: ["", ""] }
    }

    fn names(mut self, cause: &'static str, target: &'static str) -> Self {
        self.names = [cause, target];
        self
    }

    fn reply(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    fn malformed(mut self, request: &str) -> Self {
        self.request = request.to_owned();
        self
    }
}

fn rows() -> Vec<Row> {
    let many = "x: 1\r\n".repeat(101);
    let bad_answer = Reply::Bytes("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", Then::Close);
    vec![
        Row::new("api", "dc1/web", 400, "DPE")
            .malformed("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")
            .names("malformed request", "more than one Host"),
        Row::new("api", "dc1/web", 431, "DPE")
            .malformed(&format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"))
            .names("malformed request", "too many header lines"),
        Row::new("empty", "dc1/web", 503, "UH").names("no available endpoint", "empty.default.default.dc1"),
        Row::new("dead", "dc1/web", 503, "UF")
            .names("every connection attempt failed", "dead.default.default.dc1"),
        Row::new("api", "dc1/api", 503, "UC")
            .reply(Reply::Nothing(Then::Reset))
            .names("closed the connection before its answer", "api.default.default.dc1"),
        Row::new("api", "dc1/api", 502, "UPE")
            .reply(bad_answer)
            .names("malformed Content-Length", "api.default.default.dc1"),
        Row::new("full", "dc1/web", 503, "UO")
            .names("limit reached: MaxConcurrentRequests (0)", "full.default.default.dc1"),
        Row::new("timed", "dc1/web", 504, "UT")
            .reply(Reply::Nothing(Then::Stall))
            .names("request timeout", "api.default.default.dc1"),
    ]
}

/// Whether `answer` is what the row says, and so are the counter, which was `before`, and the log.
async fn check(row: &Row, answer: &Answer, counted: (u64, u64), log: &AccessLog) {
    let text = answer.text();
    assert_eq!(answer.status, row.status, "{}: {text}", row.flag);
    assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{text:?} is one line");
    assert!(row.names.iter().all(|name| text.contains(name)), "{text:?} names {:?}", row.names);
    assert_eq!(answer.header("content-type"), Some("text/plain"), "{}", row.flag);
    assert_eq!(counted.1, counted.0 + 1, "{} in /stats", row.flag);
    let line = log.line(row.flag, |line| {
        (line["response_flags"].as_str(), line["response_code"].as_u64())
            == (Some(row.flag), Some(row.status.into()))
    });
    let line = line.await;
    assert_eq!(line["spillway"]["reason"].as_str(), Some(text.trim_end()), "{line:#}");
    assert_eq!(line["bytes_sent"], text.len(), "{line:#}");
    assert!(line["response_code_details"].is_string(), "{line:#}");
}

/// What `/stats` counts of a flag.
fn counted(stats: &str, flag: &str) -> u64 {
    let name = format!("refused_{flag}");
    let values = stats.lines().filter_map(|line| line.split_once(": ")).filter(|(it, _)| it.ends_with(&name));
    values.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn every_answer_of_our_own_is_one_of_the_contracts_with_its_flag_in_log_and_counters() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| {
            c.service("api", 1).service("dead", 1).service("full", 1).service("web", 1).access_logs("")
        })
        .entry("dc1", resolver("empty"))
        .entry("dc1", NO_REQUESTS)
        .entry(
            "dc1",
            router("timed").route(r#"PathPrefix = "/""#, "Service = \"api\"\nRequestTimeout = \"50ms\""),
        )
        .start()
        .await;
    mesh.service("dc1/dead").refuse_connections();
    let log = mesh.access_log("dc1");
    for row in rows() {
        let count = || counted(&mesh.sidecar(row.by).stats()(), row.flag);
        let before = count();
        mesh.app("dc1/api").reply(row.reply.clone());
        let mut connection = mesh.client("dc1/web").connect(row.upstream).await;
        connection.send(&row.request).await;
        let answer = connection.answer().await;
        check(&row, &answer, (before, count()), &log).await;
    }
    let mut connection = mesh.client("dc1/web").connect("dead").await;
    let _first = connection.get("/").await;
    mesh.forget_upstream("dc1/web/0", "dead").await;
    let count = || counted(&mesh.sidecar("dc1/web").stats()(), "NR");
    let (before, answer) = (count(), connection.get("/").await);
    let row = Row::new("dead", "dc1/web", 404, "NR").names("no route", "this upstream is not configured");
    check(&row, &answer, (before, count()), &log).await;
}

/// A request in flight that is not answered in the time that a drain may take.
async fn cut_off(by: &'static str) -> (Mesh, Row, Answer, (u64, u64)) {
    let drains = |_: usize, instance: spillway_harness::InstanceBuilder| instance.drain_ms(100);
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service_with("api", 1, drains).service_with("web", 1, drains).access_logs(""))
        .start()
        .await;
    let row = Row::new("api", by, 503, "DC").names("draining", "api.default.default.dc1");
    mesh.app("dc1/api").reply(Reply::Nothing(Then::Stall));
    let mut connection = mesh.client("dc1/web").connect("api").await;
    connection.send(&row.request).await;
    mesh.app("dc1/api").has_received(1).await;
    let sidecar: &Proxy = mesh.sidecar(by);
    let stats = sidecar.stats();
    sidecar.stop();
    let answer = connection.answer().await;
    (mesh, row, answer, (0, counted(&stats(), "DC")))
}

#[tokio::test]
async fn a_request_that_outlasts_a_drain_is_told_so_and_never_sent_again() {
    for by in ["dc1/web", "dc1/api"] {
        let (mesh, row, answer, counted) = cut_off(by).await;
        check(&row, &answer, counted, &mesh.access_log("dc1")).await;
        assert_eq!(answer.keeps_alive(), by == "dc1/api", "the sidecar that ends closes its connections");
        assert_eq!(mesh.app("dc1/api").count(), 1);
        mesh.sidecar(by).ended().await;
    }
}
