//! Errors of the fields of a specification.

use std::fmt;

use serde::Serialize;

use crate::error::FieldError;

/// Most errors that are kept of one text. A client that sends a megabyte of unknown fields gets these
/// and the number of the others, not an answer larger than its request.
pub(crate) const FIELD_ERRORS_MAX: usize = 100;

/// Every error of a specification; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(pub Vec<FieldError>);

impl fmt::Display for FieldErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("; ")?;
            }
            write!(out, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

/// Collects the errors of one text, each with its line (0 where no line is known).
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(u32, FieldError)>,
    left_out: usize,
}

impl Findings {
    /// Notes that the field at `path` has an error.
    pub(super) fn add(&mut self, line: u32, path: impl Into<String>, message: impl Into<String>) {
        if self.found.len() < FIELD_ERRORS_MAX {
            self.found.push((line, FieldError { field: path.into(), message: message.into() }));
        } else {
            self.left_out += 1;
        }
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The errors with their lines, in the order in which they were noted; the last one says how many
    /// were left out, if any were.
    pub(super) fn into_lines(self) -> Vec<(u32, FieldError)> {
        let mut found = self.found;
        if self.left_out > 0 {
            let message = format!("{} more faults are not listed", self.left_out);
            found.push((0, FieldError { field: String::new(), message }));
        }
        found
    }

    /// The errors without their lines.
    pub(super) fn into_errors(self) -> FieldErrors {
        FieldErrors(self.into_lines().into_iter().map(|(_, error)| error).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_beyond_the_limit_are_counted_and_not_kept() {
        let mut findings = Findings::default();
        for index in 0..FIELD_ERRORS_MAX + 7 {
            findings.add(0, format!("f{index}"), "is wrong");
        }
        let errors = findings.into_errors().0;
        assert_eq!(errors.len(), FIELD_ERRORS_MAX + 1);
        assert_eq!(errors[FIELD_ERRORS_MAX].message, "7 more faults are not listed");
    }
}
