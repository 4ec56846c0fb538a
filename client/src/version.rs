//! `version`: of this program and of the server.

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::client_error::ClientError;
use crate::ordered_value::OrderedValue;
use crate::output;
use crate::server_client::{Call, ServerClient};
use crate::target::TargetArgs;

/// This program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The same, with what this program was built without.
pub const VERSION_AND_PARTS: &str = match (cfg!(feature = "cluster"), cfg!(feature = "tls")) {
    (true, _) => VERSION,
    (false, true) => concat!(env!("CARGO_PKG_VERSION"), " (without clusters)"),
    (false, false) => concat!(env!("CARGO_PKG_VERSION"), " (without clusters and TLS)"),
};

/// Flags of `version`.
#[derive(Args, Clone, Debug)]
pub struct VersionArgs {
    /// Only of this program; no server is asked
    #[arg(long)]
    pub(crate) client: bool,
    /// How it is shown
    #[arg(short, long, value_enum)]
    output: Option<VersionFormat>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// How versions are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VersionFormat {
    /// An object of JSON
    Json,
    /// The same as YAML
    Yaml,
}

/// Writes the version of this program, and of the server where there is one to ask.
///
/// # Errors
/// The server's, after the version of this program was written.
pub(crate) async fn run(
    arguments: &VersionArgs,
    client: Option<&mut ServerClient>,
) -> Result<(), ClientError> {
    let (server, error) = match client {
        None => (None, None),
        Some(client) => match of_server(client).await {
            Ok(version) => (Some((version, client.server())), None),
            Err(error) => (None, Some(error)),
        },
    };
    match arguments.output {
        None => {
            let mut lines = format!("Client: {VERSION_AND_PARTS}\n");
            if let Some((version, url)) = server {
                lines.push_str(&format!("Server: {version} ({url})\n"));
            }
            output::write(crate::printable::printable(&lines).as_bytes())?;
        }
        Some(format) => {
            let mut fields = vec![("clientVersion".to_owned(), OrderedValue::text(VERSION))];
            if let Some((version, _)) = server {
                fields.push(("serverVersion".to_owned(), OrderedValue::text(version)));
            }
            let value = OrderedValue::Object(fields);
            match format {
                VersionFormat::Json => output::write_value_as_json(&value)?,
                VersionFormat::Yaml => output::write_value_as_yaml(&value)?,
            }
        }
    }
    error.map_or(Ok(()), Err)
}

/// The server's, out of its description of itself: it is the only thing on the listener of clients that has it.
async fn of_server(client: &mut ServerClient) -> Result<String, ClientError> {
    #[derive(Deserialize)]
    struct Description {
        info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        title: String,
        version: String,
    }
    let answer = client.ask(Call::get("/openapi.yaml")).await?;
    let text = std::str::from_utf8(&answer.body).map_err(|_| client.foreign(&answer))?;
    match serde_saphyr::from_str::<Description>(text) {
        Ok(Description { info }) if info.title == "picofaas" => Ok(info.version),
        Ok(_) | Err(_) => Err(client.foreign(&answer)),
    }
}
