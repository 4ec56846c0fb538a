//! Trace contexts that requests have, and the part of each that a function is told.

use picofaas_contract::invocation::{Invocation, Trace};
use serde_json::{Value, json};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID: &str = "b7ad6b7169203331";

/// The headers of a request, and what its context has of them.
pub(crate) struct GivenTrace {
    pub(crate) headers: String,
    trace_id: Option<String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
}

impl GivenTrace {
    /// A `traceparent` that is valid, with the lines of a `tracestate` of which `told` is to be told.
    fn valid(parent: &str, lines: &[&str], told: Option<&str>) -> Self {
        let lines: String = lines.iter().map(|line| format!("tracestate: {line}\r\n")).collect();
        Self {
            headers: format!("traceparent: {parent}\r\n{lines}"),
            trace_id: Some(TRACE_ID.to_owned()),
            traceparent: Some(parent.to_owned()),
            tracestate: told.map(str::to_owned),
        }
    }

    /// A `traceparent` that is none.
    fn invalid(parent: &str) -> Self {
        Self {
            headers: format!("traceparent: {parent}\r\ntracestate: a=1\r\n"),
            trace_id: None,
            traceparent: None,
            tracestate: None,
        }
    }

    /// The same request with this `X-Trace-Id`, which counts where it says something.
    fn with_id(mut self, id: &str) -> Self {
        self.headers = format!("X-Trace-Id: {id}\r\n{}", self.headers);
        if !id.is_empty() {
            self.trace_id = Some(id.to_owned());
        }
        self
    }

    /// Checks the output of `context`.
    pub(crate) fn assert_told(&self, output: &Value) {
        for (name, told) in [
            ("traceId", &self.trace_id),
            ("traceparent", &self.traceparent),
            ("tracestate", &self.tracestate),
        ] {
            assert_eq!(output[name], json!(told), "{name} of a request with {}", self.headers);
        }
    }
}

/// Traces as frames have them, all of which are valid: with and without each field.
pub(crate) fn of_frames() -> Vec<Invocation> {
    let longest = format!("a={},b={}", "x".repeat(253), "y".repeat(254));
    let mut all = Vec::new();
    for flags in [0, 1, 0xff] {
        for later in [None, Some(""), Some("-"), Some("-what the.FUTURE-will=be")] {
            for tracestate in [None, Some("a=1"), Some("a=1,b=2 , c=3"), Some(longest.as_str())] {
                for trace_name in [None, Some("t-1")] {
                    let trace = Trace { trace_id: [0xa0; 16], span_id: [0xb0; 8], flags, later: None };
                    let later = later.map(|more| trace.header().replacen("00-", "cc-", 1) + more);
                    all.push(Invocation {
                        trace: Some(Trace { later, ..trace }),
                        trace_name: trace_name.map(str::to_owned),
                        tracestate: tracestate.map(str::to_owned),
                        ..Invocation::of("1")
                    });
                }
            }
        }
    }
    all
}

/// Checks that the output of `context` has all of a trace.
pub(crate) fn assert_all_told(given: &Invocation, output: &Value) {
    let trace = given.trace.as_ref().expect("all have one");
    for (name, told) in [
        ("traceId", Some(given.trace_name.clone().unwrap_or_else(|| trace.id()))),
        ("traceparent", Some(trace.header())),
        ("tracestate", given.tracestate.clone()),
    ] {
        assert_eq!(output[name], json!(told), "{name} of {given:?}");
    }
}

fn parent() -> String {
    format!("00-{TRACE_ID}-{SPAN_ID}-01")
}

/// One of each kind, where each costs a process.
pub(crate) fn some() -> Vec<GivenTrace> {
    let parent = parent();
    vec![
        GivenTrace::valid(&parent, &["a=1", "b=2 , c=3"], Some("a=1,b=2 , c=3")).with_id(""),
        GivenTrace::valid(&parent, &["a=1", "not a list"], None).with_id("t-1"),
        GivenTrace::invalid(&format!("00-{}-{SPAN_ID}-01", TRACE_ID.to_uppercase())).with_id(""),
        GivenTrace::invalid(&format!("{parent}\r\ntraceparent: {parent}")),
    ]
}

/// All kinds that the rules tell apart.
pub(crate) fn all() -> Vec<GivenTrace> {
    let parent = parent();
    let long = format!("a={},b={}", "x".repeat(253), "y".repeat(254));
    let longer = [long.as_str(); 8].join(",");
    let words = [format!("a={}", "x".repeat(257)), format!("{}=x", "a".repeat(257))];
    let many = |count| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let mut all = some();
    all.extend([
        GivenTrace::valid(&parent, &[], None),
        GivenTrace::valid(&parent, &["a=1"], Some("a=1")).with_id("t-1"),
        GivenTrace::valid(&parent, &["", "a=1"], Some("a=1")),
        GivenTrace::valid(&parent, &[""], None),
        GivenTrace::valid(&parent, &["0a_-*/@z= !\"~,, b=2,"], Some("0a_-*/@z= !\"~,, b=2,")),
        GivenTrace::valid(&parent, &[&long], Some(&long)),
        GivenTrace::valid(&parent, &[&longer], None),
        GivenTrace::valid(&parent, &[&words[0]], None),
        GivenTrace::valid(&parent, &[&words[1]], None),
        GivenTrace::valid(&parent, &[&many(32)], Some(&many(32))),
        GivenTrace::valid(&parent, &[&many(32), "z=1"], None),
    ]);
    for list in [",", "a", "a=", "=1", "A=1", "a =1", "_a=1", "a=1=2", "a=1,b"] {
        all.push(GivenTrace::valid(&parent, &[list], None));
    }
    for more in ["", "-", "-what the.FUTURE-will=be"] {
        let later = format!("cc-{TRACE_ID}-{SPAN_ID}-01{more}");
        all.push(GivenTrace::valid(&later, &["a=1"], Some("a=1")));
    }
    for parent in [
        "",
        "garbage",
        &"x".repeat(55),
        &format!("00-{}-{SPAN_ID}-01", "0".repeat(32)),
        &format!("00-{TRACE_ID}-{}-01", "0".repeat(16)),
        &format!("ff-{TRACE_ID}-{SPAN_ID}-01"),
        &format!("0A-{TRACE_ID}-{SPAN_ID}-01"),
        &format!("00-{TRACE_ID}-{}-01", SPAN_ID.to_uppercase()),
        &format!("00-{TRACE_ID}-{SPAN_ID}-0A"),
        &format!("00-{TRACE_ID}-{SPAN_ID}-.1"),
        &format!("00-{TRACE_ID}-{SPAN_ID}"),
        &format!("00-{TRACE_ID}-{SPAN_ID}-"),
        &format!("00-{TRACE_ID}0-{SPAN_ID}-01"),
        &format!("00-{}-{SPAN_ID}-01", &TRACE_ID[1..]),
        &format!("00-{}g-{SPAN_ID}-01", &TRACE_ID[1..]),
        &format!("00_{TRACE_ID}_{SPAN_ID}_01"),
        &format!("00-{TRACE_ID}-{SPAN_ID}-01-more"),
        &format!("00-{TRACE_ID}-{SPAN_ID}-01-"),
        &format!("cc-{TRACE_ID}-{SPAN_ID}-01.more"),
    ] {
        all.push(GivenTrace::invalid(parent));
    }
    all
}
