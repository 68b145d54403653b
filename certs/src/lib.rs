//! Identity in a Spillway mesh: the built-in CA, leaf certificates, trust bundles, and the TLS contexts made of
//! them.
//!
//! Read in this order: [`x509`] says who a certificate speaks for, [`bundle`] which roots vouch for whom, and
//! `verify` joins the two in a handshake; [`contexts`] makes rustls configurations of them; [`identity`] is where
//! a process gets its own leaf and bundles from, and [`ca`] is one such place. [`peering`] keeps what is known of
//! other clusters. Opens no sockets, spawns nothing; writes files only in [`store`]. The only crate that names a crypto provider ([`policy`]).

pub mod bundle;
pub mod ca;
pub mod contexts;
pub mod identity;
pub mod key;
pub mod leaf;
pub mod peering;
pub mod pem;
pub mod policy;
pub mod store;
mod verify;
mod websocket;
pub mod x509;
pub mod xfcc;

#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
mod testing;

pub use bundle::{BundleError, TrustBundles};
pub use ca::{Ca, CaError};
pub use contexts::{Accept, Alpn, MULTIPLEXED, TlsContexts, authenticated, pinned_client};
pub use identity::{IdentitySource, SourceError};
pub use key::KeyType;
pub use leaf::{Leaf, LeafError};
pub use policy::{TlsError, TlsPolicy};
pub use websocket::{websocket_accept, websocket_key};
pub use x509::{CertInfo, IdentityError, fingerprint, spiffe_id};
pub use xfcc::xfcc;
