//! The rules of the chain, one test a rule; quirks of Consul's that are followed are tested as such.

mod beyond;
mod cache;
mod checks;
mod depth;
mod drawings;
mod errors;
mod failover;
mod graph;
mod invariants;
mod overrides;
mod protocols;
mod redirects;
mod routers;
mod seeds;
mod splitters;
mod targets;
