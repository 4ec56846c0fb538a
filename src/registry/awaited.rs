//! Functions that are to come: they are known by their names, and cannot be served yet.

use std::collections::BTreeMap;

use super::Registry;
use crate::error::{ApiError, ErrorCode};
use crate::messages::gateway_message::GatewayMessage;

/// Functions that are to come, each with the answer to its calls until then.
pub(super) type Awaited = BTreeMap<String, ApiError>;

impl Registry {
    /// Answers calls that name this function, as long as it is not registered, with this reason; with none, as
    /// of any unknown name.
    pub async fn await_function(&self, name: &str, reason: Option<ApiError>) {
        let known = self.awaited.borrow().get(name).map(|known| known.message.clone());
        if known == reason.as_ref().map(|reason| reason.message.clone()) {
            return;
        }
        match &reason {
            Some(reason) => drop(self.awaited.borrow_mut().insert(name.to_owned(), reason.clone())),
            None => drop(self.awaited.borrow_mut().remove(name)),
        }
        self.gateways
            .tell_all(|done| GatewayMessage::Await {
                name: name.to_owned(),
                reason: reason.clone().map(Box::new),
                done,
            })
            .await;
    }

    /// The error for a name that is not registered here.
    #[must_use]
    pub fn unknown(&self, name: &str) -> ApiError {
        if self.is_unread() {
            return ApiError::unread_function(name);
        }
        self.awaited.borrow().get(name).cloned().unwrap_or_else(|| ApiError::unknown_function(name))
    }

    /// Names of the functions that are being built and were not served before.
    #[must_use]
    pub fn first_builds(&self) -> Vec<String> {
        self.awaited_by(ErrorCode::FunctionBuilding)
    }

    /// Names of the functions whose build failed and that were not served before.
    #[must_use]
    pub fn failed_first_builds(&self) -> Vec<String> {
        self.awaited_by(ErrorCode::FunctionBuildFailed)
    }

    fn awaited_by(&self, code: ErrorCode) -> Vec<String> {
        let awaited = self.awaited.borrow();
        awaited.iter().filter(|(_, reason)| reason.code == code).map(|(name, _)| name.clone()).collect()
    }
}
