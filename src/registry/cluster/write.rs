//! Function writes of the HTTP API: to the API server first, then applied at once.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::sync::MutexGuard;

use super::FunctionObjects;
use crate::error::{ApiError, ErrorCode};
use crate::kubernetes::function_object::{FunctionObject, spec_of};
use crate::kubernetes::object_error::{ObjectError, ask};
use crate::registry::Registered;
use crate::spec::{FunctionName, FunctionSpec};

/// Number of times that a write is made again because another came before it.
const TRIES_MAX: usize = 5;
/// Number of looks for an object that is being deleted until it is gone, and the pause between two. The watch tells of
/// it, too, but may be behind or away, which is to hold up no write.
const GOING_LOOKS_MAX: usize = 200;
const GOING_LOOK: Duration = Duration::from_millis(50);

impl FunctionObjects {
    /// Creates the object of a function that must not be there yet.
    ///
    /// # Errors
    /// There is one, it cannot be served, or the API server did not take it.
    pub(crate) async fn create_object(&self, spec: &FunctionSpec, body: &[u8]) -> Result<(), ApiError> {
        self.registry.check_supported(spec)?;
        let (_change, there) = self.lock_at(spec.name.as_str()).await?;
        if let Some(there) = there {
            // Whether that one can be served is its own affair.
            let _ = self.apply_object(&there).await;
            return Err(exists(spec.name.as_str()));
        }
        self.registry.check_room(spec)?;
        let object = FunctionObject::new(spec.name.as_str(), spec_of(body, spec));
        match ask(self.api.create(&PostParams::default(), &object)).await {
            Ok(made) => self.apply_object(&made).await,
            Err(ObjectError::AlreadyExists) => Err(exists(spec.name.as_str())),
            Err(ObjectError::NotFound) => Err(no_definition()),
            Err(error @ (ObjectError::Conflict | ObjectError::Other(_))) => Err(error.into_api_error()),
        }
    }

    /// Creates or replaces the object of a function where `condition` allows it, which is asked with the
    /// function as its object has it. Answers whether it is new.
    ///
    /// # Errors
    /// The condition's, it cannot be served, or the API server did not take it.
    pub(crate) async fn put_object(
        &self,
        spec: &FunctionSpec,
        body: &[u8],
        condition: impl Fn(Option<&Registered>) -> Result<(), ApiError>,
    ) -> Result<bool, ApiError> {
        self.registry.check_supported(spec)?;
        let name = spec.name.as_str();
        for _ in 0..TRIES_MAX {
            let (_change, there) = self.lock_at(name).await?;
            match &there {
                // It may be newer than what the watch has told; its errors are its own affair.
                Some(there) => drop(self.apply_object(there).await),
                None => self.forget_named(name).await,
            }
            condition(self.registry.functions().get(name))?;
            self.registry.check_room(spec)?;
            let (is_new, written) = match there {
                Some(mut object) => {
                    object.spec = spec_of(body, spec);
                    (false, ask(self.api.replace(name, &PostParams::default(), &object)).await)
                }
                None => {
                    let object = FunctionObject::new(name, spec_of(body, spec));
                    match ask(self.api.create(&PostParams::default(), &object)).await {
                        Err(ObjectError::NotFound) => return Err(no_definition()),
                        made => (true, made),
                    }
                }
            };
            match written {
                Ok(object) => return self.apply_object(&object).await.map(|()| is_new),
                Err(ObjectError::Conflict | ObjectError::AlreadyExists | ObjectError::NotFound) => {}
                Err(error @ ObjectError::Other(_)) => return Err(error.into_api_error()),
            }
        }
        Err(ObjectError::Conflict.into_api_error())
    }

    /// Sets `replicas.min` of an object.
    ///
    /// # Errors
    /// No such function, not `WARM`, out of its range, or the API server did not take it.
    pub(crate) async fn scale_object(&self, name: &str, replicas: u32) -> Result<(), ApiError> {
        let _change = self.change_lock.lock().await;
        self.registry.check_scale(name, replicas)?;
        let change = json!({ "spec": { "replicas": { "min": replicas } } });
        match ask(self.api.patch(name, &PatchParams::default(), &Patch::Merge(change))).await {
            Ok(object) => self.apply_object(&object).await,
            Err(ObjectError::NotFound) => Err(ApiError::unknown_function(name)),
            Err(error) => Err(error.into_api_error()),
        }
    }

    /// Deletes an object. Its dependents are left: what runs is to finish, and the Deployment goes when
    /// nothing of the function is left.
    ///
    /// # Errors
    /// There is none, or the API server did not delete it.
    pub(crate) async fn delete_object(&self, name: &str) -> Result<(), ApiError> {
        // It becomes part of a path.
        let name = FunctionName::new(name).map_err(|_| ApiError::unknown_function(name))?;
        let _change = self.change_lock.lock().await;
        match ask(self.api.delete(name.as_str(), &DeleteParams::orphan())).await {
            Ok(answer) => {
                if let Some(object) = answer.left() {
                    self.deleted.borrow_mut().insert(object.uid().to_owned());
                }
                self.forget_named(name.as_str()).await;
                Ok(())
            }
            Err(ObjectError::NotFound) => {
                let was_served = self.registry.functions().contains_key(name.as_str());
                self.forget_named(name.as_str()).await;
                if was_served { Ok(()) } else { Err(ApiError::unknown_function(name.as_str())) }
            }
            Err(error) => Err(error.into_api_error()),
        }
    }

    /// Sets `replicas.min` of an object where `condition` allows it, which is asked with the function as its
    /// object has it.
    ///
    /// # Errors
    /// The condition's, and those of [`FunctionObjects::scale_object`].
    pub(crate) async fn scale_object_if(
        &self,
        name: &str,
        replicas: u32,
        condition: impl Fn(Option<&Registered>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for _ in 0..TRIES_MAX {
            let (_change, there) = self.lock_named(name).await?;
            self.registry.check_scale(name, replicas)?;
            condition(self.registry.functions().get(name))?;
            let change = json!({
                "metadata": { "resourceVersion": there.metadata.resource_version },
                "spec": { "replicas": { "min": replicas } },
            });
            match ask(self.api.patch(name, &PatchParams::default(), &Patch::Merge(change))).await {
                Ok(object) => return self.apply_object(&object).await,
                Err(ObjectError::Conflict | ObjectError::NotFound) => {}
                Err(error @ (ObjectError::AlreadyExists | ObjectError::Other(_))) => {
                    return Err(error.into_api_error());
                }
            }
        }
        Err(ObjectError::Conflict.into_api_error())
    }

    /// Deletes an object where `condition` allows it, which is asked with the function as its object has it.
    ///
    /// # Errors
    /// The condition's, and those of [`FunctionObjects::delete_object`].
    pub(crate) async fn delete_object_if(
        &self,
        name: &str,
        condition: impl Fn(Option<&Registered>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for _ in 0..TRIES_MAX {
            let (_change, there) = self.lock_named(name).await?;
            condition(self.registry.functions().get(name))?;
            let as_read = Preconditions {
                resource_version: there.metadata.resource_version.clone(),
                uid: there.metadata.uid.clone(),
            };
            match ask(self.api.delete(name, &DeleteParams::orphan().preconditions(as_read))).await {
                Ok(answer) => {
                    if let Some(object) = answer.left() {
                        self.deleted.borrow_mut().insert(object.uid().to_owned());
                    }
                    self.forget_named(name).await;
                    return Ok(());
                }
                Err(ObjectError::Conflict | ObjectError::NotFound) => {}
                Err(error @ (ObjectError::AlreadyExists | ObjectError::Other(_))) => {
                    return Err(error.into_api_error());
                }
            }
        }
        Err(ObjectError::Conflict.into_api_error())
    }

    /// Takes the lock, and has what is served fit the object of a name, which is there. Its errors are its own
    /// affair.
    async fn lock_named(&self, name: &str) -> Result<(MutexGuard<'_, ()>, FunctionObject), ApiError> {
        // It becomes part of a path.
        let name = FunctionName::new(name).map_err(|_| ApiError::unknown_function(name))?;
        let (change, there) = self.lock_at(name.as_str()).await?;
        let Some(there) = there else {
            self.forget_named(name.as_str()).await;
            return Err(ApiError::unknown_function(name.as_str()));
        };
        let _ = self.apply_object(&there).await;
        Ok((change, there))
    }

    async fn forget_named(&self, name: &str) {
        let uid = self.known.borrow().get(name).map(|known| known.uid.clone());
        if let Some(uid) = uid {
            self.forget_object(name, &uid).await;
        }
    }
}

impl FunctionObjects {
    /// Takes the lock, and reads the object of a name. Waits, without the lock, until an object that is being
    /// deleted is gone.
    async fn lock_at(&self, name: &str) -> Result<(MutexGuard<'_, ()>, Option<FunctionObject>), ApiError> {
        for _ in 0..GOING_LOOKS_MAX {
            let change = self.change_lock.lock().await;
            match ask(self.api.get(name)).await {
                Ok(object) if object.is_going() => {}
                Ok(object) => return Ok((change, Some(object))),
                Err(ObjectError::NotFound) => return Ok((change, None)),
                Err(error) => return Err(error.into_api_error()),
            }
            drop(change);
            tokio::time::sleep(GOING_LOOK).await;
        }
        Err(ApiError::new(
            ErrorCode::ControlBusy,
            format!("the function {name:?} is being deleted and does not go; see its metadata.finalizers"),
        )
        .retry_after(1))
    }
}

fn exists(name: &str) -> ApiError {
    ApiError::new(
        ErrorCode::FunctionExists,
        format!("the function {name:?} exists; PUT /v1/functions/{name} replaces it"),
    )
}

fn no_definition() -> ApiError {
    ApiError::new(
        ErrorCode::KubeUnavailable,
        "the API server knows no functions: apply k8s/10-crd.yaml, and see that the namespace exists",
    )
    .retry_after(1)
}
