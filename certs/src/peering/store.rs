//! The directory `peers/`: `NAME.json` for every process of the cluster, `NAME.secret.json` for the gateway.
//!
//! Reads take no lock: files are replaced whole. Every change is a read, a decision and a write under the
//! directory's lock, so that of two who redeem one secret one wins, and a gateway that takes over an update
//! cannot bring back what a command has just deleted.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spillway_core::catalog::{ImportedService, PeerRecord};
use spillway_core::name::{PeerName, TrustDomain};
use uuid::Uuid;

use super::error::PeerError;
use super::record::{Remote, Role, State};
use super::secret::{Secret, SecretHash};
use super::token::{Token, is_host_port};
use crate::store::{self, DirLock, PUBLIC, SECRET};

/// The largest record that is read: over 10,000 imported services.
const MAX_RECORD: u64 = 16 * 1024 * 1024;

const RECORD: &str = ".json";
const SECRETS: &str = ".secret.json";

/// How far a deletion has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deleted {
    /// Nothing is left.
    Gone,
    /// Nothing is trusted any more; the gateway tells the other side, then removes what is left.
    Deleting,
}

/// `NAME.secret.json`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Secrets {
    role: Role,
    /// Of the token's secret, while it is unused.
    establishment_secret_hash: Option<SecretHash>,
    /// Known to both gateways once the peering is established.
    stream_secret: Option<Secret>,
}

/// The peerings of one cluster.
#[derive(Clone, Debug)]
pub struct PeerStore {
    dir: PathBuf,
}

impl PeerStore {
    /// Those of a configuration directory.
    pub fn new(config_dir: &Path) -> Self {
        Self { dir: config_dir.join("peers") }
    }

    /// The names of all peerings, in order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names(&self) -> Result<Vec<PeerName>, PeerError> {
        // `a.secret` is no peer name, so secrets are passed over, and so is what an editor left behind.
        let name = |file: OsString| file.to_str()?.strip_suffix(RECORD)?.parse().ok();
        Ok(store::names(&self.dir)?.into_iter().filter_map(name).collect())
    }

    /// All records, by name.
    ///
    /// # Errors
    /// When a file cannot be read or is no record.
    pub fn list(&self) -> Result<Vec<PeerRecord>, PeerError> {
        // One that is gone again is as good as never there.
        self.names()?.iter().filter_map(|name| self.read(name).transpose()).collect()
    }

    /// One record.
    ///
    /// # Errors
    /// When its file cannot be read or is no record.
    pub fn read(&self, name: &PeerName) -> Result<Option<PeerRecord>, PeerError> {
        read_json(&self.path(name, RECORD))
    }

    /// The record that the other side knows by the id of `PeerID` in its token.
    ///
    /// A file that cannot be read is passed over: one broken peering does not stop the others.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn find(&self, id: &str) -> Result<Option<PeerRecord>, PeerError> {
        let records = self.names()?.into_iter().filter_map(|name| self.read(&name).ok().flatten());
        Ok(records.into_iter().find(|record| record.id == id))
    }

    /// What a stream to or from this peer is opened with.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn stream_secret(&self, name: &PeerName) -> Result<Option<Secret>, PeerError> {
        Ok(self.secrets(name)?.and_then(|secrets| secrets.stream_secret))
    }

    /// Begins a peering by a token, or renews the token of one: an unused one is void from now on, a stream that
    /// is up stays up. Returns the record's id and the token's secret.
    ///
    /// # Errors
    /// When the peering was begun from the other side, is being deleted, or cannot be written.
    pub fn offer(&self, name: &PeerName) -> Result<(String, Secret), PeerError> {
        let _lock = self.lock()?;
        let (record, stream_secret) = match self.standing(name, Role::Acceptor)? {
            Some((record, secrets)) => (record, secrets.stream_secret),
            None => (fresh(name, State::Pending), None),
        };
        let secret = Secret::random();
        let establishment_secret_hash = Some(secret.hash());
        self.save_secrets(name, &Secrets { role: Role::Acceptor, establishment_secret_hash, stream_secret })?;
        self.save(name, &record)?;
        Ok((record.id, secret))
    }

    /// Begins a peering with a token of the other cluster. Returns the record as it stands: new ones are
    /// [`State::Establishing`].
    ///
    /// # Errors
    /// When the token is our own, the trust domain is peered with already, the name is taken, or nothing can be
    /// written.
    pub fn dial(&self, name: &PeerName, token: &Token, own: &TrustDomain) -> Result<PeerRecord, PeerError> {
        let _lock = self.lock()?;
        self.check_new(name, &token.trust_domain, own)?;
        let standing = self.standing(name, Role::Dialer)?.map(|(record, _)| record);
        if let Some(record) = &standing
            && is_usable(record)
        {
            return Ok(record.clone());
        }
        let record = PeerRecord {
            id: standing.map_or_else(new_id, |record| record.id),
            peer_id: token.peer_id.clone(),
            trust_domain: token.trust_domain.to_string(),
            datacenter: token.datacenter.to_string(),
            peer_server_name: token.server_name().to_string(),
            peer_server_addresses: token.addresses().to_vec(),
            ..fresh(name, State::Establishing)
        };
        self.save_secrets(name, &dialer_secrets(None))?;
        self.save(name, &record)?;
        Ok(record)
    }

    /// Takes back what [`Self::dial`] began, unless there was a peering before.
    ///
    /// # Errors
    /// When its files cannot be removed.
    pub fn abandon(&self, name: &PeerName, id: &str) -> Result<(), PeerError> {
        self.remove_if(name, id, State::Establishing)
    }

    /// Takes over what the other side answered to the token's use.
    ///
    /// # Errors
    /// When the peering was deleted meanwhile, or cannot be written.
    pub fn dialed(
        &self,
        name: &PeerName,
        remote: &Remote,
        peer_id: &str,
        stream_secret: Secret,
        imported: Vec<ImportedService>,
    ) -> Result<PeerRecord, PeerError> {
        let _lock = self.lock()?;
        let mut record = self.read(name)?.ok_or_else(|| PeerError::Unknown(name.clone()))?;
        if state(&record) == Some(State::Deleting) {
            return Err(PeerError::Deleting(name.clone()));
        }
        establish(&mut record, remote, peer_id, imported);
        self.save_secrets(name, &dialer_secrets(Some(stream_secret)))?;
        self.save(name, &record)?;
        Ok(record)
    }

    /// The other side uses a token: the secret is void from now on, and the peering stands. Returns the record
    /// and what streams are opened with.
    ///
    /// # Errors
    /// [`PeerError::SecretRefused`] unless the secret is that of the newest token for the peering `id` and was
    /// not used yet; when the trust domain is our own or peered with already; when nothing can be written.
    pub fn redeem(
        &self,
        id: &str,
        secret: &Secret,
        remote: &Remote,
        peer_id: &str,
        own: &TrustDomain,
    ) -> Result<(PeerRecord, Secret), PeerError> {
        let _lock = self.lock()?;
        let mut record = self.find(id)?.ok_or(PeerError::SecretRefused)?;
        let name: PeerName = record.name.parse()?;
        let unused = self.secrets(&name)?.and_then(|secrets| secrets.establishment_secret_hash);
        if !unused.is_some_and(|hash| hash.matches(secret)) || state(&record) == Some(State::Deleting) {
            return Err(PeerError::SecretRefused);
        }
        self.check_new(&name, &remote.trust_domain, own)?;
        let stream_secret = Secret::random();
        establish(&mut record, remote, peer_id, Vec::new());
        // Secrets first: were the second write to fail, the token would be spent, never usable twice.
        self.save_secrets(
            &name,
            &Secrets {
                role: Role::Acceptor,
                establishment_secret_hash: None,
                stream_secret: Some(stream_secret.clone()),
            },
        )?;
        self.save(&name, &record)?;
        Ok((record, stream_secret))
    }

    /// Changes the record of a peering that both sides still want: one with this id that is neither deleted nor
    /// terminated. Writes only when something is different; tells whether it was.
    ///
    /// # Errors
    /// When its file cannot be read or written.
    pub fn update(
        &self,
        name: &PeerName,
        id: &str,
        change: impl FnOnce(&mut PeerRecord),
    ) -> Result<bool, PeerError> {
        let _lock = self.lock()?;
        let Some(before) = self.read(name)? else { return Ok(false) };
        if before.id != id || !is_usable(&before) {
            return Ok(false);
        }
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(false);
        }
        self.save(name, &after)?;
        Ok(true)
    }

    /// The other side deleted the peering `id`: nothing of it is trusted any more.
    ///
    /// # Errors
    /// When its file cannot be read or written.
    pub fn terminate(&self, name: &PeerName, id: &str) -> Result<bool, PeerError> {
        self.update(name, id, |record| {
            record.state = State::Terminated.to_string();
            record.imported.clear();
        })
    }

    /// Deletes a peering. One that the other side knows of is left [`State::Deleting`] for the gateway to say
    /// goodbye, unless it is so already: deleting again removes it without waiting.
    ///
    /// # Errors
    /// When there is none of that name, or it cannot be written.
    pub fn delete(&self, name: &PeerName) -> Result<Deleted, PeerError> {
        let _lock = self.lock()?;
        let mut record = self.read(name)?.ok_or_else(|| PeerError::Unknown(name.clone()))?;
        if !is_usable(&record) {
            self.remove(name)?;
            return Ok(Deleted::Gone);
        }
        record.state = State::Deleting.to_string();
        record.imported.clear();
        self.save(name, &record)?;
        Ok(Deleted::Deleting)
    }

    /// Removes what is left of the peering `id`, if it is being deleted.
    ///
    /// # Errors
    /// When its files cannot be removed.
    pub fn forget(&self, name: &PeerName, id: &str) -> Result<(), PeerError> {
        self.remove_if(name, id, State::Deleting)
    }

    fn remove_if(&self, name: &PeerName, id: &str, expected: State) -> Result<(), PeerError> {
        let _lock = self.lock()?;
        let ours = |record: PeerRecord| record.id == id && state(&record) == Some(expected);
        if self.read(name)?.is_some_and(ours) { self.remove(name) } else { Ok(()) }
    }

    /// The record of a name that may be begun from this side, if it stands already.
    fn standing(&self, name: &PeerName, role: Role) -> Result<Option<(PeerRecord, Secrets)>, PeerError> {
        let Some(record) = self.read(name)? else { return Ok(None) };
        if state(&record) == Some(State::Deleting) {
            return Err(PeerError::Deleting(name.clone()));
        }
        match self.secrets(name)? {
            Some(secrets) if secrets.role == role => Ok(Some((record, secrets))),
            Some(secrets) => Err(PeerError::Role { name: name.clone(), role: secrets.role }),
            // Without its secrets a record is of no use: both sides have to begin anew, under the same id.
            None => {
                Ok(Some((record, Secrets { role, establishment_secret_hash: None, stream_secret: None })))
            }
        }
    }

    /// Whether `name` may become, or is, the peering with `theirs`.
    fn check_new(&self, name: &PeerName, theirs: &TrustDomain, own: &TrustDomain) -> Result<(), PeerError> {
        if theirs == own {
            return Err(PeerError::OwnCluster(own.clone()));
        }
        for record in self.list()? {
            let same_name = record.name == name.as_str();
            let same_domain = record.trust_domain == theirs.as_str();
            if same_name && !same_domain && is_usable(&record) {
                let found = record.trust_domain;
                return Err(PeerError::OtherCluster { name: name.clone(), found, wanted: theirs.clone() });
            }
            if !same_name && same_domain {
                let trust_domain = theirs.clone();
                return Err(PeerError::AlreadyPeered { trust_domain, name: record.name });
            }
        }
        Ok(())
    }

    /// Sole right to change `peers/`, which is made when it is not there.
    fn lock(&self) -> Result<DirLock, PeerError> {
        store::make_dir(&self.dir)?;
        Ok(DirLock::take(&self.dir)?)
    }

    fn secrets(&self, name: &PeerName) -> Result<Option<Secrets>, PeerError> {
        read_json(&self.path(name, SECRETS))
    }

    fn save(&self, name: &PeerName, record: &PeerRecord) -> Result<(), PeerError> {
        self.write(&self.path(name, RECORD), record, PUBLIC)
    }

    fn save_secrets(&self, name: &PeerName, secrets: &Secrets) -> Result<(), PeerError> {
        self.write(&self.path(name, SECRETS), secrets, SECRET)
    }

    fn write(&self, path: &Path, value: &impl Serialize, mode: u32) -> Result<(), PeerError> {
        let corrupt = |source| PeerError::Corrupt { path: path.to_owned(), source };
        let mut json = serde_json::to_vec_pretty(value).map_err(corrupt)?;
        json.push(b'\n');
        Ok(store::write_atomic(path, &json, mode)?)
    }

    fn remove(&self, name: &PeerName) -> Result<(), PeerError> {
        store::remove(&self.path(name, RECORD))?;
        Ok(store::remove(&self.path(name, SECRETS))?)
    }

    fn path(&self, name: &PeerName, suffix: &str) -> PathBuf {
        self.dir.join(format!("{name}{suffix}"))
    }
}

/// Checks the addresses that an operator wants in a token.
///
/// # Errors
/// When one is not `host:port`.
pub fn check_addresses(addresses: &[String]) -> Result<(), PeerError> {
    match addresses.iter().find(|address| !is_host_port(address)) {
        Some(address) => Err(PeerError::Address(address.clone())),
        None => Ok(()),
    }
}

fn dialer_secrets(stream_secret: Option<Secret>) -> Secrets {
    Secrets { role: Role::Dialer, establishment_secret_hash: None, stream_secret }
}

fn establish(record: &mut PeerRecord, remote: &Remote, peer_id: &str, imported: Vec<ImportedService>) {
    remote.write_into(record);
    peer_id.clone_into(&mut record.peer_id);
    record.state = State::Active.to_string();
    record.imported = imported;
}

fn fresh(name: &PeerName, state: State) -> PeerRecord {
    PeerRecord {
        name: name.to_string(),
        id: new_id(),
        peer_id: String::new(),
        state: state.to_string(),
        trust_domain: String::new(),
        datacenter: String::new(),
        ca_pems: Vec::new(),
        peer_server_name: String::new(),
        peer_server_addresses: Vec::new(),
        imported: Vec::new(),
    }
}

/// The state of a record; None for a word that nobody knows, which allows nothing.
fn state(record: &PeerRecord) -> Option<State> {
    record.state.parse().ok()
}

fn is_usable(record: &PeerRecord) -> bool {
    state(record).is_some_and(State::is_usable)
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, PeerError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_RECORD + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_RECORD {
            Err(io::Error::from(io::ErrorKind::FileTooLarge))
        } else {
            Ok(bytes)
        }
    };
    match read() {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PeerError::Read { path: path.to_owned(), source }),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| PeerError::Corrupt { path: path.to_owned(), source }),
    }
}
