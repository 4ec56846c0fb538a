//! The number of instances that a function keeps running.

use super::Registry;
use crate::error::FieldError;
use crate::error::{ApiError, ErrorCode};
use crate::spec::ExecutionMode;

impl Registry {
    /// Sets how many instances of a `WARM` function are kept running, until its next version.
    ///
    /// # Errors
    /// No such function, not `WARM`, or out of its range.
    pub fn scale(&self, name: &str, replicas: u32) -> Result<(), ApiError> {
        self.check_scale(name, replicas)?;
        let functions = self.functions.borrow();
        if let Some(backend) =
            functions.get(name).and_then(|registered| self.versions.backend(registered.wanted.index))
            && backend.min() != Some(replicas)
        {
            backend.set_min(replicas);
        }
        Ok(())
    }

    /// Whether a function can be scaled so.
    ///
    /// # Errors
    /// No such function, not `WARM`, or out of its range.
    pub fn check_scale(&self, name: &str, replicas: u32) -> Result<(), ApiError> {
        let functions = self.functions.borrow();
        let registered = functions.get(name).ok_or_else(|| self.unknown(name))?;
        let spec = &registered.wanted.spec;
        if spec.execution_mode != ExecutionMode::Warm {
            let mode = spec.execution_mode.as_str();
            return Err(ApiError::new(
                ErrorCode::NotScalable,
                format!("{name} is {mode}; only WARM functions have replicas"),
            ));
        }
        if replicas > spec.replicas().max {
            let message = format!(
                "must be between 0 and replicas.max, which is {}, is {replicas}",
                spec.replicas().max
            );
            return Err(ApiError::new(ErrorCode::InvalidFunction, "the number of replicas is out of range")
                .with_details(vec![FieldError { field: "replicas".to_owned(), message }]));
        }
        Ok(())
    }
}
