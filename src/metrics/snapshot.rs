//! The numbers of the process at one moment, as `/metrics` shows them.

use std::sync::Arc;

use prometheus::proto::MetricFamily;

use super::{MetricsByGateway, TickHistogramCells};

/// The numbers of the process at one moment.
#[derive(Debug)]
pub struct MetricsSnapshot<'a> {
    /// The registered functions, in the order in which they are shown.
    pub functions: Vec<FunctionSnapshot>,
    /// Families that are counted elsewhere: those of calls to an API server.
    pub families: Vec<MetricFamily>,
    /// Ended executions that can be read.
    pub executions_retained: usize,
    /// Open client connections.
    pub connections: usize,
    /// The scheduler thread is parked.
    pub scheduler_parked: bool,
    /// Passes of the scheduler.
    pub scheduler_ticks: u64,
    /// Durations of those passes that had something to do.
    pub tick_times: &'a TickHistogramCells,
}

/// The numbers of one function.
#[derive(Debug)]
pub struct FunctionSnapshot {
    /// Its name.
    pub name: String,
    /// Counts and durations.
    pub metrics: Arc<MetricsByGateway>,
    /// Gauges.
    pub gauges: FunctionGauges,
    /// Gauges of its standby instances, where it has such.
    pub standby: Option<StandbyGauges>,
}

/// The gauges of instances that are started ahead: sums over the versions of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StandbyGauges {
    /// Instances that wait for an execution.
    pub ready: u64,
    /// Instances that are being started.
    pub starting: u64,
    /// Instances that are to be ready.
    pub target: u64,
}

/// The gauges of a function: sums over its versions, which are the one that serves and those that it replaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct FunctionGauges {
    /// Executions that wait for their first dispatch or their next attempt's turn.
    pub queue_depth: u64,
    /// Attempts in flight.
    pub in_flight: u64,
    /// Instances that start or run.
    pub replicas: u64,
    /// Instances that are granted work.
    pub ready_replicas: u64,
}
