//! Requests that a page tries, and the end that each is to have where the page is somebody else's.

use serde_json::{Value, json};

use super::recorder::Record;
use crate::support::specification::pool;

/// The function that pages try to call and to delete.
pub(crate) const WATCHED: &str = "watched";
/// Name of the function that pages try to register.
pub(crate) const MADE: &str = "made";

/// Everything by which a page can have a browser ask, at a listener of a control plane.
pub(crate) fn on_a_control_plane(url: &str) -> Vec<Value> {
    let pool = pool(MADE, "http://127.0.0.1:9/").to_string();
    let program =
        json!({ "name": MADE, "executionMode": "JOB", "local": { "command": ["/bin/true"] } }).to_string();
    let call = json!({ "input": "a page" }).to_string();
    let (functions, watched) = (format!("{url}/v1/functions"), format!("{url}/v1/functions/{WATCHED}"));
    let made = format!("{url}/v1/functions/{MADE}");
    let fetch = |mode: &str, method: &str, url: &str, body: Option<&str>| {
        let headers = if mode == "cors" && body.is_some() {
            json!({ "content-type": "application/json" })
        } else {
            json!({})
        };
        let mut attempt =
            json!({ "by": "fetch", "mode": mode, "method": method, "url": url, "headers": headers });
        if let Some(body) = body {
            attempt["body"] = body.into();
        }
        attempt
    };
    vec![
        fetch("no-cors", "POST", &functions, Some(&pool)),
        fetch("no-cors", "POST", &functions, Some(&program)),
        fetch("no-cors", "POST", &format!("{watched}:invoke"), Some(&call)),
        fetch("no-cors", "POST", &format!("{watched}:enqueue"), Some(&call)),
        fetch("no-cors", "GET", &watched, None),
        fetch("cors", "POST", &functions, Some(&pool)),
        fetch("cors", "PUT", &made, Some(&pool)),
        fetch("cors", "DELETE", &watched, None),
        fetch("cors", "GET", &functions, None),
        fetch("cors", "HEAD", &format!("{url}/healthz"), None),
        json!({ "by": "beacon", "url": functions, "body": pool }),
        json!({ "by": "form", "url": functions, "body": pool }),
        json!({ "by": "img", "url": watched }),
        json!({ "by": "script", "url": format!("{url}/v1/executions") }),
        json!({ "by": "iframe", "url": format!("{url}/") }),
        json!({ "by": "iframe", "url": format!("{url}/debug/state") }),
        json!({ "by": "script", "url": format!("{url}/metrics") }),
        json!({ "by": "socket", "url": functions }),
    ]
}

/// The calls that these attempts make, each as often as it is made, in order of their names. One that has a body of
/// JSON, or another method than a form has, is asked for beforehand and not made.
pub(crate) fn calls(attempts: &[Value]) -> Vec<String> {
    let mut calls: Vec<String> = attempts.iter().map(call).collect();
    calls.sort();
    calls
}

fn call(attempt: &Value) -> String {
    let text = |key: &str| attempt[key].as_str().unwrap_or_default();
    let path = text("url").splitn(4, '/').nth(3).unwrap_or_default();
    let method = match (text("by"), text("mode"), text("method")) {
        ("fetch", "cors", "PUT" | "DELETE") => "OPTIONS",
        ("fetch", "cors", "POST") if attempt["headers"].get("content-type").is_some() => "OPTIONS",
        ("fetch", _, method) => method,
        ("beacon" | "form", _, _) => "POST",
        (_, _, _) => "GET",
    };
    format!("{method} /{path}")
}

/// Asserts that each of these was refused for the headers of the browser, and that the page could read none of it.
#[track_caller]
pub(crate) fn assert_refused(records: &[Record], attempts: &[Value], told: &[Value]) {
    let mut made: Vec<&str> = records.iter().map(|record| record.call.as_str()).collect();
    made.sort_unstable();
    assert_eq!(made, calls(attempts));
    for record in records {
        assert_eq!(record.status, 403, "{record:?}");
        // An answer to HEAD has no body.
        assert!(record.answer.contains("FOREIGN_ORIGIN") || record.call.starts_with("HEAD "), "{record:?}");
        assert!(!record.answer.to_lowercase().contains("access-control-"), "{record:?}");
        assert!(record.origin.is_some() || record.site.is_some(), "{record:?}");
    }
    assert_eq!(told.len(), attempts.len());
    for (result, attempt) in told.iter().zip(attempts) {
        let seen = match (attempt["by"].as_str().unwrap(), attempt["mode"].as_str()) {
            ("fetch", Some("no-cors")) => result["opaque"] == true,
            ("fetch", _) => result["failed"].is_string(),
            ("beacon", _) => result["sent"] == true,
            // A frame shows the refusal, and does not show it to the page.
            ("form" | "iframe", _) => result["loaded"] == true,
            (_, _) => result["loaded"] == false,
        };
        assert!(seen, "{attempt} gave {result}");
    }
}
