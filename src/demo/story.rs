//! The story: four chapters, each of which shows something and checks that it was so.

use std::time::{Duration, Instant};

use super::DemoError;
use super::app;
use super::mesh::{Cluster, FRONTEND, Port, WEB};
use super::record::Totals;
use super::setup::{app_of, ready_again, sidecar_of};
use super::stage::Stage;
use crate::call::get;

/// The longest until an instance that died is out of the pick.
const EJECTED_WITHIN: Duration = Duration::from_secs(15);

/// The longest until an instance that is back gets traffic again.
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// How far from its weight the measured share of a split may be, in per cent of all requests.
const TOLERANCE: f64 = 1.0;

/// Tells it all, and fails at the first thing that is not as told.
pub(crate) async fn play(stage: &Stage) -> Result<(), DemoError> {
    match chapters(stage).await {
        Err(error) => Err(stage.cause_of(error).await),
        Ok(()) => Ok(()),
    }
}

async fn chapters(stage: &Stage) -> Result<(), DemoError> {
    meet(stage).await?;
    split(stage).await?;
    lose(stage).await?;
    recover(stage).await?;
    stage.none_failed()?;
    stage.say(format!("In all {} requests, and not one failed.", thousands(stage.totals().answers())));
    Ok(())
}

async fn meet(stage: &Stage) -> Result<(), DemoError> {
    stage.chapter("1. Meet the mesh: web calls http://frontend/, and a service-router looks at each request");
    let routed = [
        ("/admin/users", None, "cluster-01/admin-1", "a path below /admin goes to the service admin"),
        ("/", Some("cluster-02"), "cluster-02/", "the header x-cluster goes to the peer's frontend"),
    ];
    for (path, header, expected, why) in routed {
        let headers: Vec<_> = header.map(|value| ("x-cluster", value)).into_iter().collect();
        let answer = get(stage.mesh.address(&WEB, Port::Upstream), path, &headers).await?;
        let found = answer.header(app::SERVED_BY).map_or_else(|| answer.status.to_string(), str::to_owned);
        let shown = header.map_or_else(String::new, |value| format!(" with x-cluster: {value}"));
        if !found.starts_with(expected) {
            return Err(DemoError::Misrouted { request: format!("{path}{shown}"), found, expected });
        }
        stage.say(format!("GET {path}{shown} -> {found}: {why}"));
        let caller = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
        if let Some(caller) = caller["caller"].as_str() {
            stage.say(format!("  which knows its caller by its certificate: {caller}"));
        }
    }
    Ok(())
}

async fn split(stage: &Stage) -> Result<(), DemoError> {
    stage.chapter("2. All else is split: a service-splitter sends half to frontend, half to frontend-peer");
    let window = stage.window(1_200).await?;
    stage.say(figures(stage, &window));
    even(&window)?;
    stage.none_failed()
}

async fn lose(stage: &Stage) -> Result<(), DemoError> {
    stage.chapter(
        "3. kill -9 of cluster-01's only frontend, its application and its sidecar: its host is gone",
    );
    let before = connect_failures(stage).await;
    let killed = Instant::now();
    {
        let mut fleet = stage.fleet.borrow_mut();
        fleet.kill(&app_of(&FRONTEND));
        fleet.kill(&sidecar_of(&FRONTEND));
    }
    let ejected = async || stage.seen_by_web(&FRONTEND).await.iter().any(|e| e.ejected).then_some(());
    stage.until("the dead frontend to be ejected", EJECTED_WITHIN, ejected).await?;
    let took = killed.elapsed();
    let counted = connect_failures(stage).await.saturating_sub(before);
    stage.say(format!(
        "web's sidecar counted {counted} connection failures in a row and ejected it, {} ms after the kill",
        took.as_millis()
    ));
    let window = stage.window(500).await?;
    stage.say(figures(stage, &window));
    let home = Cluster::One.as_str();
    if window.of_cluster(home) > 0 {
        return Err(DemoError::Share { of: home, found: window.share(home), expected: 0.0 });
    }
    stage.say("the service-resolver's failover: everything from cluster-02, through its gateway");
    stage.none_failed()
}

async fn recover(stage: &Stage) -> Result<(), DemoError> {
    stage.chapter("4. The host is back: traffic returns when the instance has proved itself");
    let restarted = stage.fleet.borrow_mut().restart_ended()?;
    stage.say(format!("restarted {}", restarted.join(" and ")));
    ready_again(stage, &FRONTEND).await?;
    let back = Instant::now();
    let name = format!("{}/{}", FRONTEND.cluster.as_str(), FRONTEND.id);
    let served = async || stage.record.borrow().last_served(&name).filter(|at| *at > back);
    let at = stage.until("the restarted frontend to serve", BACK_WITHIN, served).await?;
    stage.say(format!("{name} serves again, {} ms after it was ready", (at - back).as_millis()));
    let deadline = Instant::now() + BACK_WITHIN;
    loop {
        let window = stage.window(800).await?;
        match even(&window) {
            Ok(()) => {
                stage.say(figures(stage, &window));
                return stage.none_failed();
            }
            Err(uneven) if Instant::now() >= deadline => return Err(uneven),
            Err(_) => {}
        }
    }
}

fn even(window: &Totals) -> Result<(), DemoError> {
    for cluster in Cluster::ALL {
        let found = window.share(cluster.as_str());
        if (found - 50.0).abs() > TOLERANCE {
            return Err(DemoError::Share { of: cluster.as_str(), found, expected: 50.0 });
        }
    }
    Ok(())
}

async fn connect_failures(stage: &Stage) -> u64 {
    let endpoints = stage.seen_by_web(&FRONTEND).await;
    endpoints.iter().map(|endpoint| endpoint.connect_failures).max().unwrap_or_default()
}

fn figures(stage: &Stage, window: &Totals) -> String {
    let shares = Cluster::ALL.map(|cluster| {
        let name = cluster.as_str();
        format!("{name} {} ({:.1} %)", thousands(window.of_cluster(name)), window.share(name))
    });
    let latency = stage.record.borrow_mut().latency(3, Instant::now());
    format!(
        "{} requests: {}, {} failed; p50 {}, p99 {}",
        thousands(window.answers() + window.failed),
        shares.join(", "),
        window.failed,
        milliseconds(latency.p50),
        milliseconds(latency.p99),
    )
}

/// A latency for people.
pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

/// A count for people: `12,345`.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_even_within_one_per_cent() {
        let window = |one: u64, two: u64| Totals {
            served: [("cluster-01/a".into(), one), ("cluster-02/b".into(), two)].into(),
            failed: 0,
        };
        assert!(even(&window(600, 600)).is_ok());
        assert!(even(&window(594, 606)).is_ok());
        assert!(even(&window(587, 613)).is_err());
        assert!(even(&window(0, 0)).is_err());
    }

    #[test]
    fn counts_are_grouped_by_three() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(count), text);
        }
    }
}
