//! An instance seen from outside.

use std::collections::BTreeMap;

use picofaas_child::line::execution_of;
use picofaas_contract::invocation::Invocation;
use rustix::process::Signal;
use serde_json::json;

use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::case::Transport;
use crate::suite::subject::{BEYOND_ASCII, LateLines, Loads, Subject};

pub(crate) fn cold_start(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "echo");
    assert_eq!(instance.connect().get("/health").header("x-cold-start"), None, "that is no invocation");
    let mut client = instance.client(transport);
    let first = client.invoke_with("1");
    assert_eq!(first.header("x-cold-start"), Some("true"));
    let init_ms: u64 = first.header("x-init-duration-ms").expect("X-Init-Duration-Ms").parse().unwrap();
    assert!(init_ms < 20_000, "{init_ms}");
    for client in [&mut client, &mut instance.client(transport), &mut instance.client(Transport::Http)] {
        let later = client.invoke_with("1");
        assert_eq!((later.header("x-cold-start"), later.header("x-init-duration-ms")), (None, None));
    }
}

pub(crate) fn metrics(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "status");
    let mut client = instance.client(transport);
    client.invoke_with(r#"{"status":500,"code":"MINE","message":"m"}"#);
    client.invoke(&Invocation::with_body("{"));
    let answer = instance.connect().get("/metrics");
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

pub(crate) fn log_lines(subject: &Subject, transport: Transport) {
    let mut instance = WarmInstance::of(subject, "log");
    let invocation =
        Invocation { trace_name: Some("t-3".to_owned()), ..Invocation::of(r#""first word\nsecond word""#) };
    let ids = format!("executionId={} traceId=t-3 ", invocation.execution_id());
    let answer = instance.client(transport).invoke(&invocation);
    assert_eq!((answer.status, answer.text()), (200, "null"));
    for word in ["first word", "second word"] {
        let line = instance.line_with(word);
        assert!(line.contains(&ids), "{line}");
    }
}

/// An invocation of the execution whose id has this byte in each place.
fn invocation_of(execution: u8, input: &serde_json::Value) -> Invocation {
    Invocation { execution: [execution; 20], ..Invocation::of(&input.to_string()) }
}

pub(crate) fn lines_with_ids_in_them(subject: &Subject, transport: Transport) {
    let (own, other) = ("a".repeat(40), "b".repeat(40));
    let mut instance = WarmInstance::of(subject, "log");
    let mut client = instance.client(transport);
    for line in [
        format!("[{own}] mark"),
        format!("{own} mark"),
        format!("mark {own}"),
        format!("hello executionId={own} mark"),
        format!("executionId={own} mark"),
        format!("INFO:root:[{own}] mark"),
        format!("INFO:root:executionId={own} mark"),
        format!("12:00:00.1 [main] INFO com.ex.App -- [{own}] mark"),
        format!(r#"{{"requestId": "{own}", "m": "mark"}}"#),
        format!(r#"{{"ctx": {{"requestId": "{own}"}}, "m": "mark"}}"#),
        format!(r#"{{"executionId": "{own}", "m": "mark"}}"#),
        format!(r#"{{"user": {{"executionId": "{own}"}}, "m": "mark"}}"#),
        format!("mark for {other}"),
        format!("[{other}] mark"),
        format!("INFO:root:[{other}] mark"),
        format!("12:00:00.1 app INFO [{other}] mark"),
        format!(r#"{{"ctx": {{"requestId": "{other}"}}, "m": "mark"}}"#),
        format!("executionId={other} mark"),
        format!(r#"{{"executionId": "{other}", "m": "mark"}}"#),
    ] {
        assert_eq!(client.invoke(&invocation_of(0xaa, &json!(line))).status, 200);
        let found = instance.line_with("mark");
        assert!(found.trim_end().ends_with(&line), "`{line}` became `{found}`");
        assert_eq!(execution_of(&found), Some(own.as_str()), "`{line}` became `{found}`");
    }
}

pub(crate) fn long_lines(subject: &Subject, transport: Transport) {
    let own = "a".repeat(40);
    let mut instance = WarmInstance::of(subject, "log");
    let long = format!("x{}y", "€".repeat(6000));
    let mut client = instance.client(transport);
    assert_eq!(client.invoke(&invocation_of(0xaa, &json!(long))).status, 200);
    let mut pieces = String::new();
    while !pieces.ends_with('y') {
        let line = instance.line_with("€");
        assert_eq!(execution_of(&line), Some(own.as_str()), "{line}");
        // The trace's id has a blank behind it.
        let piece = line.trim_end().rsplit(' ').next().unwrap();
        assert!(piece.len() <= 8192, "{} bytes", piece.len());
        pieces.push_str(piece);
    }
    assert_eq!(pieces, long);
}

pub(crate) fn late_lines(subject: &Subject, transport: Transport) {
    let (first, second) = ("a".repeat(40), "b".repeat(40));
    if matches!(subject.behaviour.loads, Loads::EachTime) {
        // Nothing is left of an invocation.
        return;
    }
    let mut instance = WarmInstance::of(subject, "late");
    let folder = tempfile::tempdir().unwrap();
    let files = json!({ "go": folder.path().join("go"), "said": folder.path().join("said") });
    let mut client = instance.client(transport);
    for (execution, begins) in [(0xaa, true), (0xbb, false)] {
        let mut input = files.clone();
        input["begin"] = json!(begins);
        assert_eq!(client.invoke(&invocation_of(execution, &input)).status, 200);
    }
    let line = instance.line_with("late line");
    match (execution_of(&line), subject.behaviour.late_lines) {
        (None, LateLines::OwnOrNone) => {}
        (Some(id), LateLines::OwnOrNone) => assert_eq!(id, first, "{line}"),
        (id, LateLines::OfTheOnly) => assert_eq!(id, Some(second.as_str()), "{line}"),
    }
}

pub(crate) fn last_lines(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::with(subject, "last", ListenerKind::Socket, &BEYOND_ASCII);
    let answer = instance.client(transport).invoke_with("1");
    assert_eq!((answer.status, answer.json()), (200, json!(BEYOND_ASCII[0].1)));
    instance.signal(Signal::TERM);
    let (code, said) = instance.end();
    assert!(code == 0 && said.contains(BEYOND_ASCII[0].1), "{said}");
}
