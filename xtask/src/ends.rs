//! How a check ended that has parts.

/// Parts that did not pass, a line each.
#[derive(Default)]
pub(crate) struct Ends {
    pub failed: Vec<String>,
    pub skipped: Vec<String>,
}
