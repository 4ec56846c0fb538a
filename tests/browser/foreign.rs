//! Pages of others, at the listeners of a control plane and of a function.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::pages::attempts::{MADE, WATCHED, on_a_control_plane};
use crate::pages::recorder::Recorder;
use crate::pages::visit::{EVERYWHERE, try_in_vain};
use crate::support::endpoint::{Endpoint, EndpointProcess};
use crate::support::server::Server;
use crate::support::specification::pool;

#[test]
fn no_page_of_another_origin_registers_invokes_deletes_or_reads_anything_on_any_listener() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool(WATCHED, endpoint.url()));
    let before = server.operator().get("/v1/functions").json()["functions"].as_array().unwrap().len();
    let recorders = [server.listen, server.management, server.runtime].map(Recorder::before);
    for from in EVERYWHERE {
        let attempts: Vec<_> =
            recorders.iter().map(|recorder| (recorder, on_a_control_plane(&recorder.url()))).collect();
        try_in_vain(from, &attempts);
    }
    let mut operator = server.operator();
    assert_eq!(operator.get("/v1/functions").json()["functions"].as_array().unwrap().len(), before);
    assert_eq!(operator.get(&format!("/v1/functions/{MADE}")).status, 404);
    assert_eq!(operator.get("/v1/executions").json()["executions"], json!([]));
    // The first request that the endpoint sees is one that no page sent.
    let mut client = server.client();
    client.ask_invoke(WATCHED, "", "\"mine\"");
    let request = endpoint.next();
    assert_eq!(request.body, "{\"input\":\"mine\"}");
    request.answer(200, "1");
    assert_eq!(client.receive().output(), 1);
}

#[test]
fn no_page_invokes_a_function_that_was_started_by_hand() {
    let function = EndpointProcess::start("echo", 0);
    let recorder = Recorder::before(SocketAddr::from((Ipv4Addr::LOCALHOST, function.port)));
    let url = recorder.url();
    let (body, invoke) = ("{\"input\":1}", format!("{url}/invoke"));
    let attempts = vec![
        json!({ "by": "fetch", "mode": "no-cors", "method": "POST", "url": invoke, "headers": {}, "body": body }),
        json!({ "by": "fetch", "mode": "cors", "method": "POST", "url": invoke, "body": body,
            "headers": { "content-type": "application/json", "x-execution-id": "e-1" } }),
        json!({ "by": "form", "url": invoke, "body": body }),
        json!({ "by": "beacon", "url": invoke, "body": body }),
        json!({ "by": "img", "url": format!("{url}/health") }),
        json!({ "by": "script", "url": format!("{url}/metrics") }),
    ];
    for from in EVERYWHERE {
        try_in_vain(from, &[(&recorder, attempts.clone())]);
    }
}
