//! The CA against a real directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use spillway_core::entry::CaConfig;

use super::{Ca, CaError, Files, MAX_LEAF_TTL, new_root};
use crate::bundle::TrustBundles;
use crate::key::KeyType;
use crate::leaf::Leaf;
use crate::store;
use crate::testing::{HOUR, TestResult, domain, svc};

const DAY: Duration = Duration::from_hours(24);

fn config() -> CaConfig {
    CaConfig::default()
}

fn own() -> Option<spillway_core::name::TrustDomain> {
    Some(domain("own"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777).unwrap_or_default()
}

fn names(dir: &Path) -> Vec<String> {
    let names = store::names(&dir.join("ca")).unwrap_or_default();
    names.into_iter().filter_map(|name| name.into_string().ok()).collect()
}

fn bundles(ca: &Ca) -> TrustBundles {
    TrustBundles::new(ca.trust_domain().clone(), ca.roots()).unwrap_or_else(|e| panic!("{e}"))
}

fn leaf(ca: &Ca, now: SystemTime) -> Leaf {
    ca.issue_at(&svc("own", "web"), 72 * HOUR, KeyType::EcP256, now).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_new_ca_has_a_root_for_its_trust_domain_and_a_key_for_its_owner_alone() -> TestResult {
    let dir = tempfile::tempdir()?;
    let ca = Ca::init(dir.path(), None, &config())?;
    assert_eq!(names(dir.path()), ["root-key.pem", "root.pem"]);
    assert_eq!(mode(&dir.path().join("ca/root-key.pem")), 0o600);
    assert_eq!(mode(&dir.path().join("ca/root.pem")), 0o644);
    let id = ca.trust_domain().as_str().strip_suffix(".consul").ok_or("no .consul")?;
    uuid::Uuid::parse_str(id)?;
    let root = &ca.show()[0].info;
    assert_eq!(root.uris, [format!("spiffe://{}", ca.trust_domain())]);
    assert!(root.ca);
    assert_eq!(root.not_after.duration_since(root.not_before)?, 3650 * DAY + HOUR / 60);
    assert!(matches!(Ca::init(dir.path(), None, &config()), Err(CaError::Exists { .. })));
    assert_eq!(Ca::open(dir.path())?.roots(), ca.roots());
    Ok(())
}

#[test]
fn a_leaf_identifies_one_workload_and_nothing_more() -> TestResult {
    let dir = tempfile::tempdir()?;
    let ca = Ca::init(dir.path(), own(), &config())?;
    let now = SystemTime::now();
    let leaf = leaf(&ca, now);
    assert_eq!(*leaf.id(), svc("own", "web"));
    assert_eq!(leaf.info().uris, [svc("own", "web").to_string()]);
    assert!(!leaf.info().ca);
    assert_eq!(leaf.chain().len(), 1);
    let life = leaf.info().not_after.duration_since(leaf.info().not_before)?;
    assert_eq!(life, 72 * HOUR + HOUR / 60, "72 h, and a minute for clocks that are behind");
    assert!(leaf.info().not_before < now - Duration::from_secs(58));
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf.chain()[0])?;
    let usage = parsed.key_usage()?.ok_or("no key usage")?.value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    let extended = parsed.extended_key_usage()?.ok_or("no extended key usage")?.value;
    assert!(extended.client_auth && extended.server_auth && !extended.any);
    bundles(&ca).vouch(&leaf, now)?;
    Ok(())
}

#[test]
fn every_key_type_signs_and_is_signed() -> TestResult {
    for (kind, bits) in [("ec", 256), ("ec", 384), ("ec", 521), ("rsa", 2048)] {
        let dir = tempfile::tempdir()?;
        let config =
            CaConfig { private_key_type: Some(kind.to_owned()), private_key_bits: Some(bits), ..config() };
        let now = SystemTime::now();
        Ca::init(dir.path(), own(), &config)?;
        let ca = Ca::rotate(dir.path(), &config)?;
        let leaf = ca.issue(&svc("own", "web"), 72 * HOUR, KeyType::from_config(&config)?)?;
        bundles(&ca).vouch(&leaf, now)?;
        assert!(leaf.key_pem().contains("PRIVATE KEY"));
    }
    Ok(())
}

#[test]
fn a_leaf_outside_of_the_ca_s_say_is_refused() -> TestResult {
    let dir = tempfile::tempdir()?;
    let ca = Ca::init(dir.path(), own(), &config())?;
    let (own, other) = (svc("own", "web"), svc("other", "web"));
    let (short, long) = (HOUR - Duration::from_secs(1), MAX_LEAF_TTL + Duration::from_secs(1));
    let now = SystemTime::now();
    let issue = |id, ttl, now| ca.issue_at(id, ttl, KeyType::EcP256, now);
    assert!(matches!(issue(&other, HOUR, now), Err(CaError::OtherDomain { .. })));
    assert!(matches!(issue(&own, short, now), Err(CaError::LeafTtl { .. })));
    assert!(matches!(issue(&own, long, now), Err(CaError::LeafTtl { .. })));
    assert!(matches!(issue(&own, HOUR, now + 3650 * DAY), Err(CaError::Expired { .. })));
    let last = issue(&own, 72 * HOUR, now + 3649 * DAY)?;
    assert_eq!(last.info().not_after, ca.show()[0].info.not_after, "no leaf outlives its root");
    Ok(())
}

#[test]
fn settings_that_cannot_be_met_are_refused() -> TestResult {
    let dir = tempfile::tempdir()?;
    let short = CaConfig { root_ttl: Some(71 * HOUR), ..config() };
    assert!(matches!(Ca::init(dir.path(), own(), &short), Err(CaError::RootTtl { .. })));
    let weak = CaConfig { private_key_bits: Some(224), ..config() };
    assert!(matches!(Ca::init(dir.path(), own(), &weak), Err(CaError::UnsupportedKey(_))));
    assert!(names(dir.path()).is_empty(), "nothing is left of what failed");
    Ok(())
}

#[test]
fn after_a_rotation_old_and_new_believe_each_other_in_whatever_order_they_learn_of_it() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut cas = vec![Ca::init(dir.path(), own(), &config())?];
    cas.push(Ca::rotate(dir.path(), &config())?);
    cas.push(Ca::rotate(dir.path(), &config())?);
    let now = SystemTime::now();
    let roots: Vec<_> = cas.iter().map(|ca| ca.roots().len()).collect();
    assert_eq!(roots, [1, 2, 3]);
    for (signer, issuing) in cas.iter().enumerate() {
        for (judge, judging) in cas.iter().enumerate() {
            let vouched = bundles(judging).vouch(&leaf(issuing, now), now);
            assert!(vouched.is_ok(), "a leaf of root {signer} before bundle {judge}: {vouched:?}");
        }
    }
    assert_eq!(mode(&dir.path().join("ca/root-key.pem")), 0o600);
    let expected = ["root-1.pem", "root-2.pem", "root-cross.pem", "root-key.pem", "root.pem"];
    assert_eq!(names(dir.path()), expected);
    let later = leaf(&cas[2], now + 8 * DAY);
    assert_eq!(later.chain().len(), 1, "after a week everybody has heard of it");
    Ok(())
}

#[test]
fn an_old_root_is_trusted_as_long_as_a_leaf_of_it_can_live() -> TestResult {
    let dir = tempfile::tempdir()?;
    let first = Ca::init(dir.path(), own(), &config())?;
    let now = SystemTime::now();
    Ca::rotate_at(dir.path(), &config(), now + DAY)?;
    let before = Ca::rotate_at(dir.path(), &config(), now + 365 * DAY)?;
    assert!(before.roots().contains(&first.roots()[0]));
    let after = Ca::rotate_at(dir.path(), &config(), now + 367 * DAY)?;
    assert!(!after.roots().contains(&first.roots()[0]));
    assert_eq!(after.roots().len(), 3);
    let again = Ca::rotate_at(dir.path(), &config(), now + 368 * DAY)?;
    assert_eq!(again.roots().len(), 4, "a number that was freed is not taken for an older root");
    assert_eq!(again.roots()[1], after.roots()[0]);
    Ok(())
}

#[test]
fn older_roots_are_forgotten_on_demand() -> TestResult {
    let dir = tempfile::tempdir()?;
    let old = leaf(&Ca::init(dir.path(), own(), &config())?, SystemTime::now());
    Ca::rotate(dir.path(), &config())?;
    let ca = Ca::forget_older(dir.path())?;
    assert_eq!(names(dir.path()), ["root-key.pem", "root.pem"]);
    assert!(bundles(&ca).vouch(&old, SystemTime::now()).is_err());
    assert_eq!(leaf(&ca, SystemTime::now()).chain().len(), 1);
    Ok(())
}

/// Runs the first `steps` of a rotation and stops, as a killed process would.
fn rotate_until(dir: &Path, steps: usize) -> Result<(), CaError> {
    let files = Files::of(dir);
    let old = Ca::open(dir)?;
    let (key, params) = new_root(old.trust_domain(), &config(), SystemTime::now())?;
    let root = params.self_signed(&key)?;
    let cross = params.signed_by(&key, old.issuer()?)?;
    let mut crosses = vec![cross.der().clone()];
    crosses.extend_from_slice(&old.crosses);
    for step in 1..=steps {
        match step {
            1 => store::write_atomic(&files.next_key(), key.serialize_pem().as_bytes(), store::SECRET)?,
            2 => files.stage(root.der(), &key)?,
            3 => files.keep_old_root(&old.root().certificate)?,
            4 => files.write_crosses(&crosses)?,
            5 => store::rename(&files.next_root(), &files.root())?,
            _ => store::rename(&files.next_key(), &files.key())?,
        }
    }
    Ok(())
}

#[test]
fn a_rotation_killed_anywhere_leaves_a_ca_that_issues_and_rotates() -> TestResult {
    for steps in 0..=6 {
        let dir = tempfile::tempdir()?;
        let now = SystemTime::now();
        let before = Ca::init(dir.path(), own(), &config())?;
        let before = if steps % 2 == 0 { Ca::rotate(dir.path(), &config())? } else { before };
        rotate_until(dir.path(), steps)?;
        let after = Ca::open(dir.path())?;
        assert_eq!(after.roots()[0] != before.roots()[0], steps >= 5, "{steps}");
        assert_eq!(after.roots().len(), before.roots().len() + usize::from(steps >= 5), "{steps}");
        bundles(&before).vouch(&leaf(&after, now), now)?;
        bundles(&after).vouch(&leaf(&before, now), now)?;
        let rotated = Ca::rotate(dir.path(), &config())?;
        let roots = before.roots().len() + if steps >= 5 { 2 } else { 1 };
        assert_eq!(rotated.roots().len(), roots, "{steps}: no root is lost or kept twice");
        bundles(&before).vouch(&leaf(&rotated, now), now)?;
        bundles(&rotated).vouch(&leaf(&before, now), now)?;
        assert!(!names(dir.path()).iter().any(|name| name.contains("next")), "{steps}");
    }
    Ok(())
}

#[test]
fn processes_that_start_at_once_agree_on_one_ca() -> TestResult {
    let dir = tempfile::tempdir()?;
    let roots: Vec<_> = std::thread::scope(|scope| {
        let start = || Ca::open_or_init(dir.path(), &config()).map(|ca| ca.roots());
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let agreed = Ca::open(dir.path())?.roots();
    assert_eq!(roots.len(), 8);
    for found in roots {
        assert_eq!(found?, agreed);
    }
    Ok(())
}

#[test]
fn whoever_opens_a_ca_during_rotations_finds_a_root_with_its_key() -> TestResult {
    let dir = tempfile::tempdir()?;
    let first = bundles(&Ca::init(dir.path(), own(), &config())?);
    std::thread::scope(|scope| -> TestResult {
        let rotations = scope.spawn(|| (0..3).try_for_each(|_| Ca::rotate(dir.path(), &config()).map(drop)));
        while !rotations.is_finished() {
            let leaf = leaf(&Ca::open(dir.path())?, SystemTime::now());
            first.vouch(&leaf, SystemTime::now())?;
        }
        rotations.join().map_err(|_| "a rotation panicked")??;
        Ok(())
    })
}

#[test]
fn a_host_without_the_key_knows_the_roots_and_cannot_issue() -> TestResult {
    let dir = tempfile::tempdir()?;
    let ca = Ca::init(dir.path(), own(), &config())?;
    fs::remove_file(dir.path().join("ca/root-key.pem"))?;
    let without = Ca::open(dir.path())?;
    assert_eq!(without.roots(), ca.roots());
    assert!(!without.can_issue());
    let issued = without.issue(&svc("own", "web"), HOUR, KeyType::EcP256);
    assert!(matches!(issued, Err(CaError::NoKey { .. })));
    assert!(matches!(Ca::rotate(dir.path(), &config()), Err(CaError::NoKey { .. })));
    Ok(())
}

#[test]
fn an_error_names_the_file_and_what_to_do() -> TestResult {
    let dir = tempfile::tempdir()?;
    let error = || match Ca::open(dir.path()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert!(error().contains("spillway ca init --config-dir"), "{}", error());
    assert!(matches!(Ca::rotate(dir.path(), &config()), Err(CaError::Missing { .. })));
    assert!(!dir.path().join("ca").exists(), "asking for what is not there makes nothing");
    let other = tempfile::tempdir()?;
    Ca::init(other.path(), own(), &config())?;
    Ca::init(dir.path(), own(), &config())?;
    let (root, key) = (dir.path().join("ca/root.pem"), dir.path().join("ca/root-key.pem"));
    fs::copy(other.path().join("ca/root-key.pem"), &key)?;
    assert!(error().contains("root-key.pem is not the key of"), "{}", error());
    fs::write(&key, "garbage")?;
    assert!(error().contains("root-key.pem: no PEM section"), "{}", error());
    fs::write(
        dir.path().join("ca/root-1.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )?;
    fs::remove_file(&key)?;
    assert!(error().contains("root-1.pem: the certificate cannot be parsed"), "{}", error());
    fs::write(&root, "")?;
    assert!(error().contains("root.pem: no PEM section of a certificate"), "{}", error());
    fs::remove_file(&root)?;
    fs::write(&key, "precious")?;
    let init = Ca::init(dir.path(), own(), &config());
    assert!(matches!(init, Err(CaError::OrphanedKey { .. })), "{init:?}");
    Ok(())
}
