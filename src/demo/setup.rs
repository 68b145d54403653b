//! From two directories to two peered clusters: certificate authorities, processes, peering.
//!
//! Done with the commands that an operator would use, each a process of its own, and shown as they run.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::DemoError;
use super::admin;
use super::app;
use super::mesh::{Cluster, GATEWAYS, Instance, Port, SERVICES, WEB};
use super::stage::Stage;
use crate::call::get;

/// The longest that all processes may take until they are ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The longest until a peer's services can be called.
const PEERED_WITHIN: Duration = Duration::from_secs(20);

/// Brings both clusters up, and peers them.
pub(crate) async fn set_up(stage: &Stage) -> Result<(), DemoError> {
    match bring_up(stage).await {
        Err(error) => Err(stage.cause_of(error).await),
        Ok(()) => Ok(()),
    }
}

async fn bring_up(stage: &Stage) -> Result<(), DemoError> {
    stage.chapter("Setting up: two clusters, each with a certificate authority of its own");
    for cluster in Cluster::ALL {
        show_and_run(stage, &["ca", "init"], stage.mesh.config_dir(cluster), &[]).await?;
    }
    start(stage)?;
    ready(stage).await?;
    peer(stage).await
}

/// The process name of an instance's application.
pub(crate) fn app_of(instance: &Instance) -> String {
    format!("{} app", instance.id)
}

/// The process name of an instance's sidecar.
pub(crate) fn sidecar_of(instance: &Instance) -> String {
    format!("{} sidecar", instance.id)
}

/// Waits until `instance` can serve: its application and its sidecar.
pub(crate) async fn ready_again(stage: &Stage, instance: &Instance) -> Result<(), DemoError> {
    let app = stage.mesh.address(instance, Port::App);
    wait_for(stage, &app_of(instance), async || get(app, "/", &[]).await.is_ok()).await?;
    let sidecar = stage.mesh.address(instance, Port::Admin);
    wait_for(stage, &sidecar_of(instance), async || admin::is_ready(sidecar).await).await
}

fn start(stage: &Stage) -> Result<(), DemoError> {
    let mut fleet = stage.fleet.borrow_mut();
    stage.mesh.release_ports();
    for gateway in &GATEWAYS {
        let args = proxy_args(stage, gateway, "gateway", "--service");
        fleet.start(gateway.id, args)?;
    }
    for instance in &SERVICES {
        if instance.id != WEB.id {
            fleet.start(&app_of(instance), app_args(instance, stage.mesh.address(instance, Port::App)))?;
        }
        let args = proxy_args(stage, instance, "sidecar", "--sidecar-for");
        fleet.start(&sidecar_of(instance), args)?;
    }
    stage.say(format!("started {} processes: applications, sidecars, gateways", fleet.running().len()));
    Ok(())
}

fn app_args(instance: &Instance, listen: SocketAddr) -> Vec<OsString> {
    let pairs = [
        ("--name", instance.service),
        ("--cluster", instance.cluster.as_str()),
        ("--instance", instance.id),
        ("--listen", &listen.to_string()),
    ];
    let pairs = pairs.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]);
    [OsString::from("demo-app")].into_iter().chain(pairs).collect()
}

fn proxy_args(stage: &Stage, instance: &Instance, command: &str, id_flag: &str) -> Vec<OsString> {
    vec![
        command.into(),
        "--config-dir".into(),
        stage.mesh.config_dir(instance.cluster).into(),
        id_flag.into(),
        instance.id.into(),
        "--admin-bind".into(),
        stage.mesh.address(instance, Port::Admin).to_string().into(),
        "--workers".into(),
        "1".into(),
    ]
}

async fn ready(stage: &Stage) -> Result<(), DemoError> {
    for gateway in &GATEWAYS {
        let address = stage.mesh.address(gateway, Port::Admin);
        wait_for(stage, gateway.id, async || admin::is_ready(address).await).await?;
    }
    for instance in &SERVICES {
        if instance.id == WEB.id {
            let address = stage.mesh.address(instance, Port::Admin);
            wait_for(stage, &sidecar_of(instance), async || admin::is_ready(address).await).await?;
        } else {
            ready_again(stage, instance).await?;
        }
    }
    stage.say("all are ready");
    Ok(())
}

async fn wait_for(stage: &Stage, name: &str, mut look: impl AsyncFnMut() -> bool) -> Result<(), DemoError> {
    let what = format!("{name} to be ready");
    stage.until(&what, READY_WITHIN, async || look().await.then_some(())).await
}

async fn peer(stage: &Stage) -> Result<(), DemoError> {
    stage.say("cluster-02 lets cluster-01 in with a token that works once:");
    let generate = ["peering", "generate-token", "--name", "cluster-01"];
    let token = show_and_run(stage, &generate, stage.mesh.config_dir(Cluster::Two), &[]).await?;
    let establish = ["peering", "establish", "--name", "cluster-02"];
    let config_dir = stage.mesh.config_dir(Cluster::One);
    show_and_run(stage, &establish, config_dir, &["--peering-token", token.trim()]).await?;

    let entrance = stage.mesh.address(&WEB, Port::Upstream);
    let imported = async || {
        let answer = get(entrance, "/", &[("x-cluster", "cluster-02")]).await.ok()?;
        answer.header(app::SERVED_BY).filter(|it| it.starts_with("cluster-02/")).map(str::to_owned)
    };
    let first = stage.until("a service of the peer to answer", PEERED_WITHIN, imported).await?;
    stage.say(format!("frontend of cluster-02 answers: {first}"));
    Ok(())
}

/// Runs a command on `config_dir`; what is said of `long` arguments is their beginning.
async fn show_and_run(
    stage: &Stage,
    command: &[&str],
    config_dir: PathBuf,
    long: &[&str],
) -> Result<String, DemoError> {
    let mut shown = format!("$ spillway {} --config-dir {}", command.join(" "), config_dir.display());
    for argument in long {
        shown.push(' ');
        shown.push_str(&abbreviated(argument));
    }
    stage.say(shown);
    let mut args: Vec<OsString> = command.iter().map(OsString::from).collect();
    args.extend(["--config-dir".into(), config_dir.into()]);
    args.extend(long.iter().map(OsString::from));
    let program = stage.fleet.borrow().program();
    let output = program.run(&args).await?;
    for line in output.lines() {
        stage.say(format!("  {}", abbreviated(line)));
    }
    Ok(output)
}

fn abbreviated(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) if !text.contains(' ') => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}
