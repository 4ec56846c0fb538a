//! The reason that a specification is not served, though it is in the registry of the cluster.

/// The reason that a specification cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidSpec {
    /// One word.
    pub reason: &'static str,
    /// Every error.
    pub message: String,
    /// Whether it may be served later without a change of it.
    pub may_pass: bool,
}
