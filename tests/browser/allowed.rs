//! The page of a front end that `--allow-origin` names.

use serde_json::{Value, json};

use crate::pages::chromium::Chromium;
use crate::pages::recorder::Recorder;
use crate::pages::site::{PAGE_PATH, Site};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::pool;

fn fetch(method: &str, url: &str, headers: &Value, body: Option<&str>) -> Value {
    let mut attempt =
        json!({ "by": "fetch", "mode": "cors", "method": method, "url": url, "headers": headers });
    if let Some(body) = body {
        attempt["body"] = body.into();
    }
    attempt
}

#[test]
fn the_page_of_a_front_end_that_is_allowed_invokes_and_reads_and_changes_no_function() {
    let site = Site::new();
    let server = Server::start(&["--allow-origin", &format!("http://{}", site.address())]);
    let recorder = Recorder::before(server.listen);
    let url = recorder.url();
    let bystander = format!("{url}/v1/functions/{BYSTANDER}");
    let (input, made) = ("{\"input\":\"a page\"}", pool("made", "http://127.0.0.1:9/").to_string());
    let headers =
        json!({ "content-type": "application/json", "idempotency-key": "k", "x-timeout-ms": "9000" });
    let attempts = [
        fetch("POST", &format!("{bystander}:invoke"), &headers, Some(input)),
        fetch("POST", &format!("{bystander}:invoke"), &json!({}), Some(input)),
        fetch("POST", &format!("{bystander}:enqueue"), &headers, Some(input)),
        fetch("GET", &bystander, &json!({}), None),
        fetch("POST", &format!("{url}/v1/functions/nobody:invoke"), &headers, Some(input)),
        fetch("POST", &format!("{url}/v1/functions"), &json!({}), Some(&made)),
        fetch("PUT", &format!("{url}/v1/functions/made"), &headers, Some(&made)),
        fetch("DELETE", &bystander, &json!({}), None),
    ];
    site.serve(&attempts);
    let _browser = Chromium::open(&format!("http://{}{PAGE_PATH}", site.address()));
    let told = site.told();
    let body = |result: &Value| -> Value { serde_json::from_str(result["text"].as_str().unwrap()).unwrap() };
    for result in &told[..2] {
        assert_eq!((&result["status"], &body(result)["output"]), (&200.into(), &"a page".into()), "{result}");
        let id = &result["headers"]["x-execution-id"];
        assert_eq!(&body(result)["executionId"], id, "{result}");
        for name in ["server-timing", "x-attempts"] {
            assert!(result["headers"][name].is_string(), "{name} cannot be read: {result}");
        }
    }
    let accepted = &told[2];
    assert_eq!(
        (&accepted["status"], &accepted["headers"]["idempotency-replayed"]),
        (&202.into(), &"true".into())
    );
    assert!(accepted["headers"]["location"].is_string(), "{accepted}");
    assert_eq!(told[3]["status"], 200);
    assert!(told[3]["headers"]["etag"].is_string(), "{}", told[3]);
    assert_eq!(
        (&told[4]["status"], &body(&told[4])["error"]["code"]),
        (&404.into(), &"FUNCTION_NOT_FOUND".into())
    );
    assert_eq!(
        (&told[5]["status"], &body(&told[5])["error"]["code"]),
        (&403.into(), &"FOREIGN_ORIGIN".into())
    );
    for refused in &told[6..] {
        assert!(refused["failed"].is_string(), "{refused}");
    }
    let records = recorder.records();
    let preflight = format!("OPTIONS /v1/functions/{BYSTANDER}:invoke");
    assert!(records.iter().any(|record| record.call == preflight && record.status == 204), "{records:?}");
    assert!(
        !records.iter().any(|record| record.call.starts_with("PUT") || record.call.starts_with("DELETE"))
    );
    assert_eq!(server.operator().get("/v1/functions/made").status, 404);
    server.assert_others_are_served();
}
