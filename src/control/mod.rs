//! The control thread: everything slow. It owns the registry, starts and stops instances, and
//! serves the management listener. Neither a gateway nor the scheduler waits for it.
//!
//! | file | holds |
//! |---|---|
//! | `event_loop` | messages of gateways, events of the scheduler, and house-keeping |
//! | `listing` | the list of executions, merged of what each gateway finds |
//! | `router` | calls, each handed to the component or the gateway that answers it |
//! | `slowest` | the slowest executions, merged of what the gateways have recorded |
//! | `snapshot` | snapshots of the components, for what operators see |

mod event_loop;
mod listing;
mod router;
mod slowest;
mod snapshot;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Clock;
use crate::config::Settings;
use crate::instances::Context;
use crate::instances::autoscaler::Autoscaler;
use crate::logs::handlers::LogHandlers;
use crate::logs::store::LogStore;
use crate::messages::gateway_senders::GatewaySenders;
use crate::registry::Registry;
use crate::registry::cluster::FunctionObjects;
use crate::registry::handlers::FunctionHandlers;
use crate::scheduler::rings::Rings;

/// The control thread's components.
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
    log_handlers: LogHandlers,
    /// Messages to each gateway.
    pub gateways: GatewaySenders,
    /// The functions and their versions.
    pub registry: Rc<Registry>,
    function_handlers: FunctionHandlers,
    autoscaler: Autoscaler,
    /// The Function objects of a cluster, where it is one that runs functions.
    pub function_objects: Option<Rc<FunctionObjects>>,
    /// The gateway that serves the next invocation that comes in on the management listener.
    next_invoker: Cell<usize>,
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
        gateways: GatewaySenders,
    ) -> Rc<Self> {
        let registry =
            Registry::new(rings.clone(), settings.clone(), context.clone(), logs.clone(), gateways.clone());
        let cluster = context.cluster.clone();
        let source = cluster.as_ref().map(|cluster| cluster.log_source());
        let function_objects = cluster.map(|cluster| FunctionObjects::new(cluster, registry.clone(), clock));
        Rc::new(Self {
            function_handlers: FunctionHandlers::new(
                registry.clone(),
                function_objects.clone(),
                settings.clone(),
                clock,
            ),
            log_handlers: LogHandlers::new(logs.clone(), gateways.clone(), source),
            autoscaler: Autoscaler::new(context.clone(), registry.versions().clone()),
            function_objects,
            registry,
            rings,
            clock,
            settings,
            context,
            logs,
            gateways,
            next_invoker: Cell::new(0),
            draining: Cell::new(false),
        })
    }

    /// Executions that are not over, over all gateways.
    #[must_use]
    pub(crate) fn live(&self) -> usize {
        self.rings.gateways.iter().map(|gateway| gateway.gauges.live.load(Ordering::Relaxed)).sum()
    }

    /// Promised results that nobody has read, over all gateways.
    #[must_use]
    pub(crate) fn unread(&self) -> usize {
        self.rings.gateways.iter().map(|gateway| gateway.gauges.unread.load(Ordering::Relaxed)).sum()
    }
}
