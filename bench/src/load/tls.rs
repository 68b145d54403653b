//! mTLS for load and backend: as a service of the run's own CA, by the product's own rules.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use spillway_certs::bundle::roots_from_pem;
use spillway_certs::{Accept, Alpn, Leaf, TlsContexts, TlsPolicy, TrustBundles, store};
use tokio_rustls::TlsAcceptor;

use crate::error::BenchError;
use crate::peers::Site;

/// How the mesh is asked.
#[derive(Clone, Debug)]
pub(crate) struct Mesh {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
    /// Whether each request has a connection of its own.
    pub(super) fresh: bool,
}

/// What becomes of a connection after its request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reuse {
    /// It takes the next.
    Connection,
    /// It is closed, and the next resumes its session.
    Session,
    /// It is closed, and the next begins anew.
    Nothing,
}

impl Mesh {
    /// As the caller of the site's backend.
    pub(crate) fn new(site: &Site, reuse: Reuse) -> Result<Self, BenchError> {
        let contexts = contexts(&site.certificate("web"), &site.key("web"), &site.root())?;
        let config = contexts.client(&[site.identity("backend")].into(), Alpn::Http1);
        let mut config = Arc::unwrap_or_clone(config);
        if reuse != Reuse::Session {
            config.resumption = Resumption::disabled();
        }
        let name = ServerName::try_from(site.sni().to_string()).map_err(failed)?;
        Ok(Self { config: Arc::new(config), name, fresh: reuse != Reuse::Connection })
    }
}

/// As the server of these files.
pub(crate) fn acceptor(certificate: &Path, key: &Path, root: &Path) -> Result<TlsAcceptor, BenchError> {
    Ok(TlsAcceptor::from(contexts(certificate, key, root)?.server(&Accept::All, Alpn::Http1)))
}

fn contexts(certificate: &Path, key: &Path, root: &Path) -> Result<TlsContexts, BenchError> {
    let leaf = Leaf::load(certificate, key).map_err(failed)?;
    let root = String::from_utf8(store::read(root)?).map_err(failed)?;
    let roots = roots_from_pem(&[root]).map_err(failed)?;
    let bundles = TrustBundles::new(leaf.id().trust_domain.clone(), roots).map_err(failed)?;
    let policy = TlsPolicy::from_mesh(None).map_err(failed)?;
    TlsContexts::new(Arc::new(leaf), bundles, policy).map_err(failed)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> BenchError {
    BenchError::io("make TLS ready", std::io::Error::other(error))
}
