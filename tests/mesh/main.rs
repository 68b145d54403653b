//! Scenarios: whole meshes in this process, real TLS, each on a page. A module a theme.
//!
//! Rows are those of the feature table. Nothing here sleeps or depends on a port, so any of it runs beside any
//! other; what a scenario looks at is what users see (bytes, counters, health) and never a proxy's inside.

mod answers;
mod balance;
mod calls;
mod chaos;
mod checks;
mod drain;
mod ejection;
mod failover;
mod headers;
mod hop;
mod http1;
mod limits;
mod logs;
mod peering;
mod protocols;
mod reload;
mod retries;
mod routing;
mod sockets;
mod splits;
mod stalls;
mod sticky;
mod strict;
mod tcp;
mod timeouts;
mod trust;
mod tunnels;
