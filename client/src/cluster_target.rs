//! A cluster as a target: a context of the kubeconfig that was named, and the namespace of its control plane.
//!
//! A kubeconfig is read only where `--kube-context`, or a context of ours, names one of its contexts. Its current
//! context is never taken: `kubectl` may be at work somewhere else.

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::Status;

use crate::client_error::ClientError;
use crate::refusal::{FieldFault, Refusal, RefusalError};
use crate::target::TargetOrigin;

/// Namespace of the control plane, where neither a flag nor the kubeconfig says another.
const NAMESPACE: &str = "picofaas";

/// A cluster, and how its API server is called.
#[derive(Clone, Debug)]
pub(crate) struct ClusterTarget {
    /// Name of the context in the kubeconfig.
    pub kube_context: String,
    /// Namespace of the control plane and its functions.
    pub namespace: String,
    /// How it was named.
    pub origin: TargetOrigin,
    kubeconfig: Kubeconfig,
}

impl ClusterTarget {
    /// The cluster of a context of the kubeconfig.
    ///
    /// # Errors
    /// There is no kubeconfig, or no such context in it.
    pub(crate) fn new(
        kube_context: &str,
        namespace: Option<&str>,
        origin: TargetOrigin,
    ) -> Result<Self, ClientError> {
        let kubeconfig = Kubeconfig::read().map_err(|error| {
            let message = format!("the kubeconfig (KUBECONFIG, ~/.kube/config) cannot be read: {error}");
            ClientError::Usage(message)
        })?;
        let Some(named) = kubeconfig.contexts.iter().find(|context| context.name == kube_context) else {
            return Err(ClientError::NoContext {
                name: kube_context.to_owned(),
                known: kubeconfig.contexts.iter().map(|context| context.name.clone()).collect(),
                path: "the kubeconfig".into(),
            });
        };
        let of_context = named.context.as_ref().and_then(|context| context.namespace.as_deref());
        let namespace = namespace.or(of_context).unwrap_or(NAMESPACE).to_owned();
        Ok(Self { kube_context: kube_context.to_owned(), namespace, origin, kubeconfig })
    }

    /// A client of its API server, with the rights of the context's user.
    ///
    /// # Errors
    /// The context does not fit.
    pub(crate) async fn client(&self) -> Result<Client, ClientError> {
        let options =
            KubeConfigOptions { context: Some(self.kube_context.clone()), ..KubeConfigOptions::default() };
        let wrong = |error: &dyn std::error::Error| {
            ClientError::Usage(format!("the context {:?} of the kubeconfig: {error}", self.kube_context))
        };
        let mut config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options)
            .await
            .map_err(|error| wrong(&error))?;
        // A person waits, and tries again.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| wrong(&error))
    }

    /// Its name, for messages.
    pub(crate) fn name(&self) -> String {
        format!("cluster {}, namespace {}", self.kube_context, self.namespace)
    }

    /// An error of a call to its API server.
    pub(crate) fn error(&self, error: kube::Error) -> ClientError {
        let kube::Error::Api(status) = error else {
            let reason = crate::server_client::reason_of(&error);
            return ClientError::NoServer { server: self.name(), reason };
        };
        ClientError::Refused(refusal(*status))
    }
}

/// An answer of the API server, as ours would be.
fn refusal(status: Status) -> Refusal {
    let causes = status.details.into_iter().flat_map(|details| details.causes);
    let details = causes.map(|cause| FieldFault { field: cause.field, message: cause.message }).collect();
    let code = if status.reason.is_empty() { "Unknown".to_owned() } else { status.reason };
    let error = RefusalError { code, message: status.message, details };
    Refusal { status: status.code, error, retry_after_s: None, field_prefix: "" }
}
