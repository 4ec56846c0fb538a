//! Calls about functions: list, read, put, delete, scale.

use hyper::header::{HeaderValue, IF_MATCH};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::client_error::ClientError;
use crate::defaults::is_same;
use crate::near_names::near;
use crate::ordered_value::OrderedValue;
use crate::resource::FunctionName;
use crate::server_client::{Answer, Call, ServerClient};

/// Body of `GET /v1/functions`.
#[derive(Debug, Deserialize)]
pub(crate) struct FunctionPage<T> {
    /// By name.
    pub functions: Vec<T>,
}

/// An entity tag that no version has.
const TAG_OF_NONE: HeaderValue = HeaderValue::from_static("\"only-checked\"");

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

/// How a function is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApplyMode {
    /// Make another version of what is unchanged, too; in a cluster, take over fields that others hold.
    pub force: bool,
    /// Let the API server check it, and change nothing.
    pub is_dry_run: bool,
}

/// Effect of a `PUT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// There was no function of the name.
    Created,
    /// There was another version.
    Configured,
    /// It was like that already, and nothing was sent.
    Unchanged,
}

/// `GET /v1/functions`.
pub(crate) async fn list(client: &mut ServerClient) -> Result<Answer, ClientError> {
    #[cfg(feature = "cluster")]
    if let Some(functions) = client.cluster_functions().await? {
        return functions.list().await;
    }
    client.ask(Call::get("/v1/functions")).await
}

/// Names of all functions, sorted.
pub(crate) async fn names(client: &mut ServerClient) -> Result<Vec<String>, ClientError> {
    let answer = list(client).await?;
    let page: FunctionPage<Named> = client.read(&answer)?;
    Ok(page.functions.into_iter().map(|function| function.name).collect())
}

/// `GET /v1/functions/{name}`.
///
/// # Errors
/// Where there is none, the names that may have been meant.
pub(crate) async fn read(client: &mut ServerClient, name: &FunctionName) -> Result<Answer, ClientError> {
    let read = read_once(client, name).await;
    explained(client, name, read).await
}

async fn read_once(client: &mut ServerClient, name: &FunctionName) -> Result<Answer, ClientError> {
    #[cfg(feature = "cluster")]
    if let Some(functions) = client.cluster_functions().await? {
        return functions.read(name).await;
    }
    client.ask(Call::get(path(name))).await
}

/// The same where its status is of what was put last; nothing before that.
pub(crate) async fn read_current(
    client: &mut ServerClient,
    name: &FunctionName,
) -> Result<Option<Answer>, ClientError> {
    #[cfg(feature = "cluster")]
    if let Some(functions) = client.cluster_functions().await? {
        return functions.read_observed(name).await;
    }
    client.ask(Call::get(path(name))).await.map(Some)
}

/// `PUT /v1/functions/{name}`, where the function is another one, or one is to be made of it in any case.
pub(crate) async fn put(
    client: &mut ServerClient,
    name: &FunctionName,
    spec: &OrderedValue,
    mode: ApplyMode,
) -> Result<Change, ClientError> {
    #[cfg(feature = "cluster")]
    if let Some(functions) = client.cluster_functions().await? {
        return functions.put(name, spec, mode).await;
    }
    if mode.is_dry_run {
        let message = "--dry-run is for clusters: a server has none";
        return Err(ClientError::Usage(message.to_owned()));
    }
    if !mode.force {
        let before = client.call(Call::get(path(name))).await?;
        if before.status.is_success() && is_same(&client.read(&before)?, spec) {
            return Ok(Change::Unchanged);
        }
    }
    let answer = client.ask(put_call(name, spec)?).await.map_err(of_manifest)?;
    Ok(if answer.status == StatusCode::CREATED { Change::Created } else { Change::Configured })
}

/// Has a server check a function that [`put`] is to send, and changes nothing: the `PUT` is for a version that there
/// is not, which a server looks at after it has checked everything else.
///
/// # Errors
/// As [`put`].
pub(crate) async fn check(
    client: &mut ServerClient,
    name: &FunctionName,
    spec: &OrderedValue,
) -> Result<(), ClientError> {
    match client.ask(put_call(name, spec)?.header(IF_MATCH, TAG_OF_NONE)).await {
        Err(ClientError::Refused(refusal)) if refusal.error.code == "VERSION_MISMATCH" => Ok(()),
        other => other.map(drop).map_err(of_manifest),
    }
}

fn put_call(name: &FunctionName, spec: &OrderedValue) -> Result<Call, ClientError> {
    let body = serde_json::to_vec(spec)
        .map_err(|error| ClientError::Usage(format!("{name}: cannot be written as JSON: {error}")))?;
    Ok(Call::new(Method::PUT, path(name)).json(body))
}

/// Names fields as a manifest does, where they are below `spec`.
fn of_manifest(mut error: ClientError) -> ClientError {
    if let ClientError::Refused(refusal) = &mut error {
        refusal.field_prefix = "spec.";
    }
    error
}

/// `DELETE /v1/functions/{name}`.
pub(crate) async fn delete(client: &mut ServerClient, name: &FunctionName) -> Result<(), ClientError> {
    let deleted = delete_once(client, name).await;
    explained(client, name, deleted).await
}

async fn delete_once(client: &mut ServerClient, name: &FunctionName) -> Result<(), ClientError> {
    #[cfg(feature = "cluster")]
    if let Some(functions) = client.cluster_functions().await? {
        return functions.delete(name).await;
    }
    client.ask(Call::new(Method::DELETE, path(name))).await.map(drop)
}

/// `PUT /v1/functions/{name}/replicas`.
pub(crate) async fn scale(
    client: &mut ServerClient,
    name: &FunctionName,
    replicas: u32,
) -> Result<(), ClientError> {
    let scaled = scale_once(client, name, replicas).await;
    explained(client, name, scaled).await
}

async fn scale_once(
    client: &mut ServerClient,
    name: &FunctionName,
    replicas: u32,
) -> Result<(), ClientError> {
    #[cfg(feature = "cluster")]
    if let Some(functions) = client.cluster_functions().await? {
        return functions.scale(name, replicas).await;
    }
    let call = Call::new(Method::PUT, path(name) + "/replicas").json(format!("{{\"replicas\":{replicas}}}"));
    client.ask(call).await.map(drop)
}

/// The path of a function.
pub(crate) fn path(name: &FunctionName) -> String {
    format!("/v1/functions/{name}")
}

/// The result of a call, with the names that may have been meant where there is no such function.
pub(crate) async fn explained<T>(
    client: &mut ServerClient,
    name: &FunctionName,
    result: Result<T, ClientError>,
) -> Result<T, ClientError> {
    match result {
        Err(ClientError::Refused(refusal)) if refusal.error.code == "FUNCTION_NOT_FOUND" => {
            // Without the list there is still the error itself.
            let known = names(client).await.unwrap_or_default();
            let name = name.as_str().to_owned();
            Err(ClientError::NoFunction { near: near(&name, &known), name, server: client.server() })
        }
        other => other,
    }
}
