//! The watch of Function objects, and what it makes of each.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};

use super::status::FunctionStatus;
use super::{FunctionObjects, KnownObject};
use crate::error::{ApiError, ErrorCode};
use crate::kubernetes::function_object::FunctionObject;
use crate::kubernetes::object_error::ask;
use crate::kubernetes::watch::{WatchState, watch_backoff, watch_config};
use crate::registry::invalid_spec::InvalidSpec;
use crate::spec::{ExecutionMode, FunctionSpec, SpecError};

/// Period at which functions are tried again that found no room.
const RETRY_PERIOD: Duration = Duration::from_secs(5);

impl FunctionObjects {
    /// Follows Function objects for ever.
    pub(super) async fn follow(self: Rc<Self>) {
        let mut events = std::pin::pin!(watcher(self.api.clone(), watch_config()).backoff(watch_backoff()));
        let mut listed = HashSet::new();
        let mut watch = WatchState::new("functions");
        while let Some(told) = events.next().await {
            let event = watch.event(told);
            self.waits_for.replace(watch.error().map(ToOwned::to_owned));
            let Some(event) = event else { continue };
            match event {
                Event::Init => {
                    listed.clear();
                    self.lists.set(self.lists.get() + 1);
                }
                Event::InitApply(object) => {
                    listed.insert(object.uid().to_owned());
                    self.follow_one(&object).await;
                }
                Event::InitDone => {
                    self.forget_unlisted(&listed).await;
                    listed.clear();
                    self.registry_read();
                }
                Event::Apply(object) => self.follow_one(&object).await,
                Event::Delete(object) => {
                    let _change = self.change_lock.lock().await;
                    self.deleted.borrow_mut().remove(object.uid());
                    self.forget_object(object.name(), object.uid()).await;
                }
            }
        }
    }

    /// Tries again what could not be served for want of room, for ever.
    pub(super) async fn retry_unserved(self: Rc<Self>) {
        let mut period = tokio::time::interval(RETRY_PERIOD);
        loop {
            period.tick().await;
            let may_pass =
                |known: &KnownObject| known.invalid.as_ref().is_some_and(|invalid| invalid.may_pass);
            let names: Vec<String> = {
                let known = self.known.borrow();
                known.iter().filter(|(_, known)| may_pass(known)).map(|(name, _)| name.clone()).collect()
            };
            for name in names {
                // Where the API server is away, the next period is as good.
                let Ok(object) = ask(self.api.get(&name)).await else { continue };
                let _change = self.change_lock.lock().await;
                if let Some(known) = self.known.borrow_mut().get_mut(&name)
                    && may_pass(known)
                {
                    // So that the same generation is looked at once more.
                    known.generation = 0;
                }
                let _ = self.apply_object(&object).await;
            }
        }
    }

    /// Everything there is was listed and registered.
    fn registry_read(self: &Rc<Self>) {
        self.registry.set_read();
        if !self.registry.set_loaded() {
            tracing::info!(functions = self.registry.functions().len(), "the registry was read");
        }
        // Deployments of functions that went while nobody looked.
        let objects = self.clone();
        tokio::task::spawn_local(async move {
            objects.find_orphans().await;
            objects.cluster.delete_idle_jobs().await;
        });
    }

    async fn follow_one(&self, object: &FunctionObject) {
        let _change = self.change_lock.lock().await;
        if let Err(error) = self.apply_object(object).await {
            let details: Vec<String> =
                error.details.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
            let (function, details) = (object.name(), details.join("; "));
            tracing::warn!(function, details, "a function cannot be served: {}", error.message);
        }
    }

    /// Makes what is served fit an object. The caller holds the lock.
    ///
    /// # Errors
    /// The reason that its specification cannot be served. It is kept for its status, and the version before
    /// goes on.
    pub(super) async fn apply_object(&self, object: &FunctionObject) -> Result<(), ApiError> {
        let (name, uid) = (object.name(), object.uid());
        if self.deleted.borrow().contains(uid) {
            return Ok(());
        }
        if object.is_going() {
            self.forget_object(name, uid).await;
            return Ok(());
        }
        let other = {
            let mut all = self.known.borrow_mut();
            match all.get_mut(name) {
                Some(known) if known.uid == uid => {
                    known.seen_in = self.lists.get();
                    if object.generation() <= known.generation {
                        // Its status or its metadata changed, or somebody was here before the watch.
                        return Ok(());
                    }
                    None
                }
                Some(known) => Some(known.uid.clone()),
                None => None,
            }
        };
        if let Some(other) = other {
            // Deleted and made anew: the other one is gone, and what runs of it finishes.
            self.forget_object(name, &other).await;
        }
        self.cluster.owned_by(name, uid);
        let served = match object.read() {
            Ok(spec) => self.serve_spec(spec).await,
            Err(error) => Err(invalid(&error)),
        };
        self.orphans.borrow_mut().remove(name);
        let mut all = self.known.borrow_mut();
        let known = all.entry(name.to_owned()).or_insert_with(|| KnownObject {
            uid: uid.to_owned(),
            generation: 0,
            invalid: None,
            status: FunctionStatus::of_json(&object.status),
            seen_in: 0,
        });
        known.generation = object.generation();
        known.seen_in = self.lists.get();
        known.invalid = served.as_ref().err().map(|error| InvalidSpec {
            reason: if error.code == ErrorCode::FunctionsFull { "NoRoom" } else { "InvalidSpecification" },
            message: in_words(error),
            may_pass: error.code == ErrorCode::FunctionsFull,
        });
        served
    }

    /// Registers a specification where it is another one than is served.
    async fn serve_spec(&self, spec: FunctionSpec) -> Result<(), ApiError> {
        let name = spec.name.to_string();
        let wanted = self.registry.functions().get(&name).map(|registered| registered.wanted.clone());
        if let Some(wanted) = wanted {
            let mut same = spec.clone();
            if let (Some(same), Some(wanted)) = (&mut same.replicas, wanted.spec.replicas) {
                same.min = wanted.min;
            }
            if same.etag() == wanted.tags.shown && spec.annotations == wanted.spec.annotations {
                // How many are kept running is set without a new version.
                return if spec.execution_mode == ExecutionMode::Warm {
                    self.registry.scale(&name, spec.replicas().min)
                } else {
                    Ok(())
                };
            }
        }
        self.registry.put(spec).await.map(drop)
    }

    /// An object is gone, and with it its function. The caller holds the lock.
    pub(super) async fn forget_object(&self, name: &str, uid: &str) {
        {
            let mut all = self.known.borrow_mut();
            if all.get(name).is_none_or(|known| known.uid != uid) {
                return;
            }
            all.remove(name);
        }
        // A Deployment that is yet to be made must not name an owner that is gone: it would go, too.
        self.cluster.disowned(name);
        self.orphans.borrow_mut().insert(name.to_owned());
        // One whose specification was never valid is not registered.
        let _ = self.registry.delete(name).await;
    }

    /// Forgets objects that a list does not have and that have not come since it was made.
    async fn forget_unlisted(&self, listed: &HashSet<String>) {
        let _change = self.change_lock.lock().await;
        let list = self.lists.get();
        let gone: Vec<(String, String)> = {
            let all = self.known.borrow();
            let gone = all.iter().filter(|(_, known)| known.seen_in < list && !listed.contains(&known.uid));
            gone.map(|(name, known)| (name.clone(), known.uid.clone())).collect()
        };
        for (name, uid) in gone {
            self.forget_object(&name, &uid).await;
        }
        self.deleted.borrow_mut().retain(|uid| listed.contains(uid));
    }
}

fn invalid(error: &SpecError) -> ApiError {
    match error {
        SpecError::Fields(errors) => {
            ApiError::new(ErrorCode::InvalidFunction, "its specification has faults")
                .with_details(errors.0.clone())
        }
        SpecError::Json { .. } => ApiError::new(ErrorCode::InvalidFunction, error.to_string()),
    }
}

/// An error in one text, for a condition.
fn in_words(error: &ApiError) -> String {
    if error.details.is_empty() {
        return error.message.to_string();
    }
    let errors: Vec<String> = error.details.iter().map(ToString::to_string).collect();
    errors.join("; ")
}
