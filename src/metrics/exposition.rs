//! `/metrics`: the counts of all gateways, merged when they are asked for.
//!
//! The numbers live where they are counted (see `crate::metrics`) and become Prometheus families
//! at scrape, without the prometheus crate's own registry, whose metrics hash and lock at each
//! observation. A function has no histogram before its first use, and a
//! deleted function no series.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::snapshot::{FunctionGauges, FunctionSnapshot, MetricsSnapshot, StandbyGauges};
use super::{
    BUCKETS_NS, CounterCell, FunctionMetrics, HistogramCells, MetricsByGateway, RejectReason, STATUS_CLASSES,
    TICK_BUCKETS_NS,
};
use crate::clock::Nanos;
use crate::cold_phases::COLD_PHASES;
use crate::start_reason::StartReason;

/// Everything there is to scrape, as text.
#[must_use]
pub fn render(snapshot: &MetricsSnapshot<'_>) -> Vec<u8> {
    let mut exposition = Exposition::for_functions(snapshot.functions.len());
    functions(&snapshot.functions, &mut exposition);
    snapshot.families.iter().for_each(|family| exposition.push(family));
    whole(snapshot, &mut exposition);
    process(&mut exposition);
    exposition.text
}

/// The text so far. What it is made of is encoded as soon as there is a little of it: the metrics of a
/// thousand functions, as structs, would take several times the memory of their text.
#[derive(Debug)]
struct Exposition {
    text: Vec<u8>,
}

impl Exposition {
    /// With room for the text of so many functions that are not called.
    fn for_functions(count: usize) -> Self {
        const EACH_BYTES: usize = 1536;
        const OTHERS_BYTES: usize = 16 * 1024;
        Self { text: Vec::with_capacity(OTHERS_BYTES + count * EACH_BYTES) }
    }

    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        metrics: impl IntoIterator<Item = Metric>,
    ) {
        /// As many are structs at once.
        const CHUNK: usize = 128;
        let mut metrics = metrics.into_iter().peekable();
        let mut is_first = true;
        while metrics.peek().is_some() {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_field_type(kind);
            family.set_metric(metrics.by_ref().take(CHUNK).collect());
            if is_first {
                family.set_help(help.to_owned());
                self.push(&family);
            } else {
                let from = self.text.len();
                self.push(&family);
                // Its type is said again, and may be said once only.
                let line = self.text[from..].iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                self.text.drain(from..from + line);
            }
            is_first = false;
        }
    }

    /// One that nobody has anything of is left out.
    fn push(&mut self, family: &MetricFamily) {
        if family.get_metric().is_empty() {
            return;
        }
        if let Err(error) = TextEncoder::new().encode(std::slice::from_ref(family), &mut self.text) {
            tracing::error!(%error, name = family.name(), "a metric could not be encoded");
        }
    }
}

type CounterOf = fn(&FunctionMetrics) -> &CounterCell;
type HistogramOf = fn(&FunctionMetrics) -> &super::Histogram;
type GaugeOf = fn(&FunctionGauges) -> u64;
type StandbyGaugeOf = fn(&StandbyGauges) -> u64;
type StandbyCounterOf = fn(&MetricsByGateway) -> f64;

const COUNTERS: [(&str, &str, CounterOf); 10] = [
    ("enqueued_total", "Executions admitted; each ends as success, error, timeout or cancelled", |m| {
        &m.enqueued
    }),
    ("dispatched_total", "Attempts sent to an instance", |m| &m.dispatched),
    ("framed_total", "Attempts over an instance connection that carries many (frames)", |m| &m.framed),
    ("success_total", "Executions that ended with an output", |m| &m.success),
    ("error_total", "Executions that ended with an error, the function's own 4xx included", |m| &m.error),
    ("timeout_total", "Executions ended by a deadline", |m| &m.timeout),
    ("cancelled_total", "Executions that nobody wanted any more", |m| &m.cancelled),
    (
        "unreachable_total",
        "Executions that were not begun, because they would hardly have ended in time; each is an error",
        |m| &m.unreachable,
    ),
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

const GAUGES: [(&str, &str, GaugeOf); 4] = [
    ("queue_depth", "Executions that wait for their first dispatch or their next attempt's turn", |g| {
        g.queue_depth
    }),
    ("in_flight", "Attempts in flight", |g| g.in_flight),
    ("replicas", "Instances that start or run", |g| g.replicas),
    ("ready_replicas", "Instances that are granted work", |g| g.ready_replicas),
];

const STANDBY_GAUGES: [(&str, &str, StandbyGaugeOf); 3] = [
    ("standby_ready", "Single-use instances that wait for an execution", |g| g.ready),
    ("standby_starting", "Single-use instances that are being started", |g| g.starting),
    ("standby_target", "Single-use instances that are to be ready", |g| g.target),
];

const STANDBY_COUNTERS: [(&str, &str, StandbyCounterOf); 3] = [
    ("standby_taken_total", "Attempts at an instance that had been started ahead and was ready", |m| {
        m.sum(|m| &m.standby_taken) as f64
    }),
    ("standby_missed_total", "Attempts that had to wait for the start of their instance", |m| {
        m.sum(|m| &m.standby_missed) as f64
    }),
    (
        "standby_wasted_seconds_total",
        "Time that instances waited which had been started ahead and were never used",
        |m| m.of_control().standby_wasted_ns.get() as f64 / 1e9,
    ),
];

/// Writes the numbers of the whole process.
fn whole(snapshot: &MetricsSnapshot<'_>, exposition: &mut Exposition) {
    let retained = snapshot.executions_retained as f64;
    let parked = f64::from(u8::from(snapshot.scheduler_parked));
    let gauges = [
        ("picofaas_executions_retained", "Ended executions that can be read", retained),
        ("picofaas_connections", "Open client connections", snapshot.connections as f64),
        ("picofaas_scheduler_parked", "1 while the scheduler thread is parked", parked),
    ];
    for (name, help, value) in gauges {
        exposition.family(name, help, MetricType::GAUGE, vec![gauge(Vec::new(), value)]);
    }
    let ticks = counter(Vec::new(), snapshot.scheduler_ticks as f64);
    let help = "Passes of the scheduler";
    exposition.family("picofaas_scheduler_ticks_total", help, MetricType::COUNTER, vec![ticks]);
    let tick = merged(Vec::new(), &TICK_BUCKETS_NS, &[snapshot.tick_times]);
    let help = "What a pass of the scheduler took that had something to do, on whichever thread";
    exposition.family("picofaas_scheduler_tick_seconds", help, MetricType::HISTOGRAM, vec![tick]);
    let build = gauge(vec![label("version", env!("CARGO_PKG_VERSION"))], 1.0);
    exposition.family("picofaas_build_info", "The build that runs", MetricType::GAUGE, vec![build]);
}

/// Writes the numbers of each function.
fn functions(functions: &[FunctionSnapshot], exposition: &mut Exposition) {
    type Make<'m> = &'m dyn Fn(&FunctionSnapshot) -> Vec<Metric>;
    let mut push = |name: &str, help: &str, kind: MetricType, make: Make<'_>| {
        let metrics = functions.iter().flat_map(make);
        exposition.family(&format!("picofaas_function_{name}"), help, kind, metrics);
    };
    for (name, help, count) in COUNTERS {
        let metrics = |function: &FunctionSnapshot| {
            vec![counter(vec![label("function", &function.name)], function.metrics.sum(count) as f64)]
        };
        push(name, help, MetricType::COUNTER, &metrics);
    }
    let late = |function: &FunctionSnapshot| {
        let count = function.metrics.sum(|m| &m.late_results);
        vec![counter(vec![label("function", &function.name)], count as f64)]
    };
    push("late_results_total", "Answers that came after the end", MetricType::COUNTER, &late);
    push("rejected_total", "Invocations refused at admission", MetricType::COUNTER, &rejected);
    push(
        "instances_started_total",
        "Instances of a WARM function that were started, by what they were started for",
        MetricType::COUNTER,
        &instances_started,
    );
    let help = "Answers of the function to requests at /fn";
    push("web_responses_total", help, MetricType::COUNTER, &web_responses);
    for (name, help, histogram) in HISTOGRAMS {
        let metrics = |function: &FunctionSnapshot| {
            let cells: Vec<&HistogramCells> =
                function.metrics.0.iter().filter_map(|m| histogram(m).cells()).collect();
            let labels = vec![label("function", &function.name)];
            if cells.is_empty() { Vec::new() } else { vec![merged(labels, &BUCKETS_NS, &cells)] }
        };
        push(name, help, MetricType::HISTOGRAM, &metrics);
    }
    let cold_phases = |function: &FunctionSnapshot| {
        let phase = |(at, phase): (usize, &&str)| {
            let cells: Vec<&HistogramCells> =
                function.metrics.0.iter().filter_map(|m| m.cold_phases[at].cells()).collect();
            let labels = vec![label("function", &function.name), label("phase", phase)];
            (!cells.is_empty()).then(|| merged(labels, &BUCKETS_NS, &cells))
        };
        COLD_PHASES.iter().enumerate().filter_map(phase).collect()
    };
    let help = "Parts of the waits for the start of an instance";
    push("cold_phase_seconds", help, MetricType::HISTOGRAM, &cold_phases);
    for (name, help, value) in GAUGES {
        let metrics = |function: &FunctionSnapshot| {
            vec![gauge(vec![label("function", &function.name)], value(&function.gauges) as f64)]
        };
        push(name, help, MetricType::GAUGE, &metrics);
    }
    for (name, help, value) in STANDBY_GAUGES {
        let metrics = |function: &FunctionSnapshot| {
            let of = |gauges| gauge(vec![label("function", &function.name)], value(gauges) as f64);
            function.standby.as_ref().map(of).into_iter().collect()
        };
        push(name, help, MetricType::GAUGE, &metrics);
    }
    for (name, help, value) in STANDBY_COUNTERS {
        let metrics = |function: &FunctionSnapshot| {
            let of = |_| counter(vec![label("function", &function.name)], value(&function.metrics));
            function.standby.map(of).into_iter().collect()
        };
        push(name, help, MetricType::COUNTER, &metrics);
    }
}

/// Invocations of a function that were refused, by the reason.
fn rejected(function: &FunctionSnapshot) -> Vec<Metric> {
    let count = |reason: &RejectReason| {
        let labels = vec![label("function", &function.name), label("reason", reason.as_str())];
        counter(labels, function.metrics.sum(|m| &m.rejected[*reason as usize]) as f64)
    };
    RejectReason::ALL.iter().map(count).collect()
}

/// The answers of a function to web requests, by the hundreds of their status, of which there were some.
fn web_responses(function: &FunctionSnapshot) -> Vec<Metric> {
    let count = |(at, class): (usize, &&str)| {
        let labels = vec![label("function", &function.name), label("status_class", class)];
        let count = function.metrics.sum(|m| &m.web_responses[at]);
        (count > 0).then(|| counter(labels, count as f64))
    };
    STATUS_CLASSES.iter().enumerate().filter_map(count).collect()
}

/// The starts of instances that stay, by the reasons for which there were some.
fn instances_started(function: &FunctionSnapshot) -> Vec<Metric> {
    let count = |reason: &StartReason| {
        let labels = vec![label("function", &function.name), label("reason", reason.as_str())];
        let count = function.metrics.of_control().started[*reason as usize].get();
        (count > 0).then(|| counter(labels, count as f64))
    };
    StartReason::ALL.iter().filter_map(count).collect()
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

fn merged<const CELLS: usize>(
    labels: Vec<LabelPair>,
    bounds: &[Nanos],
    cells: &[&HistogramCells<CELLS>],
) -> Metric {
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
fn process(exposition: &mut Exposition) {
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
        exposition.family("process_cpu_seconds_total", "CPU time used", MetricType::COUNTER, vec![cpu]);
        for (name, help, value) in [
            ("process_threads", "Threads", field(20)),
            ("process_virtual_memory_bytes", "Virtual memory", field(23)),
            ("process_resident_memory_bytes", "Resident memory", field(24) * page),
            ("process_start_time_seconds", "Start, since the Unix epoch", booted_at() + field(22) / ticks),
        ] {
            exposition.family(name, help, MetricType::GAUGE, vec![gauge(Vec::new(), value)]);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let open = gauge(Vec::new(), open.count() as f64);
        exposition.family("process_open_fds", "Open file descriptors", MetricType::GAUGE, vec![open]);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let most = gauge(Vec::new(), most as f64);
        let help = "Open file descriptors that there may be";
        exposition.family("process_max_fds", help, MetricType::GAUGE, vec![most]);
    }
}

/// Time at which the machine started, in seconds since the Unix epoch: `btime` of proc(5).
fn booted_at() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let time = stat.lines().find_map(|line| line.strip_prefix("btime "));
    time.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{MetricsByGateway, TickHistogramCells};
    use super::*;

    #[test]
    fn a_snapshot_becomes_families_in_its_own_order_and_what_was_never_measured_has_none() {
        let function = |name: &str, gauges: FunctionGauges| {
            let metrics = Arc::new(MetricsByGateway::new(2));
            FunctionSnapshot { name: name.to_owned(), metrics, gauges, standby: None }
        };
        let gauges = FunctionGauges { queue_depth: 3, in_flight: 2, replicas: 1, ready_replicas: 1 };
        let functions = vec![function("b", gauges), function("a", FunctionGauges::default())];
        for gateway in &functions[0].metrics.0 {
            gateway.enqueued.add(20);
            gateway.latency.observe(1_000_000);
        }
        let snapshot = MetricsSnapshot {
            functions,
            families: Vec::new(),
            executions_retained: 7,
            connections: 4,
            scheduler_parked: true,
            scheduler_ticks: 5,
            tick_times: &TickHistogramCells::default(),
        };
        let text = String::from_utf8(render(&snapshot)).unwrap();
        let of = |name: &str| -> Vec<&str> {
            text.lines().filter(|line| line.starts_with(&format!("picofaas_{name}"))).collect()
        };
        assert_eq!(
            of("function_enqueued_total"),
            [
                "picofaas_function_enqueued_total{function=\"b\"} 40",
                "picofaas_function_enqueued_total{function=\"a\"} 0"
            ]
        );
        assert_eq!(
            of("function_queue_depth"),
            [
                "picofaas_function_queue_depth{function=\"b\"} 3",
                "picofaas_function_queue_depth{function=\"a\"} 0"
            ]
        );
        let counts = of("function_latency_seconds_count");
        assert_eq!(counts, ["picofaas_function_latency_seconds_count{function=\"b\"} 2"]);
        assert_eq!(of("function_overhead_seconds"), Vec::<&str>::new());
        assert_eq!(of("executions_retained"), ["picofaas_executions_retained 7"]);
        assert_eq!(of("connections"), ["picofaas_connections 4"]);
        assert_eq!(of("scheduler_parked"), ["picofaas_scheduler_parked 1"]);
        assert_eq!(of("scheduler_ticks_total"), ["picofaas_scheduler_ticks_total 5"]);
    }

    #[test]
    fn a_family_of_many_functions_is_announced_once_and_complete() {
        let mut exposition = Exposition::for_functions(0);
        let metrics = (0..300).map(|number| counter(vec![label("function", &format!("f-{number}"))], 7.0));
        exposition.family("a_total", "What is counted", MetricType::COUNTER, metrics);
        exposition.family("nobody_total", "Nothing", MetricType::COUNTER, []);
        let text = String::from_utf8(exposition.text).unwrap();
        let (head, samples) = text.split_at(text.find("a_total{").unwrap());
        assert_eq!(head, "# HELP a_total What is counted\n# TYPE a_total counter\n");
        let expected: String =
            (0..300).map(|number| format!("a_total{{function=\"f-{number}\"}} 7\n")).collect();
        assert_eq!(samples, expected);
    }
}
