//! Announcements of instances: their name, and the address at which they listen.

use crate::control::Control;
use crate::error::{ApiError, ErrorCode};
use crate::messages::control_message::Announcement;

impl Control {
    /// Hands an announcement to the backend that knows its token.
    ///
    /// # Errors
    /// `UNAUTHORIZED` where there is none; else what that backend has against it. Whoever announced
    /// tries again.
    pub fn announced(&self, announcement: &Announcement) -> Result<(), ApiError> {
        let versions = self.versions.borrow();
        versions.values().find_map(|version| version.backend.announced(announcement)).unwrap_or_else(|| {
            Err(ApiError::new(
                ErrorCode::Unauthorized,
                "no function here has instances with this token; PICOFAAS_TOKEN and PICOFAAS_RUNTIME_URL must be those that picofaas gives to WARM pods in Kubernetes",
            ))
        })
    }
}
