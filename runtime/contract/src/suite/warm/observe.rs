//! An instance seen from outside.

use std::collections::BTreeMap;

use super::warm_instance::WarmInstance;
use crate::suite::subject::Subject;

pub(crate) fn cold_start(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    assert_eq!(connection.get("/health").header("x-cold-start"), None, "that is no invocation");
    let first = connection.invoke("", r#"{"input":1}"#);
    assert_eq!(first.header("x-cold-start"), Some("true"));
    let init_ms: u64 = first.header("x-init-duration-ms").expect("X-Init-Duration-Ms").parse().unwrap();
    assert!(init_ms < 20_000, "{init_ms}");
    for connection in [&mut connection, &mut instance.connect()] {
        let later = connection.invoke("", r#"{"input":1}"#);
        assert_eq!((later.header("x-cold-start"), later.header("x-init-duration-ms")), (None, None));
    }
}

pub(crate) fn metrics(subject: &Subject) {
    let instance = WarmInstance::of(subject, "status");
    let mut connection = instance.connect();
    connection.invoke("", r#"{"input":{"status":500,"code":"MINE","message":"m"}}"#);
    connection.invoke("", "{");
    let answer = connection.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").expect("a content type");
    assert!(kind.starts_with("text/plain"), "{kind}");
    let text = answer.text();
    assert!(text.ends_with('\n'), "the last line ends, too");
    let mut types = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with("# HELP ")) {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            let (name, kind) = named.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} has two types");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: `{line}`"));
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|family| types.contains_key(family)))
            .unwrap_or(name);
        let kind = types.get(family).unwrap_or_else(|| panic!("`{line}` is of no type"));
        assert_eq!(*kind == "counter", family.ends_with("_total"), "{family} is a {kind}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: `{line}`"));
        assert!(value >= 0.0, "{line}");
    }
    for (name, kind) in [
        ("picofaas_runtime_invocations_total", "counter"),
        ("picofaas_runtime_in_flight", "gauge"),
        ("picofaas_runtime_invocation_seconds", "histogram"),
    ] {
        assert_eq!(types.get(name), Some(&kind), "{name}");
    }
    let count = |outcome| format!("picofaas_runtime_invocations_total{{outcome=\"{outcome}\"}}");
    for line in [
        format!("{} 1", count("error")),
        format!("{} 1", count("rejected")),
        format!("{} 0", count("success")),
        format!("{} 0", count("timeout")),
        format!("{} 0", count("cancelled")),
        "picofaas_runtime_in_flight 0".to_owned(),
        "picofaas_runtime_invocation_seconds_count 2".to_owned(),
        "picofaas_runtime_invocation_seconds_bucket{le=\"+Inf\"} 2".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}

pub(crate) fn log_lines(subject: &Subject) {
    let mut instance = WarmInstance::of(subject, "log");
    let answer = instance.connect().invoke("X-Trace-Id: t-3\r\n", r#"{"input":"first word\nsecond word"}"#);
    assert_eq!((answer.status, answer.text()), (200, "null"));
    for word in ["first word", "second word"] {
        let line = instance.line_with(word);
        assert!(line.contains("executionId=e-1 traceId=t-3 "), "{line}");
    }
}
