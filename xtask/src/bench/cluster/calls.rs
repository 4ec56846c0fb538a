//! Calls of picofaas to the API server, out of its metrics.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::stage::Stage;
use crate::http;

const NAME: &str = "picofaas_kube_request_seconds_count{";

/// By verb and resource, as a rule of a Role names them.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ApiCalls(BTreeMap<String, f64>);

impl ApiCalls {
    /// Since the start of its control plane.
    pub(super) fn of(stage: &Stage<'_>) -> Result<Self> {
        let answer = http::request(stage.server.management_port, "GET", "/metrics", &[], "")?;
        Self::parse(&String::from_utf8(answer.body).context("the metrics are not text")?)
    }

    fn parse(metrics: &str) -> Result<Self> {
        let mut calls = BTreeMap::new();
        for line in metrics.lines().filter_map(|line| line.strip_prefix(NAME)) {
            let (labels, count) = line.split_once("} ").with_context(|| format!("not a metric: {line:?}"))?;
            let text = |name: &str| {
                let of = |label: &str| Some(label.strip_prefix(name)?.trim_matches('"').to_owned());
                labels.split(',').find_map(of).with_context(|| format!("no {name} in {line:?}"))
            };
            let count = count.trim().parse().with_context(|| format!("not a count: {line:?}"))?;
            calls.insert(format!("{} {}", text("verb=")?, text("resource=")?), count);
        }
        Ok(Self(calls))
    }

    pub(super) fn since(mut self, before: &Self) -> Self {
        for (call, count) in &mut self.0 {
            *count -= before.0.get(call).copied().unwrap_or_default();
        }
        self
    }

    /// How many there were for each of so many, without those that were none.
    pub(super) fn per(mut self, count: u32) -> Self {
        self.0.values_mut().for_each(|calls| *calls /= f64::from(count));
        self.0.retain(|_, calls| *calls > 0.0);
        self
    }

    pub(super) fn by_name(&self) -> &BTreeMap<String, f64> {
        &self.0
    }

    /// Calls that are not made by the clock.
    pub(super) fn for_a_reason(&self) -> f64 {
        let by_clock = |call: &str| {
            call.ends_with(" leases") || call.ends_with(" nonresource") || call.starts_with("watch ")
        };
        self.0.iter().filter(|(call, _)| !by_clock(call)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_verb_and_resource_and_those_by_the_clock_are_told_apart() {
        let metrics = "# TYPE picofaas_kube_request_seconds histogram\n\
            picofaas_kube_request_seconds_bucket{resource=\"jobs\",verb=\"create\",le=\"0.001\"} 0\n\
            picofaas_kube_request_seconds_count{resource=\"jobs\",verb=\"create\"} 3\n\
            picofaas_kube_request_seconds_count{resource=\"leases\",verb=\"update\"} 9\n\
            picofaas_kube_request_seconds_count{resource=\"pods\",verb=\"watch\"} 1\n\
            picofaas_kube_request_seconds_count{resource=\"pods/log\",verb=\"get\"} 2\n";
        let calls = ApiCalls::parse(metrics).unwrap();
        assert_eq!((calls.0["create jobs"], calls.0["get pods/log"]), (3.0, 2.0));
        assert_eq!(calls.for_a_reason(), 5.0);
        let later = ApiCalls::parse(&metrics.replace("} 3", "} 7")).unwrap().since(&calls).per(2);
        assert_eq!(later.0, BTreeMap::from([("create jobs".to_owned(), 2.0)]));
    }
}
