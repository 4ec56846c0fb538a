//! Creating, replacing and deleting functions.
//!
//! The scheduler has each version of a function by itself. The order of the steps keeps every other
//! thread from meeting something that it was not told of:
//!
//! 1. gateways *learn* the version, so that a grant for it can be served;
//! 2. the scheduler *opens* the version;
//! 3. its first instance starts, while the version before goes on serving;
//! 4. the version *succeeds* the one before: who waits moves over, which is waited for;
//! 5. gateways *publish* it under its name, and nobody pushes to the old queue any more;
//! 6. the old version is *closed*, its instances retire, and when nothing runs it is forgotten.

use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Registered, Registry};
use crate::clock::NANOS_PER_MS;
use crate::error::{ApiError, ErrorCode};
use crate::function_version::{FunctionVersion, VersionTags};
use crate::instance::VersionIndex;
use crate::instances::backend::Backend;
use crate::instances::open_versions::OpenVersion;
use crate::messages::gateway_message::GatewayMessage;
use crate::metrics::MetricsByGateway;
use crate::queue::function_queue::FunctionQueue;
use crate::scheduler::message::SchedulerCommand;
use crate::scheduler::scheduled_version::{ScheduledVersion, VersionLimits};
use crate::spec::{ExecutionMode, FunctionSpec};
use crate::store::slow_execution::{SlowestByGateway, slowest_by_gateway};

impl Registry {
    /// Registers a function or a new version of one. Answers whether it is new.
    ///
    /// # Errors
    /// This control plane cannot run it, or has no room for it.
    pub async fn put(self: &Rc<Self>, spec: FunctionSpec) -> Result<bool, ApiError> {
        self.put_if(spec, |_| Ok(())).await
    }

    /// Registers it where `condition` allows it, which is asked with the function as it is when
    /// every change before this one is complete.
    ///
    /// # Errors
    /// The condition's, and those of [`Registry::put`].
    pub async fn put_if(
        self: &Rc<Self>,
        spec: FunctionSpec,
        condition: impl FnOnce(Option<&Registered>) -> Result<(), ApiError>,
    ) -> Result<bool, ApiError> {
        self.check_supported(&spec)?;
        let _change = self.change_lock.lock().await;
        let name = spec.name.to_string();
        condition(self.functions.borrow().get(&name))?;
        let kept = self.functions.borrow().get(&name).map(Registered::over_versions);
        let is_new = kept.is_none();
        self.check_room(&spec)?;
        let queue_slots = self.check_queue_slots(&spec)?;
        let index = self.free_versions.borrow_mut().pop().ok_or_else(|| {
            ApiError::new(
                ErrorCode::FunctionsFull,
                "too many versions of functions are being replaced; try again",
            )
            .retry_after(1)
        })?;
        let gateways = self.gateways.len();
        let (metrics, slowest) =
            kept.unwrap_or_else(|| (Arc::new(MetricsByGateway::new(gateways)), slowest_by_gateway(gateways)));
        self.queue_slots.set(queue_slots);
        let function = Arc::new(version(spec, index, metrics.clone()));

        if is_new {
            self.logs.created(&name);
        }
        // From here on a second change of the same name finds this one.
        let before = {
            let mut functions = self.functions.borrow_mut();
            let before = functions.remove(&name);
            if let Some(rollout) = before.as_ref().and_then(|registered| registered.rollout.as_ref()) {
                // Before anything is awaited: that version must not take over any more.
                rollout.abort();
            }
            let serving = before.as_ref().and_then(|registered| registered.serving);
            let slowest = slowest.clone();
            let registered =
                Registered { wanted: function.clone(), serving, rollout: None, metrics, slowest };
            functions.insert(name.clone(), registered);
            before
        };
        self.open(&function, &slowest).await;
        if let Some(before) = before {
            if before.rollout.is_some() {
                // The version before never served.
                self.close(before.wanted.index);
            }
            let task = tokio::task::spawn_local(self.clone().roll_out(name.clone(), function));
            if let Some(registered) = self.functions.borrow_mut().get_mut(&name) {
                registered.rollout = Some(task.abort_handle());
            }
        } else {
            self.switch(&name, &function).await;
        }
        Ok(is_new)
    }

    /// Deletes a function. What waits ends as `FUNCTION_REMOVED`, what runs finishes.
    ///
    /// # Errors
    /// There is none of the name.
    pub async fn delete(self: &Rc<Self>, name: &str) -> Result<(), ApiError> {
        self.delete_if(name, |_| Ok(())).await
    }

    /// Deletes it where `condition` allows that, which is asked with the function as it is when every change
    /// before this one is complete.
    ///
    /// # Errors
    /// There is none of the name, and the condition's.
    pub async fn delete_if(
        self: &Rc<Self>,
        name: &str,
        condition: impl FnOnce(&Registered) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let _change = self.change_lock.lock().await;
        condition(self.functions.borrow().get(name).ok_or_else(|| self.unknown(name))?)?;
        let registered = self.functions.borrow_mut().remove(name).ok_or_else(|| self.unknown(name))?;
        if let Some(rollout) = registered.rollout {
            rollout.abort();
        }
        self.logs.deleted(name);
        self.gateways.tell_all(|done| GatewayMessage::Withdraw { name: name.to_owned(), done }).await;
        if let Some(serving) = registered.serving {
            self.close(serving);
        }
        if registered.serving != Some(registered.wanted.index) {
            self.close(registered.wanted.index);
        }
        if let Some(cluster) = &self.context.cluster {
            cluster.retire(name);
        }
        Ok(())
    }

    /// Steps 1 and 2, and its backend.
    async fn open(self: &Rc<Self>, function: &Arc<FunctionVersion>, slowest: &SlowestByGateway) {
        let learn = |done| {
            let (function, slowest) = (function.clone(), slowest.clone());
            GatewayMessage::Learn { function, slowest, done }
        };
        self.gateways.tell_all(learn).await;
        let version = ScheduledVersion::new(function.index, function.queue.clone(), limits(&function.spec));
        self.context.commands.send(SchedulerCommand::Open { version: Box::new(version) });
        let backend = Backend::open(&self.context, function).await;
        self.versions.insert(OpenVersion::new(function.clone(), backend));
    }

    /// Steps 3 to 6, beside everything else.
    async fn roll_out(self: Rc<Self>, name: String, function: Arc<FunctionVersion>) {
        if let Some(backend) = self.versions.backend(function.index) {
            backend.until_it_can_serve().await;
        }
        // A change of the same function that takes the lock first aborts this one, here at the latest.
        let _change = self.change_lock.lock().await;
        self.switch(&name, &function).await;
    }

    /// Whether a version may take over: it has shown that it starts, or it starts on demand.
    #[must_use]
    pub fn can_serve(&self, function: &FunctionVersion) -> bool {
        self.versions.backend(function.index).is_none_or(|backend| backend.can_serve())
    }

    /// Steps 4 to 6. From its first line on it is not taken back: the next change finds this
    /// version serving.
    async fn switch(&self, name: &str, function: &Arc<FunctionVersion>) {
        let old = {
            let mut functions = self.functions.borrow_mut();
            let Some(registered) = functions.get_mut(name) else { return };
            registered.rollout = None;
            registered.serving.replace(function.index)
        };
        if let Some(old) = old {
            self.context.commands.send(SchedulerCommand::Succeed { old, new: function.index });
            // Executions that move over count in the new queue before others can enter it.
            self.context.commands.handled().await;
        }
        self.gateways
            .tell_all(|done| GatewayMessage::Publish { name: name.to_owned(), version: function.index, done })
            .await;
        if let Some(old) = old {
            self.close(old);
        }
    }

    /// Step 6. Its backend keeps nothing running for a version that only finishes.
    fn close(&self, version: VersionIndex) {
        self.versions.wind_down(version);
        self.context.commands.send(SchedulerCommand::Close { version });
    }

    /// A closed version is empty: its instances stop, and when they have its index is free.
    pub(crate) fn version_closed(self: &Rc<Self>, index: VersionIndex) {
        let registry = self.clone();
        tokio::task::spawn_local(async move {
            if let Some(backend) = registry.versions.backend(index) {
                backend.close();
                backend.until_it_may_be_forgotten().await;
            }
            if let Some(OpenVersion { function, .. }) = registry.versions.remove(index) {
                registry.queue_slots.set(registry.queue_slots.get() - u64::from(function.spec.queue_size));
            }
            registry.gateways.send_all(|| GatewayMessage::Forget { version: index }).await;
            registry.free_versions.borrow_mut().push(index);
        });
    }
}

/// A version of a function that no thread knows yet.
#[must_use]
pub fn version(spec: FunctionSpec, index: VersionIndex, metrics: Arc<MetricsByGateway>) -> FunctionVersion {
    let places = usize::from(places(&spec));
    FunctionVersion {
        tags: Arc::new(version_tags(&spec, index)),
        index,
        queue: Arc::new(FunctionQueue::new(spec.queue_size)),
        addresses: (0..places).map(|_| ArcSwapOption::empty()).collect(),
        endings: (0..places).map(|_| ArcSwapOption::empty()).collect(),
        metrics,
        problem: Arc::new(ArcSwapOption::empty()),
        spec,
    }
}

fn version_tags(spec: &FunctionSpec, index: VersionIndex) -> VersionTags {
    let shown = spec.etag();
    let hidden = match spec.has_values() {
        // Keys of a hash map are random, and no two maps have the same.
        true => format!("\"{:016x}\"", RandomState::new().hash_one(index)),
        false => shown.clone(),
    };
    VersionTags { shown, hidden }
}

fn places(spec: &FunctionSpec) -> u16 {
    let places = match spec.execution_mode {
        ExecutionMode::Pool => spec.endpoint_urls.len(),
        ExecutionMode::Warm => spec.replicas().max as usize,
        // One for those that are started for an attempt; a place for each that runs or is ready.
        ExecutionMode::Job => 1 + spec.standby.map_or(0, |standby| (spec.concurrency + standby.max) as usize),
    };
    u16::try_from(places).unwrap_or(u16::MAX)
}

/// The limits of a function that the scheduler enforces.
#[must_use]
pub fn limits(spec: &FunctionSpec) -> VersionLimits {
    let ns = |ms: u32| u64::from(ms) * NANOS_PER_MS;
    VersionLimits {
        concurrency: spec.concurrency,
        instance_concurrency: match spec.execution_mode {
            ExecutionMode::Job => spec.concurrency,
            ExecutionMode::Warm | ExecutionMode::Pool => spec.instance_concurrency,
        },
        max_retries: u8::try_from(spec.max_retries).unwrap_or(u8::MAX),
        retry_backoff_ns: ns(spec.retry_backoff_ms),
        retry_max_backoff_ns: ns(spec.retry_max_backoff_ms),
        attempt_timeout_ns: ns(spec.attempt_timeout_ms),
        single_use: spec.standby.is_some(),
        instances_max: places(spec),
        can_start: spec.execution_mode == ExecutionMode::Warm || spec.standby.is_some(),
        drop_unreachable: spec.drop_unreachable,
        queue_order: spec.queue_order,
    }
}
