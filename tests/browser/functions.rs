//! Pages that functions serve themselves, from the listener of clients.

use serde_json::{Value, json};

use crate::pages::chromium::Chromium;
use crate::pages::site::Site;
use crate::support::endpoint::Endpoint;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool};

fn fetch(mode: &str, method: &str, url: &str, body: Option<&str>) -> Value {
    let mut attempt = json!({ "by": "fetch", "mode": mode, "method": method, "url": url, "headers": {} });
    if let Some(body) = body {
        attempt["body"] = body.into();
    }
    attempt
}

#[test]
fn a_hostile_page_of_a_function_reaches_neither_the_api_nor_operators_nor_a_function_with_a_host_of_its_own()
{
    let server = Server::start(&["--route-host", "{name}.localhost"]);
    let (site, victim) = (Site::new(), Endpoint::listen());
    let web = |name: &str, address| pool(name, format!("http://{address}")).with("web", json!({}));
    server.register(&web("hostile", site.address()));
    server.register(&web("victim", victim.address()));
    let (own, operators) = (format!("http://{}", server.listen), format!("http://{}", server.management));
    let of_victim = format!("http://victim.localhost:{}", server.listen.port());
    let invoke = format!("{own}/v1/functions/{BYSTANDER}:invoke");
    let input = Some("{\"input\":\"hostile\"}");
    let attempts = [
        // One that is let in: the page's own function.
        fetch("cors", "GET", &format!("{own}/fn/hostile/"), None),
        fetch("cors", "POST", &invoke, input),
        fetch("same-origin", "POST", &invoke, input),
        fetch("cors", "GET", &format!("{own}/v1/functions"), None),
        fetch("cors", "GET", &format!("{own}/v1/executions"), None),
        fetch("cors", "DELETE", &format!("{own}/v1/functions/{BYSTANDER}"), None),
        fetch("cors", "GET", &format!("{operators}/v1/functions"), None),
        fetch("no-cors", "POST", &format!("{operators}/v1/functions"), input),
        fetch("cors", "GET", &format!("{of_victim}/"), None),
        fetch("no-cors", "POST", &format!("{of_victim}/"), Some("a form")),
        fetch("cors", "GET", &format!("{of_victim}/v1/functions"), None),
        json!({ "by": "form", "url": format!("{of_victim}/"), "body": "x" }),
        json!({ "by": "img", "url": format!("{of_victim}/picture") }),
    ];
    site.serve(&attempts);
    let _browser = Chromium::open(&format!("{own}/fn/hostile/"));
    let told = site.told();
    assert_eq!(told[0]["status"], 200, "{}", told[0]);
    for (attempt, result) in attempts.iter().zip(&told).skip(1) {
        let is_refused = result["status"] == 403 || result["failed"].is_string() || result["status"] == 0;
        assert!(is_refused || result["status"].is_null(), "{attempt} was let in: {result}");
    }
    // Nothing of it was carried out.
    assert!(!victim.is_asked(), "the page reached a function that does not name it");
    let ran = server.operator().get("/v1/executions").json();
    let is_its_own = |execution: &Value| execution["function"] == "hostile";
    assert!(ran["executions"].as_array().unwrap().iter().all(is_its_own), "{ran}");
    server.assert_others_are_served();
}
