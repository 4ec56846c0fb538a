//! The control thread: everything slow. It owns the registry, starts and stops instances, and
//! serves the management listener. Neither a gateway nor the scheduler waits for it.
//!
//! | file | holds |
//! |---|---|
//! | `listing` | the list of executions, merged of what each gateway finds |

pub mod listing;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::channel::MessageSender;
use crate::clock::Clock;
use crate::config::Settings;
use crate::function_version::FunctionVersion;
use crate::instance::VersionIndex;
use crate::instances::{Backend, Context};
use crate::messages::gateway_message::GatewayMessage;
use crate::metrics::MetricsByGateway;
use crate::scheduler::rings::Rings;

use crate::logs::store::LogStore;
use crate::registry::cluster::FunctionObjects;

#[expect(clippy::disallowed_types, reason = "taken by changes of the registry only, on the control thread")]
pub(crate) type ChangeLock = tokio::sync::Mutex<()>;

/// A registered function.
#[derive(Debug)]
pub struct Registered {
    /// The version that was asked for last.
    pub wanted: Arc<FunctionVersion>,
    /// The version that gateways send to; another one than `wanted`'s while that one starts.
    pub serving: Option<VersionIndex>,
    /// The change that is under way.
    pub rollout: Option<tokio::task::AbortHandle>,
    /// Counted over all versions.
    pub metrics: Arc<MetricsByGateway>,
}

/// One version, from its opening until nothing of it is left.
#[derive(Debug)]
pub struct OpenVersion {
    /// Its function's version.
    pub function: Arc<FunctionVersion>,
    /// The backend of its instances.
    pub backend: Backend,
}

/// The control thread's world.
#[derive(Debug)]
pub struct Control {
    /// The rings.
    pub rings: Arc<Rings>,
    /// Time.
    pub clock: Clock,
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// The context of backends.
    pub context: Rc<Context>,
    /// The lines that functions write.
    pub logs: Rc<LogStore>,
    /// Messages to each gateway.
    pub gateways: Vec<MessageSender<GatewayMessage>>,
    /// By name, sorted, as they are listed.
    pub functions: RefCell<BTreeMap<String, Registered>>,
    /// By index.
    pub versions: RefCell<HashMap<VersionIndex, OpenVersion>>,
    pub(crate) free_versions: RefCell<Vec<VersionIndex>>,
    /// Places in the queues of all versions.
    pub(crate) queue_slots: Cell<u64>,
    /// The Function objects of a cluster, where it is one that runs functions.
    pub resources: Option<Rc<FunctionObjects>>,
    /// One change of the registry at a time: each finds the one before complete.
    pub(crate) change_lock: ChangeLock,
    /// The gateway that serves the next invocation that comes in on the management listener.
    pub(crate) next_invoker: Cell<usize>,
    /// The registry was loaded: ready for traffic.
    pub loaded: Cell<bool>,
    /// No new invocation is admitted.
    pub draining: Cell<bool>,
}

impl Control {
    /// With no function yet.
    #[must_use]
    pub fn new(
        rings: Arc<Rings>,
        clock: Clock,
        settings: Arc<Settings>,
        context: Rc<Context>,
        logs: Rc<LogStore>,
        gateways: Vec<MessageSender<GatewayMessage>>,
    ) -> Rc<Self> {
        let versions = u32::try_from(rings.capacity.versions).unwrap_or(u32::MAX);
        Rc::new(Self {
            rings,
            clock,
            settings,
            logs,
            gateways,
            functions: RefCell::default(),
            versions: RefCell::default(),
            resources: context.cluster.clone().map(FunctionObjects::new),
            change_lock: ChangeLock::default(),
            next_invoker: Cell::new(0),
            free_versions: RefCell::new((0..versions).rev().collect()),
            context,
            queue_slots: Cell::new(0),
            loaded: Cell::new(false),
            draining: Cell::new(false),
        })
    }

    /// Executions that are not over, over all gateways.
    #[must_use]
    pub fn live(&self) -> usize {
        self.rings.gateways.iter().map(|gateway| gateway.gauges.live.load(Ordering::Relaxed)).sum()
    }

    /// Promised results that nobody has read, over all gateways.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.rings.gateways.iter().map(|gateway| gateway.gauges.unread.load(Ordering::Relaxed)).sum()
    }

    /// Instances of local functions that still run.
    #[must_use]
    pub fn has_instances(&self) -> bool {
        self.versions.borrow().values().any(|version| !version.backend.is_empty())
    }

    /// Stops every instance that ends with this process.
    pub fn stop_instances(&self) {
        for version in self.versions.borrow().values() {
            version.backend.stop_own();
        }
    }
}
