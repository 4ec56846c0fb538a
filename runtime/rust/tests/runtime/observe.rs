//! An instance seen from outside.

use std::collections::BTreeSet;

use crate::instance::Instance;

#[test]
fn only_the_first_answer_of_a_process_is_a_cold_start() {
    let instance = Instance::of("echo");
    assert_eq!(instance.connect().get("/health").header("x-cold-start"), None);
    let mut connection = instance.connect();
    let first = connection.invoke("", r#"{"input":1}"#);
    assert_eq!(first.header("x-cold-start"), Some("true"));
    let init_ms: u64 = first.header("x-init-duration-ms").unwrap().parse().unwrap();
    assert!((1..10_000).contains(&init_ms), "{init_ms}");
    let second = connection.invoke("", r#"{"input":1}"#);
    assert_eq!((second.header("x-cold-start"), second.header("x-init-duration-ms")), (None, None));
}

#[test]
fn a_first_answer_that_is_a_failure_is_a_cold_start_too() {
    let instance = Instance::of("panic");
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).header("x-cold-start"), Some("true"));
}

#[test]
fn metrics_count_invocations_by_how_they_ended() {
    let instance = Instance::of("sleep");
    let mut connection = instance.connect();
    connection.invoke("", r#"{"input":{"ms":0}}"#);
    connection.invoke("", r#"{"input":{"ms":0}}"#);
    connection.invoke("", r#"{"input":"no"}"#);
    connection.invoke("x-deadline-ms: 1\r\n", r#"{"input":{"ms":3600000}}"#);
    let answer = connection.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "picofaas_runtime_invocations_total{outcome=\"success\"} 2",
        "picofaas_runtime_invocations_total{outcome=\"rejected\"} 1",
        "picofaas_runtime_invocations_total{outcome=\"timeout\"} 1",
        "picofaas_runtime_invocations_total{outcome=\"error\"} 0",
        "picofaas_runtime_in_flight 0",
        "picofaas_runtime_invocation_seconds_count 4",
        "picofaas_runtime_invocation_seconds_bucket{le=\"+Inf\"} 4",
    ] {
        assert!(answer.text().lines().any(|found| found == line), "no `{line}` in\n{}", answer.text());
    }
}

#[test]
fn metrics_are_well_formed_and_named_as_prometheus_asks() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    connection.invoke("", r#"{"input":1}"#);
    let answer = connection.get("/metrics");
    assert!(answer.text().ends_with('\n'));
    let mut helped = BTreeSet::new();
    let mut typed = Vec::new();
    let mut buckets = Vec::new();
    for line in answer.text().lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(helped.insert(help.split_once(' ').unwrap().0), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            typed.push(kind.split_once(' ').unwrap());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, kind) = *typed.last().unwrap();
            let suffix = series.split('{').next().unwrap().strip_prefix(name).unwrap();
            match kind {
                "counter" => assert!(name.ends_with("_total") && suffix.is_empty(), "{line}"),
                "gauge" => assert!(!name.ends_with("_total") && suffix.is_empty(), "{line}"),
                "histogram" => {
                    assert!(
                        name.ends_with("_seconds") && ["_bucket", "_sum", "_count"].contains(&suffix),
                        "{line}"
                    );
                }
                other => panic!("unknown type {other}"),
            }
            let value: f64 = value.parse().unwrap();
            if suffix == "_bucket" {
                buckets.push(value);
            }
        }
    }
    assert_eq!(helped, typed.iter().map(|(name, _)| *name).collect());
    assert!(buckets.is_sorted() && buckets.last() == Some(&1.0), "{buckets:?}");
}

#[test]
fn other_paths_and_methods_are_told_the_right_ones() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    assert_eq!(connection.get("/health").text(), r#"{"status":"ok"}"#);
    let lost = connection.get("/invoked");
    assert_eq!(lost.failure(), (404, "NOT_FOUND".to_owned()));
    assert!(lost.message().contains("POST /invoke"));
    let wrong = connection.get("/invoke");
    assert_eq!(wrong.failure(), (405, "METHOD_NOT_ALLOWED".to_owned()));
    assert_eq!(wrong.header("allow"), Some("POST"));
}

#[test]
fn each_line_that_a_handler_logs_carries_its_ids() {
    let mut instance = Instance::of("log");
    let mut connection = instance.connect();
    let long = "é".repeat(5000);
    let body = format!(r#"{{"input":{{"text":"first\n\n{long}\n","ms":0}}}}"#);
    assert_eq!(connection.invoke("x-trace-id: t-3\r\n", &body).status, 200);
    for said in ["first", "", &long[..8192], &long[8192..], "dropped"] {
        let line = instance.line_with("");
        assert_eq!(line, format!("info executionId=e-1 traceId=t-3 {said}\n"));
    }
    assert_eq!(connection.invoke("", r#"{"input":{"text":"","ms":0}}"#).status, 200);
    assert_eq!(instance.line_with(""), "info executionId=e-1 traceId=- \n");
}
