//! Versions of functions that are open, each with the backend of its instances.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use super::backend::Backend;
use super::scaling::Scaling;
use crate::error::{ApiError, ErrorCode};
use crate::function_version::FunctionVersion;
use crate::instance::VersionIndex;
use crate::messages::control_message::{Announcement, JobStart, StandbyTake};

/// One version, from its opening until nothing of it is left.
#[derive(Debug)]
pub(crate) struct OpenVersion {
    /// Its function's version.
    pub function: Arc<FunctionVersion>,
    /// The backend of its instances.
    pub backend: Backend,
    /// Capacity that is kept beside what is busy, where its function asks for some.
    pub scaling: Option<Scaling>,
}

impl OpenVersion {
    /// A version whose backend is at work.
    pub(crate) fn new(function: Arc<FunctionVersion>, backend: Backend) -> Self {
        Self { scaling: Scaling::of(&function.spec), function, backend }
    }
}

/// The open versions, by index.
#[derive(Debug, Default)]
pub struct OpenVersions(RefCell<HashMap<VersionIndex, OpenVersion>>);

impl OpenVersions {
    /// Adds one.
    pub(crate) fn insert(&self, version: OpenVersion) {
        self.0.borrow_mut().insert(version.function.index, version);
    }

    /// Takes one out, of which nothing is left.
    pub(crate) fn remove(&self, index: VersionIndex) -> Option<OpenVersion> {
        self.0.borrow_mut().remove(&index)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Ref<'_, HashMap<VersionIndex, OpenVersion>> {
        self.0.borrow()
    }

    /// Whether any version of a function is open.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.0.borrow().values().any(|version| version.function.spec.name.as_str() == name)
    }

    /// Keeps no instance of one running any more, which is closed: those that run are stopped when the scheduler retires
    /// them.
    pub(crate) fn wind_down(&self, index: VersionIndex) {
        let versions = self.0.borrow();
        let Some(version) = versions.get(&index) else { return };
        if let Some(scaling) = &version.scaling {
            scaling.end();
        }
        let backend = version.backend.clone();
        drop(versions);
        backend.wind_down();
    }

    /// The backend of one.
    #[must_use]
    pub fn backend(&self, index: VersionIndex) -> Option<Backend> {
        self.0.borrow().get(&index).map(|version| version.backend.clone())
    }

    /// Starts the process of one attempt of a `JOB`. Where its version is not there any more, nobody is
    /// told, which tells whoever waits.
    pub fn start_job(&self, start: JobStart) {
        if let Some(backend) = self.backend(start.function.index) {
            backend.start_job(start);
        }
    }

    /// An instance that was started ahead was given an execution. Where its version is not there any more, nobody is
    /// told, which tells whoever waits.
    pub fn standby_taken(&self, take: Box<StandbyTake>) {
        if let Some(backend) = self.backend(take.instance.version) {
            backend.standby_taken(take);
        }
    }

    /// Hands the announcement of an instance, its name and the address at which it listens, to the backend
    /// that knows its token.
    ///
    /// # Errors
    /// `UNAUTHORIZED` where there is none; else what that backend has against it. Whoever announced
    /// tries again.
    pub fn announced(&self, announcement: &Announcement) -> Result<(), ApiError> {
        let versions = self.0.borrow();
        versions.values().find_map(|version| version.backend.announced(announcement)).unwrap_or_else(|| {
            Err(ApiError::new(
                ErrorCode::Unauthorized,
                "no function here has instances with this token; PICOFAAS_TOKEN and PICOFAAS_RUNTIME_URL must be those that picofaas gives to WARM pods in Kubernetes",
            ))
        })
    }

    /// Returns when no instance is left that ends with this process.
    pub async fn emptied(&self) {
        let left = || {
            let versions = self.0.borrow();
            versions
                .values()
                .find(|version| !version.backend.is_empty())
                .map(|version| version.backend.clone())
        };
        while let Some(backend) = left() {
            backend.emptied().await;
        }
    }

    /// Stops every instance that ends with this process.
    pub fn stop_instances(&self) {
        for version in self.0.borrow().values() {
            version.backend.stop_own();
        }
    }
}
