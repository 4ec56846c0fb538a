//! The provider of the functions' instances, as a flag names it, and whether that is a cluster.

use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

/// Folder of a pod with the credentials of its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The provider of the functions' instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// `kubernetes` inside of a pod that may call the API server, else `local`
    Auto,
    /// Processes on this machine
    Local,
    /// Jobs and Deployments of a Kubernetes cluster
    Kubernetes,
}

impl BackendKind {
    /// Whether a cluster runs the functions, and not this machine.
    #[must_use]
    pub(crate) fn runs_in_cluster(self) -> bool {
        match self {
            Self::Kubernetes => true,
            Self::Auto => is_in_pod(),
            Self::Local => false,
        }
    }
}

/// Whether this process runs in a pod that may call the API server.
#[must_use]
pub(crate) fn is_in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && Path::new(SERVICE_ACCOUNT).join("token").is_file()
}
