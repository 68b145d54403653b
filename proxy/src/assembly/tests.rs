//! Which services outlive a change of the configuration.

use std::path::Path;

use super::*;
use crate::process::Plane;
use crate::sidecar::Sidecar;

/// The upstreams of the sidecar below, by the ports that they listen on.
const UPSTREAMS: [&str; 5] = ["a", "b", "c", "d", "e"];

const ENTRIES: &str = r#"
    config_entries { bootstrap = [
      { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
      { Kind = "service-resolver" Name = "b" Failover { "*" { Targets = [{ Service = "a" }] } } },
      { Kind = "service-splitter" Name = "c" Splits = [{ Weight = 50 }, { Weight = 50 Service = "a" }] },
    ] }
"#;

const SERVICES: &str = r#"
    services = [
      { name = "a" port = 1 connect { sidecar_service {} } },
      { name = "b" port = 2 connect { sidecar_service {} } },
      { name = "c" port = 3 connect { sidecar_service {} } },
      { name = "d" port = 4 connect { sidecar_service {} } },
      { name = "e" port = 5 connect { sidecar_service {} } },
    ]
"#;

const CALLER: &str = r#"
    service { name = "web" port = 80 connect { sidecar_service { port = 20000 proxy { upstreams = [
      { destination_name = "a" local_bind_port = 1001 },
      { destination_name = "b" local_bind_port = 1002 },
      { destination_name = "c" local_bind_port = 1003 },
      { destination_name = "d" local_bind_port = 1004 },
      { destination_name = "e" local_bind_port = 1005 },
    ] } } } }
"#;

/// One configuration after the other, as a process takes them.
struct Control {
    sidecar: Sidecar,
    assembly: Assembly,
    in_force: Option<Inputs>,
}

impl Control {
    fn new() -> Self {
        let sidecar = Sidecar::new("web", "conf");
        Self { sidecar, assembly: Assembly::new(1, Arc::default()), in_force: None }
    }

    /// Assembles what these files say, and puts it in force unless the plane refuses it.
    fn take(&mut self, files: &[&str]) -> Option<Generation> {
        let dir = tempfile::tempdir().expect("a directory");
        for (number, text) in files.iter().enumerate() {
            std::fs::write(dir.path().join(format!("{number}.hcl")), text).expect("it is written");
        }
        let inputs = inputs(dir.path());
        self.assembly.begin(&inputs, self.in_force.as_ref(), None);
        self.sidecar.assemble(&inputs, &mut self.assembly).ok()?;
        self.in_force = Some(inputs);
        Some(self.assembly.finish())
    }

    /// The service behind an upstream's port.
    fn upstream(&self, generation: &Generation, port: usize) -> Option<Arc<Service>> {
        let (slot, _) = self.assembly.slots.get(&format!("127.0.0.1:{port}"))?;
        generation.services.get(slot.0)?.clone()
    }
}

fn inputs(dir: &Path) -> Inputs {
    let trust_domain = "td.consul".parse().expect("a valid name");
    Inputs::read(&[dir.to_owned()], &trust_domain).expect("the files are valid")
}

/// The upstreams whose services are others in the second of two generations.
fn others(control: &Control, old: &Generation, new: &Generation) -> Vec<&'static str> {
    let same = |port| match (control.upstream(old, port), control.upstream(new, port)) {
        (Some(old), Some(new)) => Arc::ptr_eq(&old, &new),
        _ => false,
    };
    UPSTREAMS.into_iter().zip(1001..).filter(|(_, port)| !same(*port)).map(|(name, _)| name).collect()
}

/// Checks which upstreams are built anew when a part of the configuration changes.
fn check(what: &str, from: &str, to: &str, expected: &[&str]) {
    let old = [ENTRIES, SERVICES, CALLER];
    let new = old.map(|text| text.replace(from, to));
    assert!(from.is_empty() || new.iter().zip(old).any(|(new, old)| new != old), "{what}: nothing changes");
    let mut control = Control::new();
    let before = control.take(&old).expect("it is taken");
    let built = control.assembly.tables_built();
    let after = control.take(&new.each_ref().map(String::as_str)).expect("it is taken");
    assert_eq!(others(&control, &before, &after), expected, "{what}");
    // The local application's is made anew each time: nothing is kept in it but its endpoint, which stays.
    assert_eq!(control.assembly.tables_built() - built, expected.len() as u64 + 1, "{what}");
}

#[test]
fn a_change_builds_just_the_tables_that_it_concerns() {
    check("nothing", "", "", &[]);
    check("only lines move", "services = [", "services =\n\n [", &[]);
    check("an instance that others fail over and split to", "port = 1 ", "port = 7 ", &["a", "b", "c"]);
    check("an instance of one service", "port = 4 ", "port = 7 tags = [\"new\"] ", &["d"]);
    check(
        "an instance is new",
        "{ name = \"e\"",
        "{ name = \"d\" id = \"d2\" port = 8 connect { sidecar_service {} } }, { name = \"e\"",
        &["d", "e"],
    );
    check("an entry", "Weight = 50", "Weight = 50.0 RequestHeaders { Set { x = \"1\" } }", &["c"]);
    let resolver =
        r#"{ Kind = "service-resolver" Name = "d" ConnectTimeout = "1s" }, { Kind = "proxy-defaults""#;
    check("an entry that was not there", r#"{ Kind = "proxy-defaults""#, resolver, &["d"]);
    check(
        "what the caller wants",
        "local_bind_port = 1005",
        "local_bind_port = 1005 config { connect_timeout_ms = 700 }",
        &["e"],
    );
    let ejection = "local_bind_port = 1005 config { passive_health_check { max_failures = 3 } }";
    check("when the caller ejects", "local_bind_port = 1005", ejection, &["e"]);
    let gateway = r#"services = [{ name = "gw" kind = "mesh-gateway" port = 8443 },"#;
    check("a gateway that nobody goes through", "services = [", gateway, &[]);
}

#[test]
fn what_is_refused_costs_nobody_a_table() {
    let mut control = Control::new();
    let files = [ENTRIES, SERVICES, CALLER];
    let before = control.take(&files).expect("it is taken");
    let (moved, refused) = (SERVICES.replace("port = 4 ", "port = 9 "), CALLER.replace("port = 80", ""));
    assert!(control.take(&[ENTRIES, &moved, &refused]).is_none(), "the application has no port");
    let after = control.take(&files).expect("it is taken");
    assert_eq!(others(&control, &before, &after), [""; 0]);
}

#[test]
fn a_host_name_is_asked_for_anew_each_time() {
    let mut control = Control::new();
    let named = SERVICES.replace("port = 4 ", "port = 4 address = \"localhost\" ");
    let files = [ENTRIES, named.as_str(), CALLER];
    let before = control.take(&files).expect("it is taken");
    let after = control.take(&files).expect("it is taken");
    assert_eq!(others(&control, &before, &after), ["d"]);
}

#[test]
fn an_upstream_that_is_taken_away_and_comes_back_is_a_new_service() {
    let mut control = Control::new();
    let files = [ENTRIES, SERVICES, CALLER];
    let before = control.take(&files).expect("it is taken");
    let without = CALLER.replace("{ destination_name = \"e\" local_bind_port = 1005 },", "");
    let gone = control.take(&[ENTRIES, SERVICES, &without]).expect("it is taken");
    assert_eq!(others(&control, &before, &gone), ["e"]);
    let after = control.take(&files).expect("it is taken");
    assert_eq!(others(&control, &before, &after), ["e"]);
}
