//! `/metrics`: the counts of all gateways, merged when they are asked for.
//!
//! The numbers live where they are counted (see `crate::metrics`) and become Prometheus families
//! at scrape, without the prometheus crate's own registry, whose metrics hash and lock at each
//! observation. A function has no histogram before its first use, and a
//! deleted function no series.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use prometheus::core::Collector as _;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::clock::Nanos;
use crate::control::{Control, Registered};
use crate::metrics::{BUCKETS_NS, Cells, Count, Meter, Rejection, TICK_BUCKETS_NS};

/// Everything there is to scrape, as text.
#[must_use]
pub fn render(control: &Control) -> Vec<u8> {
    let families = collect(control);
    let mut text = Vec::with_capacity(64 * 1024);
    if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
        tracing::error!(%error, "metrics could not be encoded");
    }
    text
}

type CountOf = fn(&Meter) -> &Count;
type HistogramOf = fn(&Meter) -> &crate::metrics::Histogram;

const COUNTERS: [(&str, &str, CountOf); 8] = [
    ("enqueued_total", "Executions admitted; each ends as success, error, timeout or cancelled", |m| {
        &m.enqueued
    }),
    ("dispatched_total", "Attempts sent to an instance", |m| &m.dispatched),
    ("success_total", "Executions that ended with an output", |m| &m.success),
    ("error_total", "Executions that ended with an error, the function's own 4xx included", |m| &m.error),
    ("timeout_total", "Executions ended by a deadline", |m| &m.timeout),
    ("cancelled_total", "Executions that nobody wanted any more", |m| &m.cancelled),
    ("retries_total", "Attempts after the first", |m| &m.retries),
    ("cold_starts_total", "Answers that were the first of their instance", |m| &m.cold_starts),
];

const HISTOGRAMS: [(&str, &str, HistogramOf); 5] = [
    ("latency_seconds", "From admission to the end", |m| &m.latency),
    ("queue_wait_seconds", "From admission to the first dispatch", |m| &m.queue_wait),
    ("execution_seconds", "From the request written to the answer read, of the last attempt", |m| {
        &m.execution
    }),
    ("overhead_seconds", "Latency less execution", |m| &m.overhead),
    ("cold_start_seconds", "What an instance took to start, as it said itself", |m| &m.cold_start),
];

fn collect(control: &Control) -> Vec<MetricFamily> {
    let mut families = Vec::with_capacity(32);
    functions(control, &mut families);
    if let Some(cluster) = &control.context.cluster {
        families.extend(cluster.calls.seconds.collect());
    }
    let gauges = control.board.gateways.iter().map(|gateway| &gateway.gauges);
    let (mut retained, mut connections) = (0, 0);
    for gauge in gauges {
        retained += gauge.retained.load(Ordering::Relaxed);
        connections += gauge.connections.load(Ordering::Relaxed);
    }
    let parked = control.board.doorbell.is_asleep();
    let global = [
        ("picofaas_executions_retained", "Ended executions that can be read", retained as f64),
        ("picofaas_connections", "Open client connections", connections as f64),
        ("picofaas_scheduler_parked", "1 while the scheduler thread is parked", f64::from(u8::from(parked))),
    ];
    for (name, help, value) in global {
        families.push(family(name, help, MetricType::GAUGE, vec![gauge(Vec::new(), value)]));
    }
    let ticks = counter(Vec::new(), control.board.ticks.load(Ordering::Relaxed) as f64);
    families.push(family(
        "picofaas_scheduler_ticks_total",
        "Passes of the scheduler",
        MetricType::COUNTER,
        vec![ticks],
    ));
    let tick = merged(Vec::new(), &TICK_BUCKETS_NS, &[&*control.board.tick_times]);
    families.push(family(
        "picofaas_scheduler_tick_seconds",
        "What a pass of the scheduler took that had something to do, on whichever thread",
        MetricType::HISTOGRAM,
        vec![tick],
    ));
    let build = vec![label("version", env!("CARGO_PKG_VERSION"))];
    families.push(family(
        "picofaas_build_info",
        "The build that runs",
        MetricType::GAUGE,
        vec![gauge(build, 1.0)],
    ));
    process(&mut families);
    families.sort_by(|a, b| a.name().cmp(b.name()));
    families
}

fn functions(control: &Control, families: &mut Vec<MetricFamily>) {
    let functions = control.functions.borrow();
    let lanes = control.lanes.borrow();
    let each = |make: &dyn Fn(&str, &Registered) -> Vec<Metric>| -> Vec<Metric> {
        functions.iter().flat_map(|(name, registered)| make(name, registered)).collect()
    };
    for (name, help, count) in COUNTERS {
        let metrics = each(&|function, registered| {
            vec![counter(vec![label("function", function)], registered.meters.sum(count) as f64)]
        });
        push(families, name, help, MetricType::COUNTER, metrics);
    }
    let late = each(&|function, registered| {
        vec![counter(vec![label("function", function)], registered.meters.sum(|m| &m.late_results) as f64)]
    });
    push(families, "late_results_total", "Answers that came after the end", MetricType::COUNTER, late);
    let rejected = each(&|function, registered| {
        Rejection::ALL
            .iter()
            .map(|reason| {
                let labels = vec![label("function", function), label("reason", reason.as_str())];
                counter(labels, registered.meters.sum(|m| &m.rejected[*reason as usize]) as f64)
            })
            .collect()
    });
    push(families, "rejected_total", "Invocations refused at admission", MetricType::COUNTER, rejected);
    for (name, help, histogram) in HISTOGRAMS {
        let metrics = each(&|function, registered| {
            let cells: Vec<&Cells> =
                registered.meters.0.iter().filter_map(|m| histogram(m).cells()).collect();
            let labels = vec![label("function", function)];
            if cells.is_empty() { Vec::new() } else { vec![merged(labels, &BUCKETS_NS, &cells)] }
        });
        push(families, name, help, MetricType::HISTOGRAM, metrics);
    }
    // Gauges are sums over the lanes of a function: its version, and the one it replaces.
    let mut sums: HashMap<&str, [f64; 4]> = HashMap::new();
    for lane in lanes.values() {
        let sum = sums.entry(lane.function.spec.name.as_str()).or_default();
        let doorway = &lane.function.doorway;
        sum[0] += doorway.depth() as f64;
        sum[1] += f64::from(doorway.in_flight.load(Ordering::Relaxed));
        // To the scheduler a JOB has an instance that is always there; people count processes.
        sum[3] += match lane.backend.is_per_attempt() {
            true => f64::from(lane.backend.count()),
            false => f64::from(doorway.ready.load(Ordering::Relaxed)),
        };
        sum[2] += f64::from(lane.backend.count());
    }
    let gauges = [
        ("queue_depth", "Executions that wait for their first dispatch or their next attempt's turn"),
        ("in_flight", "Attempts in flight"),
        ("replicas", "Instances that start or run"),
        ("ready_replicas", "Instances that are granted work"),
    ];
    for (at, (name, help)) in gauges.into_iter().enumerate() {
        let metrics = each(&|function, _| {
            let value = sums.get(function).map_or(0.0, |sum| sum[at]);
            vec![gauge(vec![label("function", function)], value)]
        });
        push(families, name, help, MetricType::GAUGE, metrics);
    }
}

fn push(families: &mut Vec<MetricFamily>, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
    if !metrics.is_empty() {
        families.push(family(&format!("picofaas_function_{name}"), help, kind, metrics));
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn counter(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn merged<const CELLS: usize>(labels: Vec<LabelPair>, bounds: &[Nanos], cells: &[&Cells<CELLS>]) -> Metric {
    let mut histogram = Histogram::default();
    let mut total = 0;
    let mut buckets = Vec::with_capacity(bounds.len());
    for (at, bound_ns) in bounds.iter().enumerate() {
        total += cells.iter().map(|cells| cells.counts[at].get()).sum::<u64>();
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound_ns as f64 / 1e9);
        bucket.set_cumulative_count(total);
        buckets.push(bucket);
    }
    total += cells.iter().map(|cells| cells.counts[bounds.len()].get()).sum::<u64>();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(total);
    histogram.set_sample_sum(cells.iter().map(|cells| cells.sum_ns.get()).sum::<u64>() as f64 / 1e9);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}

/// The `process_*` families, from `/proc/self`; those that cannot be read are left out.
fn process(families: &mut Vec<MetricFamily>) {
    let page = rustix::param::page_size() as f64;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat")
        && let Some((_, rest)) = stat.rsplit_once(')')
    {
        let fields: Vec<f64> = rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        // proc(5): utime and stime are fields 14 and 15, num_threads 20, starttime 22, vsize 23,
        // rss 24; the first behind the name is field 3.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0.0);
        let cpu = counter(Vec::new(), (field(14) + field(15)) / ticks);
        families.push(family("process_cpu_seconds_total", "CPU time used", MetricType::COUNTER, vec![cpu]));
        for (name, help, value) in [
            ("process_threads", "Threads", field(20)),
            ("process_virtual_memory_bytes", "Virtual memory", field(23)),
            ("process_resident_memory_bytes", "Resident memory", field(24) * page),
            ("process_start_time_seconds", "Start, since the Unix epoch", booted_at() + field(22) / ticks),
        ] {
            families.push(family(name, help, MetricType::GAUGE, vec![gauge(Vec::new(), value)]));
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let open = gauge(Vec::new(), open.count() as f64);
        families.push(family("process_open_fds", "Open file descriptors", MetricType::GAUGE, vec![open]));
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let most = gauge(Vec::new(), most as f64);
        let help = "Open file descriptors that there may be";
        families.push(family("process_max_fds", help, MetricType::GAUGE, vec![most]));
    }
}

/// When the machine started, in seconds since the Unix epoch: `btime` of proc(5).
fn booted_at() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let time = stat.lines().find_map(|line| line.strip_prefix("btime "));
    time.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0.0)
}
