//! The rights in a cluster that were found. It needs no client of a cluster.

/// Access to a cluster, as far as the API server tells.
#[derive(Debug)]
pub(crate) enum Access {
    /// No cluster is known, or its kubeconfig does not fit.
    NoCluster {
        /// The reason.
        reason: String,
        /// How to have one.
        remedy: &'static str,
    },
    /// The API server did not say; with the reason.
    Unanswered {
        /// Namespace of functions.
        namespace: String,
        /// The reason.
        reason: String,
    },
    /// It said of each right whether it is granted.
    Answered {
        /// Namespace of functions.
        namespace: String,
        /// Rights that were asked for.
        rights: usize,
        /// Rights that are not granted, each as verb and resource.
        missing: Vec<String>,
    },
}
