//! Instances of services in a mesh that runs: an application and its sidecar each.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::app::App;
use crate::client::Client;
use crate::config::{ConfigDir, Registration};
use crate::proxy::{Kind, Proxy};

/// One instance: an application, and the sidecar beside it.
pub struct Instance {
    cluster: String,
    dir: ConfigDir,
    registration: Mutex<Registration>,
    app: App,
    sidecar: Proxy,
}

impl Instance {
    /// An instance whose application runs, and whose sidecar does not yet.
    pub(crate) fn new(cluster: &str, dir: &ConfigDir, registration: Registration, app: App) -> Self {
        let drain_time = Duration::from_millis(registration.builder.drain_ms);
        let workers = registration.builder.workers;
        let sidecar = Proxy::new(app.name(), dir, Kind::Sidecar(registration.id()), drain_time);
        let sidecar = sidecar.with_workers(workers);
        let registration = Mutex::new(registration);
        Self { cluster: cluster.to_owned(), dir: dir.clone(), registration, app, sidecar }
    }

    fn registration(&self) -> MutexGuard<'_, Registration> {
        self.registration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `CLUSTER/SERVICE/INDEX`
    pub fn name(&self) -> &str {
        self.app.name()
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Its application.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Its sidecar.
    pub fn sidecar(&self) -> &Proxy {
        &self.sidecar
    }

    /// A caller in its application's place.
    pub fn client(&self) -> Client {
        Client::new(self.name().to_owned(), self.registration().upstreams.clone())
    }

    /// Where the mesh reaches it: its sidecar's public listener.
    pub fn address(&self) -> SocketAddr {
        self.registration().sidecar
    }

    /// Takes an upstream out of its registration.
    pub(crate) fn forget_upstream(&self, upstream: &str) {
        let mut registration = self.registration();
        registration.upstreams.remove(upstream);
        self.dir.write(&registration.file_name(), &registration.text());
    }
}

/// All instances of a service in one cluster.
pub struct Service<'a> {
    pub(crate) instances: Vec<&'a Instance>,
}

impl Service<'_> {
    /// Ends every instance, as when its hosts lose power: nobody accepts a connection.
    pub fn refuse_connections(&self) {
        for instance in &self.instances {
            instance.sidecar().kill();
            instance.app().kill();
        }
    }

    /// Starts every instance again after [`Service::refuse_connections`].
    ///
    /// # Panics
    /// When one does not start.
    pub async fn accept_connections(&self) {
        for instance in &self.instances {
            instance.app().revive();
            instance.sidecar().start().await;
        }
    }

    /// How many requests reached its applications.
    pub fn count(&self) -> usize {
        self.instances.iter().map(|instance| instance.app().count()).sum()
    }

    /// How many requests with this `x-request-id` reached its applications.
    pub fn count_of(&self, id: &str) -> usize {
        self.instances.iter().map(|instance| instance.app().count_of(id)).sum()
    }
}
