//! `spillway peering`: with other clusters, as `consul peering` does it.
//!
//! It works on a configuration directory, which the running gateway of that cluster watches, or through a running
//! gateway's admin API. Both give a peering in the shape of Consul's API, and what is printed is made of that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use spillway_core::name::PeerName;
use spillway_gateway::peering;

use super::Failure;
use super::config::CONFIG_DIR_VARIABLE;
use crate::call::Connection;

/// The longest that a gateway may take: to establish a peering it talks to another cluster.
const DEADLINE: Duration = Duration::from_secs(30);

/// Peer with other clusters, and see what is shared with them
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  there$ spillway peering generate-token --name here --config-dir /etc/spillway > token
   here$ spillway peering establish --name there --peering-token \"$(cat token)\" --config-dir /etc/spillway")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token with which another cluster can peer with this one, once
    #[command(
        after_help = "Example:\n  spillway peering generate-token --name cluster-02 --config-dir /etc/spillway"
    )]
    GenerateToken {
        #[command(flatten)]
        to: Cluster,
        /// What this cluster calls the other one
        #[arg(long)]
        name: PeerName,
        /// Where the other cluster reaches this one, HOST:PORT, instead of its gateways' own addresses
        #[arg(long, value_name = "ADDR", value_delimiter = ',')]
        server_external_addresses: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Use a token of another cluster, to peer with it
    #[command(
        after_help = "Example:\n  spillway peering establish --name cluster-01 --peering-token eyJDQSI6... --config-dir /etc/spillway"
    )]
    Establish {
        #[command(flatten)]
        to: Cluster,
        /// What this cluster calls the other one
        #[arg(long)]
        name: PeerName,
        /// The token that the other cluster made
        #[arg(long, value_name = "TOKEN")]
        peering_token: String,
    },
    /// List all peerings
    #[command(after_help = "Example:\n  spillway peering list --config-dir /etc/spillway")]
    List {
        #[command(flatten)]
        to: Cluster,
        #[command(flatten)]
        output: Output,
    },
    /// Show one peering
    #[command(
        after_help = "Example:\n  spillway peering read --name cluster-02 --config-dir /etc/spillway --format json"
    )]
    Read {
        #[command(flatten)]
        to: Cluster,
        /// The peering
        #[arg(long)]
        name: PeerName,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a peering: its identities and its traffic are refused from that moment on
    #[command(
        after_help = "Example:\n  spillway peering delete --name cluster-02 --config-dir /etc/spillway"
    )]
    Delete {
        #[command(flatten)]
        to: Cluster,
        /// The peering
        #[arg(long)]
        name: PeerName,
    },
    /// List the services that are exported to a peer
    #[command(
        after_help = "Example:\n  spillway peering exported-services --name cluster-02 --config-dir /etc/spillway"
    )]
    ExportedServices {
        #[command(flatten)]
        to: Cluster,
        /// The peering
        #[arg(long)]
        name: PeerName,
        #[command(flatten)]
        output: Output,
    },
}

/// Which cluster's peerings.
#[derive(Debug, clap::Args)]
#[group(required = true)]
struct Cluster {
    /// Configuration directory; its running gateway picks the change up
    #[arg(long, value_name = "DIR", env = CONFIG_DIR_VARIABLE)]
    config_dir: Option<PathBuf>,
    /// Admin API of a running gateway, instead of a directory
    #[arg(long, value_name = "ADDR")]
    http_addr: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Output {
    /// How it is printed
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Pretty,
    Json,
}

/// Does it and prints what came of it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let said = super::runtime()?.block_on(said(args.command))?;
    super::print(said)
}

async fn said(command: Command) -> Result<String, Failure> {
    Ok(match command {
        Command::GenerateToken { to, name, server_external_addresses, output } => {
            let token = to.generate_token(&name, server_external_addresses).await?;
            output.show(json!({ "PeeringToken": token }), |_| token.clone())
        }
        Command::Establish { to, name, peering_token } => {
            to.establish(&name, &peering_token).await?;
            format!("Successfully established peering connection with {name}")
        }
        Command::List { to, output } => output.show(to.list().await?, pretty_list),
        Command::Read { to, name, output } => output.show(to.read(&name).await?, pretty),
        Command::Delete { to, name } => {
            to.delete(&name).await?;
            format!("Successfully submitted peering connection, {name}, for deletion")
        }
        Command::ExportedServices { to, name, output } => {
            let mut peering = to.read(&name).await?;
            output.show(peering["StreamStatus"]["ExportedServices"].take(), |services| {
                let names: Vec<_> = list(services).iter().filter_map(Value::as_str).collect();
                if names.is_empty() { format!("Nothing is exported to {name}.") } else { names.join("\n") }
            })
        }
    })
}

impl Cluster {
    /// Where its gateway can be asked, or else the directory to work on.
    fn place(&self) -> Result<&Path, &str> {
        // One of the two is required.
        match &self.http_addr {
            Some(address) => Err(address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/')),
            None => Ok(self.config_dir.as_deref().unwrap_or(Path::new("."))),
        }
    }

    async fn generate_token(&self, name: &PeerName, addresses: Vec<String>) -> Result<String, Failure> {
        match self.place() {
            Ok(dir) => Ok(peering::generate_token(dir, name, &addresses)?),
            Err(gateway) => {
                let request = json!({ "PeerName": name.as_str(), "ServerExternalAddresses": addresses });
                let answer = ask(gateway, Method::POST, "/v1/peering/token", Some(request)).await?;
                Ok(answer["PeeringToken"].as_str().unwrap_or_default().to_owned())
            }
        }
    }

    async fn establish(&self, name: &PeerName, token: &str) -> Result<(), Failure> {
        match self.place() {
            Ok(dir) => peering::establish(dir, name, token).await.map(drop)?,
            Err(gateway) => {
                let request = json!({ "PeerName": name.as_str(), "PeeringToken": token });
                ask(gateway, Method::POST, "/v1/peering/establish", Some(request)).await?;
            }
        }
        Ok(())
    }

    async fn list(&self) -> Result<Value, Failure> {
        match self.place() {
            Ok(dir) => Ok(json!(peering::list(dir)?)),
            Err(gateway) => ask(gateway, Method::GET, "/v1/peerings", None).await,
        }
    }

    async fn read(&self, name: &PeerName) -> Result<Value, Failure> {
        match self.place() {
            Ok(dir) => Ok(json!(peering::read(dir, name)?)),
            Err(gateway) => ask(gateway, Method::GET, &format!("/v1/peering/{name}"), None).await,
        }
    }

    async fn delete(&self, name: &PeerName) -> Result<(), Failure> {
        match self.place() {
            Ok(dir) => peering::delete(dir, name).map(drop)?,
            Err(gateway) => {
                ask(gateway, Method::DELETE, &format!("/v1/peering/{name}"), None).await?;
            }
        }
        Ok(())
    }
}

/// Asks a running gateway. An empty answer is null.
async fn ask(gateway: &str, method: Method, path: &str, request: Option<Value>) -> Result<Value, Failure> {
    let body = request.map_or_else(Bytes::new, |request| request.to_string().into());
    let headers = [("content-type", "application/json")];
    let mut connection = Connection::open(gateway).await?.with_deadline(DEADLINE);
    let answer = connection.call(method, path, &headers, body).await?;
    if !answer.status.is_success() {
        let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
        return Err(Failure::Gateway { gateway: gateway.to_owned(), status: answer.status, said });
    }
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}

impl Output {
    fn show(&self, answer: Value, pretty: impl FnOnce(&Value) -> String) -> String {
        match self.format {
            Format::Pretty => pretty(&answer),
            Format::Json => format!("{answer:#}"),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(peering: &'a Value, field: &str) -> &'a str {
    peering[field].as_str().unwrap_or_default()
}

/// How many services a peering has in `field` of its stream status.
fn services(peering: &Value, field: &str) -> String {
    list(&peering["StreamStatus"][field]).len().to_string()
}

fn pretty_list(peerings: &Value) -> String {
    let peerings = list(peerings);
    if peerings.is_empty() {
        return "There are no peering connections.".to_owned();
    }
    let header = ["Name", "State", "Imported Svcs", "Exported Svcs"].map(str::to_owned);
    let row = |peering: &Value| {
        let (name, state) = (text(peering, "Name"), text(peering, "State"));
        let imported = services(peering, "ImportedServices");
        [name.to_owned(), state.to_owned(), imported, services(peering, "ExportedServices")]
    };
    let rows: Vec<_> = [header].into_iter().chain(peerings.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let line = |[name, state, imported, exported]: &[String; 4]| {
        let [a, b, c] = widths;
        format!("{name:a$}  {state:b$}  {imported:c$}  {exported}")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn pretty(peering: &Value) -> String {
    let addresses = list(&peering["PeerServerAddresses"]).iter().filter_map(Value::as_str);
    let addresses: String = addresses.map(|address| format!("\n    {address}")).collect();
    format!(
        "Name:         {}\n\
         ID:           {}\n\
         State:        {}\n\
         \n\
         Peer ID:               {}\n\
         Peer Server Name:      {}\n\
         Peer CA Pems:          {}\n\
         Peer Server Addresses:{addresses}\n\
         \n\
         Imported Services: {}\n\
         Exported Services: {}",
        text(peering, "Name"),
        text(peering, "ID"),
        text(peering, "State"),
        text(peering, "PeerID"),
        text(peering, "PeerServerName"),
        list(&peering["PeerCAPems"]).len(),
        services(peering, "ImportedServices"),
        services(peering, "ExportedServices"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peering() -> Value {
        json!({
            "ID": "0b1c",
            "Name": "cluster-02",
            "State": "ACTIVE",
            "PeerID": "7f3d",
            "PeerCAPems": ["-----BEGIN CERTIFICATE-----"],
            "PeerServerName": "server.cluster-02.peering.b.consul",
            "PeerServerAddresses": ["127.0.2.1:8443"],
            "StreamStatus": { "ImportedServices": ["frontend"], "ExportedServices": null },
        })
    }

    #[test]
    fn a_list_is_a_table_as_consuls() {
        assert_eq!(pretty_list(&json!([])), "There are no peering connections.");
        let table = "Name        State   Imported Svcs  Exported Svcs\ncluster-02  ACTIVE  1              0";
        assert_eq!(pretty_list(&json!([peering()])), table);
    }

    #[test]
    fn a_peering_reads_as_consuls() {
        let lines = pretty(&peering());
        for line in [
            "Name:         cluster-02",
            "State:        ACTIVE",
            "Peer CA Pems:          1",
            "Peer Server Addresses:\n    127.0.2.1:8443",
            "Imported Services: 1",
            "Exported Services: 0",
        ] {
            assert!(lines.contains(line), "{line:?} is missing:\n{lines}");
        }
    }
}
