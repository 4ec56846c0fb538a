//! The provider of the functions' instances, as a flag names it, and whether that is a cluster.

use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

use super::ServeArgs;

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

/// Told to who asks for a cluster where there is none in this program.
pub(crate) const WITHOUT_CLUSTERS: &str =
    "this program was built without clusters; build it with them: cargo build --release";

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

/// Whether this program has what the flags ask of clusters.
///
/// # Errors
/// It was built without them; with the flag that asks.
pub(super) fn check_clusters(flags: &ServeArgs) -> Result<(), String> {
    if cfg!(feature = "cluster") {
        return Ok(());
    }
    match flags.backend {
        BackendKind::Kubernetes => return Err(format!("--backend kubernetes: {WITHOUT_CLUSTERS}")),
        BackendKind::Auto if is_in_pod() => {
            return Err(format!(
                "--backend auto: is kubernetes here, in a pod that may call the API server, and {WITHOUT_CLUSTERS}, or say --backend local"
            ));
        }
        BackendKind::Auto | BackendKind::Local => {}
    }
    for (flag, is_given) in [
        ("--kubeconfig", flags.kubeconfig.is_some()),
        ("--namespace", flags.namespace.is_some()),
        ("--runtime-url", flags.runtime_url.is_some()),
    ] {
        if is_given {
            return Err(format!("{flag}: {WITHOUT_CLUSTERS}, or leave the flag out"));
        }
    }
    Ok(())
}
