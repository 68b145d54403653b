//! The `ca/` directory: what lies where, and in which order it changes.
//!
//! | file | holds |
//! |---|---|
//! | `root.pem` | the root that signs |
//! | `root-key.pem` | its key, mode 0600, only on the host that issues |
//! | `root-N.pem` | an older root that is still trusted; the highest N is the latest |
//! | `root-cross.pem` | the key of each newer root as signed by the one before it, the latest first |
//! | `root-next.pem`, `root-next-key.pem` | a root in the making |
//!
//! Two files cannot be replaced in one step, so root and key have one step that counts: renaming `root-next.pem` to
//! `root.pem`. Before it the old pair stands; after it the new key is found, under its old name or its new one.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;

use super::{CaError, Root};
use crate::pem;
use crate::store::{self, DirLock, StoreError};
use crate::x509::{self, CertInfo};

/// Older roots kept at most: together with the one that signs, half of what a bundle takes.
const MAX_OLDER: usize = 63;

/// Cross-signed certificates kept: each rides in every leaf's chain, and one a rotation is needed only until the news
/// of the rotation has spread.
const MAX_CROSSES: usize = 3;

/// How often to look again when a rotation comes between reading root and key.
const READS: usize = 5;

/// Where a cluster's CA is.
#[derive(Clone, Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

/// What was read.
pub(super) struct Contents {
    /// At least one: the one that signs, then older ones, the latest first.
    pub(super) roots: Vec<Root>,
    pub(super) key: Option<KeyPair>,
    pub(super) crosses: Vec<CertificateDer<'static>>,
}

impl Files {
    pub(super) fn of(config_dir: &Path) -> Self {
        Self { dir: config_dir.join("ca") }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The sole right to change them.
    pub(super) fn lock(&self) -> Result<DirLock, CaError> {
        match DirLock::take(&self.dir) {
            Err(e) if e.is_missing() => Err(CaError::Missing { dir: self.dir.clone() }),
            lock => Ok(lock?),
        }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.dir.join("root-key.pem")
    }

    pub(super) fn next_root(&self) -> PathBuf {
        self.dir.join("root-next.pem")
    }

    pub(super) fn next_key(&self) -> PathBuf {
        self.dir.join("root-next-key.pem")
    }

    fn crosses(&self) -> PathBuf {
        self.dir.join("root-cross.pem")
    }

    /// Everything, without a lock: a rotation may go on meanwhile.
    pub(super) fn read(&self, now: SystemTime) -> Result<Contents, CaError> {
        let mut reads = 1;
        let (root, key) = loop {
            let root = match read_root(self.root()) {
                Err(CaError::Store(e)) if e.is_missing() => {
                    return Err(CaError::Missing { dir: self.dir.clone() });
                }
                root => root?,
            };
            match self.read_key(&root) {
                Err(CaError::KeyMismatch { .. }) if reads < READS => reads += 1,
                key => break (root, key?),
            }
        };
        let mut roots = vec![root];
        for (_, path) in self.older()?.into_iter().rev() {
            match read_root(path) {
                // Another process has just forgotten it.
                Err(CaError::Store(e)) if e.is_missing() => {}
                // Its rotation was interrupted: it still signs.
                Ok(older) if older.certificate == roots[0].certificate => {}
                Ok(older) if older.info.not_after <= now => {}
                older => roots.push(older?),
            }
        }
        let crosses = self.read_crosses(&roots)?;
        Ok(Contents { roots, key, crosses })
    }

    /// The key of `root`: in its place, or in that of a rotation that did not get further.
    fn read_key(&self, root: &Root) -> Result<Option<KeyPair>, CaError> {
        let wanted = public_key(root)?;
        let mut found = None;
        for path in [self.key(), self.next_key()] {
            match read_key(&path) {
                Ok(key) if key.subject_public_key_info() == wanted => return Ok(Some(key)),
                Ok(_) => found = Some(path),
                Err(CaError::Store(e)) if e.is_missing() => {}
                Err(e) => return Err(e),
            }
        }
        match found {
            // A root in the making is no key of this host's.
            Some(path) if path == self.key() || self.key().exists() => {
                Err(CaError::KeyMismatch { key: self.key(), root: self.root() })
            }
            _ => Ok(None),
        }
    }

    /// The cross-signed certificates that lead from the key of the first root to older ones. Those of a rotation
    /// that did not get far enough to count come first in the file and are passed over.
    fn read_crosses(&self, roots: &[Root]) -> Result<Vec<CertificateDer<'static>>, CaError> {
        let path = self.crosses();
        let all = match store::read(&path) {
            Err(e) if e.is_missing() => return Ok(Vec::new()),
            text => {
                pem::certificates(&text?).map_err(|source| CaError::Pem { path: path.clone(), source })?
            }
        };
        let mut crosses = Vec::new();
        let mut all = all.into_iter();
        for pair in roots.windows(2) {
            let wanted = public_key(&pair[0])?;
            let cross = all.find(|cross| x509::public_key(cross).is_ok_and(|key| key == wanted));
            crosses.extend(cross);
        }
        crosses.truncate(MAX_CROSSES);
        Ok(crosses)
    }

    /// Older roots with their numbers, ascending.
    fn older(&self) -> Result<Vec<(u32, PathBuf)>, StoreError> {
        let number = |name: &str| name.strip_prefix("root-")?.strip_suffix(".pem")?.parse().ok();
        let mut older: Vec<(u32, PathBuf)> = store::names(&self.dir)?
            .iter()
            .filter_map(|name| Some((number(name.to_str()?)?, self.dir.join(name))))
            .collect();
        older.sort_unstable();
        Ok(older)
    }

    /// Lays a new root and its key beside the old ones.
    pub(super) fn stage(&self, root: &CertificateDer<'_>, key: &KeyPair) -> Result<(), CaError> {
        store::write_atomic(&self.next_key(), key.serialize_pem().as_bytes(), store::SECRET)?;
        store::write_atomic(&self.next_root(), encode(root).as_bytes(), store::PUBLIC)?;
        Ok(())
    }

    /// Copies the root that signs to the next free number, unless an interrupted rotation did so.
    pub(super) fn keep_old_root(&self, root: &CertificateDer<'_>) -> Result<(), CaError> {
        let older = self.older()?;
        if let Some((_, latest)) = older.last()
            && read_root(latest.clone()).is_ok_and(|latest| latest.certificate == *root)
        {
            return Ok(());
        }
        let number = older.last().map_or(1, |(number, _)| number.saturating_add(1));
        let path = self.dir.join(format!("root-{number}.pem"));
        Ok(store::write_atomic(&path, encode(root).as_bytes(), store::PUBLIC)?)
    }

    pub(super) fn write_crosses(&self, crosses: &[CertificateDer<'_>]) -> Result<(), CaError> {
        let kept = &crosses[..crosses.len().min(MAX_CROSSES)];
        let text = pem::encode_certificates(kept);
        Ok(store::write_atomic(&self.crosses(), text.as_bytes(), store::PUBLIC)?)
    }

    /// The step that counts, and the one that tidies up behind it.
    pub(super) fn commit(&self) -> Result<(), CaError> {
        store::rename(&self.next_root(), &self.root())?;
        store::rename(&self.next_key(), &self.key())?;
        Ok(())
    }

    /// Tidies up where a process was killed between the two steps of [`Self::commit`].
    pub(super) fn finish_commit(&self) -> Result<(), CaError> {
        let (root, key) = match (read_root(self.root()), read_key(&self.next_key())) {
            (Ok(root), Ok(key)) => (root, key),
            // Nothing was committed, or nothing is left over; whatever else is wrong shows when it is read.
            _ => return Ok(()),
        };
        if key.subject_public_key_info() == public_key(&root)? {
            store::rename(&self.next_key(), &self.key())?;
        }
        Ok(())
    }

    /// Removes older roots that were replaced more than `after` ago, and the oldest beyond a limit.
    pub(super) fn forget(&self, now: SystemTime, after: Duration) -> Result<(), CaError> {
        let mut older = self.older()?;
        // A root was replaced when the next one began.
        let mut replaced = read_root(self.root())?.info.not_before;
        let mut kept = 0;
        while let Some((_, path)) = older.pop() {
            if kept == MAX_OLDER || replaced + after < now {
                store::remove(&path)?;
            } else {
                replaced = read_root(path)?.info.not_before;
                kept += 1;
            }
        }
        Ok(())
    }

    /// Removes all older roots and what they signed.
    pub(super) fn forget_all(&self) -> Result<(), CaError> {
        for (_, path) in self.older()? {
            store::remove(&path)?;
        }
        Ok(store::remove(&self.crosses())?)
    }
}

fn read_root(path: PathBuf) -> Result<Root, CaError> {
    let text = store::read(&path)?;
    let found = pem::certificates(&text).map_err(|source| CaError::Pem { path: path.clone(), source })?;
    let certificate = found.into_iter().next().expect("pem::certificates gives at least one");
    match CertInfo::of(&certificate) {
        Ok(info) => Ok(Root { path, certificate, info }),
        Err(source) => Err(CaError::Certificate { path, source }),
    }
}

fn read_key(path: &Path) -> Result<KeyPair, CaError> {
    let text = store::read(path)?;
    let key = pem::private_key(&text).map_err(|source| CaError::Pem { path: path.to_owned(), source })?;
    KeyPair::try_from(&key).map_err(|source| CaError::Key { path: path.to_owned(), source })
}

fn public_key(root: &Root) -> Result<Vec<u8>, CaError> {
    x509::public_key(&root.certificate)
        .map_err(|source| CaError::Certificate { path: root.path.clone(), source })
}

fn encode(certificate: &CertificateDer<'_>) -> String {
    pem::encode_certificates(std::slice::from_ref(certificate))
}
