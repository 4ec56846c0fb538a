//! Functions of a cluster: objects of its API server, with the rights of whoever calls.

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::client_error::ClientError;
use crate::cluster_target::ClusterTarget;
use crate::function_calls::{ApplyMode, Change};
use crate::function_view::{API_VERSION, KIND};
use crate::ordered_value::OrderedValue;
use crate::refusal::{Refusal, RefusalError};
use crate::resource::FunctionName;
use crate::server_client::Answer;

/// Name under which fields of objects are ours.
const MANAGER: &str = "picofaas";

/// Objects of functions.
pub(crate) struct ClusterFunctions {
    cluster: ClusterTarget,
    api: Api<DynamicObject>,
}

impl ClusterFunctions {
    /// Functions of the target's namespace.
    pub(crate) fn new(cluster: ClusterTarget, client: Client) -> Self {
        let kind = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("picofaas.dev", "v1", KIND),
            "functions",
        );
        let api = Api::namespaced_with(client, &cluster.namespace, &kind);
        Self { cluster, api }
    }

    fn error(&self, error: kube::Error) -> ClientError {
        let mut error = self.cluster.error(error);
        // The kind itself is not there: a missing object is told with its name.
        if let ClientError::Refused(refusal) = &mut error
            && refusal.status == 404
            && refusal.error.message.contains("could not find the requested resource")
        {
            refusal.error.message = "this cluster does not know functions: install picofaas there \
                                     (kubectl apply -f k8s/)"
                .to_owned();
        } else if let ClientError::Refused(refusal) = &mut error
            && refusal.status == 404
        {
            // As the HTTP API says it, so that near names are told.
            "FUNCTION_NOT_FOUND".clone_into(&mut refusal.error.code);
        }
        error
    }

    /// All functions, as `GET /v1/functions` answers them.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn list(&self) -> Result<Answer, ClientError> {
        let objects = self.api.list(&ListParams::default()).await.map_err(|error| self.error(error))?;
        let functions: Vec<Value> = objects.items.iter().map(function_of).collect();
        Ok(answer(&json!({ "functions": functions })))
    }

    /// One function, as `GET /v1/functions/{name}` answers it.
    ///
    /// # Errors
    /// As any call; there is none.
    pub(crate) async fn read(&self, name: &FunctionName) -> Result<Answer, ClientError> {
        let object = self.api.get(name.as_str()).await.map_err(|error| self.error(error))?;
        Ok(answer(&function_of(&object)))
    }

    /// The same where its status is of what was applied last; nothing before that.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn read_observed(&self, name: &FunctionName) -> Result<Option<Answer>, ClientError> {
        let object = self.api.get(name.as_str()).await.map_err(|error| self.error(error))?;
        let observed = object.data.get("status").and_then(|status| status.get("observedGeneration"));
        let observed = observed.and_then(Value::as_i64).unwrap_or_default();
        let is_current = observed > 0 && observed >= object.metadata.generation.unwrap_or_default();
        Ok(is_current.then(|| answer(&function_of(&object))))
    }

    /// Applies a function on the side of the server, so that fields of others stay theirs.
    ///
    /// # Errors
    /// As any call; others hold fields with other values.
    pub(crate) async fn put(
        &self,
        name: &FunctionName,
        spec: &OrderedValue,
        mode: ApplyMode,
    ) -> Result<Change, ClientError> {
        let before = self.api.get_opt(name.as_str()).await.map_err(|error| self.error(error))?;
        let object = json!({
            "apiVersion": API_VERSION, "kind": KIND, "metadata": { "name": name.as_str() }, "spec": spec,
        });
        let apply = async |force| {
            let parameters = PatchParams { dry_run: mode.is_dry_run, force, ..PatchParams::apply(MANAGER) };
            let applied = self.api.patch(name.as_str(), &parameters, &Patch::Apply(&object)).await;
            applied.map_err(|error| self.error(error))
        };
        let after = match apply(mode.force).await {
            // A number that `scale` has set is the manifest's again.
            Err(ClientError::Refused(refusal)) if is_with_ourselves(&refusal) => apply(true).await?,
            applied => applied?,
        };
        Ok(match before {
            None => Change::Created,
            Some(before) if before.data.get("spec") == after.data.get("spec") => Change::Unchanged,
            Some(_) => Change::Configured,
        })
    }

    /// Deletes a function. What runs of it is left to finish, as with a deletion over HTTP.
    ///
    /// # Errors
    /// As any call; there is none.
    pub(crate) async fn delete(&self, name: &FunctionName) -> Result<(), ClientError> {
        let deleted = self.api.delete(name.as_str(), &DeleteParams::orphan()).await;
        deleted.map(drop).map_err(|error| self.error(error))
    }

    /// Sets `replicas.min`, by the subresource that `kubectl scale` uses.
    ///
    /// # Errors
    /// As any call; the function is not `WARM`.
    pub(crate) async fn scale(&self, name: &FunctionName, replicas: u32) -> Result<(), ClientError> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let change = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let scaled = self.api.patch_scale(name.as_str(), &parameters, &change).await;
        scaled.map(drop).map_err(|error| self.error(error))
    }
}

/// Whether all that is in the way of an apply are fields that this program has set in another way.
fn is_with_ourselves(refusal: &Refusal) -> bool {
    let ours = format!("conflict with \"{MANAGER}\"");
    let RefusalError { code, details, .. } = &refusal.error;
    code == "Conflict" && !details.is_empty() && details.iter().all(|fault| fault.message.starts_with(&ours))
}

/// A function as the HTTP API has it: fields of `spec` beside its name, and its status.
fn function_of(object: &DynamicObject) -> Value {
    let mut function = object.data.get("spec").cloned().unwrap_or_else(|| json!({}));
    let status = object.data.get("status").filter(|status| status.is_object());
    if let Value::Object(fields) = &mut function {
        fields.insert("name".to_owned(), json!(object.name_any()));
        fields.insert("status".to_owned(), status.cloned().unwrap_or_else(|| json!({})));
    }
    function
}

fn answer(body: &Value) -> Answer {
    Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) }
}
