//! `GET /debug/state`: the settings in force, and where the threads and tables stand. For people:
//! its fields may change with any version.

use hyper::Response;
use serde_json::{Value, json};

use crate::api::response;
use crate::api::response::Body;
use crate::config::Settings;

/// The state of the process at one moment.
#[derive(Debug)]
pub(crate) struct DebugState<'a> {
    /// The settings in force.
    pub settings: &'a Settings,
    /// No new invocation is admitted.
    pub draining: bool,
    /// The registry was loaded.
    pub loaded: bool,
    /// The scheduler.
    pub scheduler: SchedulerState,
    /// Each gateway.
    pub gateways: Vec<GatewayState>,
    /// Registered functions.
    pub functions: usize,
    /// Versions of functions that are open.
    pub versions: usize,
}

/// The state of the scheduler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchedulerState {
    /// Passes so far.
    pub ticks: u64,
    /// Its thread is parked.
    pub parked: bool,
    /// Events of gateways that it has not taken yet.
    pub events_waiting: usize,
    /// Commands of control that it has not taken yet.
    pub commands_waiting: usize,
}

/// The state of a gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GatewayState {
    /// Executions that are not over.
    pub live: usize,
    /// Promised results that nobody has read.
    pub unread: usize,
    /// Ended executions that can be read.
    pub retained: usize,
    /// Open client connections.
    pub connections: usize,
    /// It sleeps in its poll.
    pub asleep: bool,
    /// Commands of the scheduler that it has not taken yet.
    pub commands_waiting: usize,
}

/// Answers with the state.
#[must_use]
pub(crate) fn debug_state(state: &DebugState<'_>) -> Response<Body> {
    let gateways: Vec<Value> = state
        .gateways
        .iter()
        .map(|gateway| {
            json!({
                "live": gateway.live,
                "unread": gateway.unread,
                "retained": gateway.retained,
                "connections": gateway.connections,
                "asleep": gateway.asleep,
                "grantsWaiting": gateway.commands_waiting,
            })
        })
        .collect();
    let (settings, scheduler) = (state.settings, &state.scheduler);
    let state = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "draining": state.draining,
        "loaded": state.loaded,
        "scheduler": {
            "policy": settings.policy.as_str(),
            "reason": settings.policy_reason,
            "core": settings.scheduler_core,
            "gatewayTicks": settings.gateway_ticks,
            "ticks": scheduler.ticks,
            "parked": scheduler.parked,
            "eventsWaiting": scheduler.events_waiting,
            "ordersWaiting": scheduler.commands_waiting,
        },
        "gateways": gateways,
        "functions": state.functions,
        "versions": state.versions,
        "settings": settings.flags.in_force(),
    });
    response::json(200, state.to_string())
}
