//! FUNCTION REGISTRY: the registered functions, and how one is created, replaced and deleted over all threads. Its
//! limits (`--max-functions`, `--max-queue-slots`) are here.
//!
//! | file | holds |
//! |---|---|
//! | `rollout` | creating, replacing and deleting functions, step by step over all threads |
//! | `awaited` | functions that are to come, and the answer to their calls until then |
//! | `scale` | checks and sets the number of instances that a function keeps running |
//! | `serving_state` | replicas, ready, queued and in flight, of the version that serves |
//! | `snapshot` | the numbers of each function, for metrics |
//! | `handlers` | the HTTP calls that list, read, create, replace, delete and scale functions |
//! | `precondition` | `If-Match` and `If-None-Match` of those calls |
//! | `supports` | fields of a function that this control plane cannot support |
//! | `invalid_spec` | the reason that a specification is not served, though the cluster has it |
//! | `cluster` | Function objects: in a cluster the API server keeps the registry; their watch, writes, status, Lease and garbage collection |
//! | `without_cluster` | the same in a program that was built without clusters: none |

mod awaited;
#[cfg_attr(not(feature = "cluster"), path = "without_cluster.rs")]
pub(crate) mod cluster;
pub(crate) mod handlers;
mod invalid_spec;
mod precondition;
pub(crate) mod rollout;
mod scale;
mod serving_state;
mod snapshot;
mod supports;

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::Settings;
use crate::error::{ApiError, ErrorCode};
use crate::function_version::FunctionVersion;
use crate::instance::VersionIndex;
use crate::instances::Context;
use crate::instances::open_versions::OpenVersions;
use crate::logs::store::LogStore;
use crate::messages::gateway_senders::GatewaySenders;
use crate::metrics::MetricsByGateway;
use crate::scheduler::rings::Rings;
use crate::spec::FunctionSpec;
use crate::store::slow_execution::SlowestByGateway;
use awaited::Awaited;
use supports::{Platform, unsupported_fields};

#[expect(clippy::disallowed_types, reason = "taken by changes of the registry only, on the control thread")]
type ChangeLock = tokio::sync::Mutex<()>;

/// A registered function.
#[derive(Debug)]
pub struct Registered {
    /// The version that was asked for last.
    pub wanted: Arc<FunctionVersion>,
    /// The version that gateways send to; another one than `wanted`'s while that one starts.
    pub serving: Option<VersionIndex>,
    /// The change that is under way.
    rollout: Option<tokio::task::AbortHandle>,
    /// Counted over all versions.
    pub metrics: Arc<MetricsByGateway>,
    /// Recorded over all versions.
    pub slowest: SlowestByGateway,
}

impl Registered {
    /// The parts that a new version takes over.
    fn over_versions(&self) -> (Arc<MetricsByGateway>, SlowestByGateway) {
        (self.metrics.clone(), self.slowest.clone())
    }
}

/// The functions of this control plane and their versions. Lives on the control thread.
#[derive(Debug)]
pub struct Registry {
    rings: Arc<Rings>,
    settings: Arc<Settings>,
    context: Rc<Context>,
    logs: Rc<LogStore>,
    gateways: GatewaySenders,
    /// By name, sorted, as they are listed.
    functions: RefCell<BTreeMap<String, Registered>>,
    awaited: RefCell<Awaited>,
    versions: Rc<OpenVersions>,
    free_versions: RefCell<Vec<VersionIndex>>,
    /// Places in the queues of all versions.
    queue_slots: Cell<u64>,
    /// One change of the registry at a time: each finds the one before complete.
    change_lock: ChangeLock,
    /// Every function was read from its source: ready for traffic.
    loaded: Cell<bool>,
}

impl Registry {
    /// A registry with no function yet.
    #[must_use]
    pub fn new(
        rings: Arc<Rings>,
        settings: Arc<Settings>,
        context: Rc<Context>,
        logs: Rc<LogStore>,
        gateways: GatewaySenders,
    ) -> Rc<Self> {
        let versions = u32::try_from(rings.capacity.versions).unwrap_or(u32::MAX);
        Rc::new(Self {
            rings,
            settings,
            context,
            logs,
            gateways,
            functions: RefCell::default(),
            awaited: RefCell::default(),
            versions: Rc::default(),
            free_versions: RefCell::new((0..versions).rev().collect()),
            queue_slots: Cell::new(0),
            change_lock: ChangeLock::default(),
            loaded: Cell::new(false),
        })
    }

    /// The registered functions, by name.
    pub fn functions(&self) -> Ref<'_, BTreeMap<String, Registered>> {
        self.functions.borrow()
    }

    /// Every version that is open.
    #[must_use]
    pub fn versions(&self) -> &Rc<OpenVersions> {
        &self.versions
    }

    /// Whether every function was read from its source.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.get()
    }

    /// Says that every function was read from its source. Returns whether that was said before.
    pub fn set_loaded(&self) -> bool {
        self.loaded.replace(true)
    }

    /// Whether there may be functions in the cluster that were not read yet.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.rings.registry_unread.load(Ordering::Acquire)
    }

    /// Says that every function of the cluster was read and is known to every gateway.
    fn set_read(&self) {
        self.rings.registry_unread.store(false, Ordering::Release);
    }

    /// Whether there is room for a version of a function.
    ///
    /// # Errors
    /// `FUNCTIONS_FULL` with the flag that is the limit.
    pub fn check_room(&self, spec: &FunctionSpec) -> Result<(), ApiError> {
        let most = self.settings.flags.max_functions;
        let functions = self.functions.borrow();
        if !functions.contains_key(spec.name.as_str()) && functions.len() >= most {
            return Err(ApiError::new(
                ErrorCode::FunctionsFull,
                format!("there are {most} functions already (--max-functions)"),
            ));
        }
        self.check_queue_slots(spec).map(drop)
    }

    /// Number of places of all queues with those of a version that is to come. Each is allocated with its
    /// version, whether anything ever waits in it or not.
    fn check_queue_slots(&self, spec: &FunctionSpec) -> Result<u64, ApiError> {
        let (taken, most) = (self.queue_slots.get(), self.settings.flags.max_queue_slots);
        let wanted = taken + u64::from(spec.queue_size);
        if wanted <= most {
            return Ok(wanted);
        }
        Err(ApiError::new(
            ErrorCode::FunctionsFull,
            format!(
                "queueSize {} is more than what is left: the queues of all functions, and of versions that are being replaced, have {taken} of {most} places (--max-queue-slots); lower queueSize, delete functions, or raise the limit",
                spec.queue_size
            ),
        ))
    }

    /// Checks that this control plane supports every field of a function, and has a value for each reference.
    ///
    /// # Errors
    /// `INVALID_FUNCTION` with every field that it does not support.
    pub fn check_supported(&self, spec: &FunctionSpec) -> Result<(), ApiError> {
        let platform = if self.context.cluster.is_some() { Platform::Kubernetes } else { Platform::Local };
        let mut unsupported_fields = unsupported_fields(spec, platform);
        if platform == Platform::Local
            && let Err(missing) = self.context.local.host.values.resolve(spec)
        {
            unsupported_fields.extend(missing);
        }
        if unsupported_fields.is_empty() {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::InvalidFunction, "this control plane cannot run the function")
            .with_details(unsupported_fields))
    }
}
