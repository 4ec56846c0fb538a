//! The one invocation of a JOB: its execution, and the access to the control plane.

use crate::access::Access;
use crate::limits::EXECUTION_ID_BYTES_MAX;
use crate::settings::SettingError;

pub(crate) const EXECUTION_ID: &str = "EXECUTION_ID";

/// One attempt of one execution.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// Part of a path as it is.
    pub(crate) execution_id: String,
    pub(crate) access: Access,
}

impl Assignment {
    /// Checks the value of [`EXECUTION_ID`] and those that make an [`Access`].
    pub(crate) fn read(execution_id: String, url: String, token: String) -> Result<Self, SettingError> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if execution_id.len() > EXECUTION_ID_BYTES_MAX || !execution_id.bytes().all(unreserved) {
            let rule = "at most 256 letters, digits and any of -._~";
            return Err(SettingError::Value { name: EXECUTION_ID, value: execution_id, rule });
        }
        Ok(Self { execution_id, access: Access::read(url, token)? })
    }

    /// The head of a request about the execution; each of `more` ends in a line break.
    pub(crate) fn head(&self, method: &str, what: &str, more: &str) -> String {
        let path = format!("/v1/internal/executions/{}{what}", self.execution_id);
        self.access.head(method, &path, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_change_the_path_is_refused() {
        for id in ["a/b", "a?b", "a:b", "a b", "é", &"a".repeat(257)] {
            let refused = Assignment::read(id.to_owned(), "http://h:1".to_owned(), "t".to_owned());
            assert!(matches!(refused, Err(SettingError::Value { name: "EXECUTION_ID", .. })), "{id}");
        }
    }
}
