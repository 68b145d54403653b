//! Whole meshes in one process, for tests: clusters, applications with faults, sidecars, callers.
//!
//! [`Mesh::builder`] says what there is, in terms of clusters and services; everything else follows. Each cluster
//! is a real configuration directory with a CA of its own, each sidecar a real [`spillway_proxy::process::Process`]
//! on a thread of its own, each application a plain HTTP/1.1, HTTP/2 or TCP server that says who it is and fails when it
//! is told to. Every instance has a loopback address of its own, as if it were a host, so that a port that was
//! given up can be bound again. Kept out: fixed ports, sleeps (wait with [`eventually`]), process-wide state.

mod app;
mod builder;
mod client;
mod config;
mod entry;
mod host;
mod log;
mod mesh;
mod pki;
mod proxy;
mod service;
mod wait;
mod wire;

pub use app::{App, Received, Reply, Then};
pub use builder::{ClusterBuilder, InstanceBuilder, MeshBuilder};
pub use client::{Answer, Call, Client, Connection, Http2, RequestBuilder, Tunnel, Version};
pub use entry::{
    Entry, FailoverTarget, datacenter, exported_services, peer, resolver, router, service, splitter,
};
pub use log::AccessLog;
pub use mesh::Mesh;
pub use pki::{Authority, Identity, Impostor, Mute};
pub use proxy::Proxy;
pub use service::{Instance, Service};
pub use wait::{eventually, within};
