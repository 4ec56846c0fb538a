//! Metrics of functions, as Prometheus would read them, and figures made of two readings.

use std::collections::BTreeMap;

/// One reading of `/metrics`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MetricsReading {
    /// Counters and gauges of each function.
    pub functions: BTreeMap<String, FunctionReading>,
}

/// Counters and gauges of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FunctionReading {
    /// Executions that ended.
    pub ended: f64,
    /// Executions among them that did not succeed.
    pub failed: f64,
    /// Attempts in flight.
    pub in_flight: f64,
    /// Executions that wait.
    pub queued: f64,
    /// Instances that are granted work.
    pub ready: f64,
    /// Instances that start or run.
    pub replicas: f64,
    /// Upper bounds in seconds, and how many executions took at most as long.
    pub latency: Vec<(f64, f64)>,
}

impl MetricsReading {
    /// Reads the text; what is of no function is passed over. `None` where nothing is of picofaas.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reading = Self::default();
        let mut is_ours = false;
        for line in text.lines().filter(|line| line.starts_with("picofaas_")) {
            is_ours = true;
            let Some((name, labels, value)) = sample(line) else { continue };
            let (Some(metric), Some(function)) =
                (name.strip_prefix("picofaas_function_"), label(labels, "function"))
            else {
                continue;
            };
            let reading = reading.functions.entry(function.to_owned()).or_default();
            match metric {
                "success_total" => reading.ended += value,
                "error_total" | "timeout_total" | "cancelled_total" => {
                    reading.ended += value;
                    reading.failed += value;
                }
                "in_flight" => reading.in_flight = value,
                "queue_depth" => reading.queued = value,
                "ready_replicas" => reading.ready = value,
                "replicas" => reading.replicas = value,
                "latency_seconds_bucket" => {
                    let bound = match label(labels, "le") {
                        Some("+Inf") => Some(f64::INFINITY),
                        bound => bound.and_then(|bound| bound.parse().ok()),
                    };
                    reading.latency.extend(bound.map(|bound| (bound, value)));
                }
                _ => {}
            }
        }
        is_ours.then_some(reading)
    }
}

impl FunctionReading {
    /// The time within which the share of executions ended that ended since an earlier reading; of all that
    /// ever ended where none did since. Between two bounds it is taken to rise evenly, as in Prometheus'
    /// `histogram_quantile`. `None` where none ever ended.
    pub(crate) fn latency_s(&self, since: Option<&Self>, share: f64) -> Option<f64> {
        let before = since.map(|since| since.latency.as_slice()).unwrap_or_default();
        let recent: Vec<(f64, f64)> = self
            .latency
            .iter()
            .enumerate()
            .map(|(index, (bound, count))| {
                (*bound, count - before.get(index).map_or(0.0, |(_, count)| *count))
            })
            .collect();
        quantile(&recent, share).or_else(|| quantile(&self.latency, share))
    }
}

fn quantile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let (_, all) = buckets.last()?;
    if *all <= 0.0 {
        return None;
    }
    let rank = share * all;
    let (mut lower, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank {
            if bound.is_infinite() || *count <= below {
                return Some(lower);
            }
            return Some(lower + (bound - lower) * (rank - below) / (count - below));
        }
        (lower, below) = (*bound, *count);
    }
    Some(lower)
}

/// Name, labels and value of a line.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some((name, labels.trim_end_matches('}'), value.parse().ok()?))
}

/// The value of a label. Names of functions and bounds have neither quotes nor commas.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE picofaas_function_success_total counter\n\
        picofaas_build_info{version=\"0.1.0\"} 1\n\
        picofaas_function_success_total{function=\"a\"} 90\n\
        picofaas_function_error_total{function=\"a\"} 6\n\
        picofaas_function_timeout_total{function=\"a\"} 4\n\
        picofaas_function_in_flight{function=\"a\"} 3\n\
        picofaas_function_queue_depth{function=\"a\"} 2\n\
        picofaas_function_latency_seconds_bucket{function=\"a\",le=\"0.001\"} 50\n\
        picofaas_function_latency_seconds_bucket{function=\"a\",le=\"0.002\"} 100\n\
        picofaas_function_latency_seconds_bucket{function=\"a\",le=\"+Inf\"} 100\n\
        go_goroutines 7\n";

    #[test]
    fn counters_are_summed_by_function() {
        let reading = MetricsReading::parse(TEXT).unwrap();
        let a = &reading.functions["a"];
        assert_eq!((a.ended, a.failed, a.in_flight, a.queued), (100.0, 10.0, 3.0, 2.0));
        assert_eq!(reading.functions.len(), 1);
        assert_eq!(MetricsReading::parse("go_goroutines 7\n<html>"), None);
    }

    #[test]
    fn quantiles_are_of_what_ended_since_and_of_all_where_nothing_did() {
        let first = MetricsReading::parse(TEXT).unwrap().functions["a"].clone();
        let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 1e-9;
        assert!(near(first.latency_s(None, 0.5), 0.001));
        assert!(near(first.latency_s(None, 0.75), 0.0015));
        assert!(near(first.latency_s(Some(&first), 0.5), 0.001));
        // Ten more, all of them beyond the last bound but the infinite one.
        let mut second = first.clone();
        second.latency[2].1 += 10.0;
        assert!(near(second.latency_s(Some(&first), 0.5), 0.002));
        assert_eq!(FunctionReading::default().latency_s(None, 0.5), None);
    }
}
