//! Web pages in a browser, on a machine with `kubectl port-forward` to the installed control plane.

use serde_json::json;

use super::installation::Installation;
use super::installed::Forward;
use crate::pages::attempts::{MADE, WATCHED, on_a_control_plane};
use crate::pages::own::assert_reads;
use crate::pages::recorder::Recorder;
use crate::pages::visit::{EVERYWHERE, try_in_vain};
use crate::support::client::Client;
use crate::support::patience::eventually;

#[test]
fn no_page_of_another_origin_reaches_a_cluster_through_a_port_forward_and_the_page_for_operators_does() {
    let Some(installation) = Installation::new() else { return };
    installation.apply(WATCHED, "WARM", "echo", &json!({ "replicas": { "min": 0, "max": 1 } }));
    let mut operator = installation.operator();
    eventually("it is known", || {
        (operator.get(&format!("/v1/functions/{WATCHED}")).status == 200).then_some(())
    });
    let forwards = [("picofaas", 8080), ("picofaas-management", 8081), ("picofaas-runtime", 8082)]
        .map(|(service, port)| Forward::to(service, port));
    let recorders = forwards.each_ref().map(|forward| Recorder::before(forward.address));
    for from in EVERYWHERE {
        let attempts: Vec<_> =
            recorders.iter().map(|recorder| (recorder, on_a_control_plane(&recorder.url()))).collect();
        try_in_vain(from, &attempts);
    }
    // A page whose name was pointed to this machine: the listener is not on loopback, so it answers every host.
    let port = forwards[1].address.port();
    for marks in
        [format!("origin: http://evil.example:{port}\r\n"), "sec-fetch-site: same-origin\r\n".to_owned()]
    {
        let mut client = Client::connect(forwards[1].address);
        let made = json!({ "name": MADE, "executionMode": "POOL", "endpointUrl": "http://127.0.0.1:9/" })
            .to_string();
        let length = made.len();
        client.send(format!(
            "POST /v1/functions HTTP/1.1\r\nhost: evil.example:{port}\r\n{marks}content-length: {length}\r\n\r\n{made}"
        ));
        client.receive().assert_refused(403, "FOREIGN_ORIGIN", &["its own page only"]);
    }
    let functions = installation.objects(&["functions"]);
    assert_eq!(functions.len(), 1, "{functions:?}");
    assert_eq!(functions[0]["metadata"]["name"], WATCHED);
    assert_eq!(operator.get("/v1/executions").json()["executions"], json!([]));
    // The same way is open to whoever is no page, and to the page of the listener itself.
    let mut client = Client::connect(forwards[0].address);
    assert_eq!(client.invoke(WATCHED, 1).output(), 1);
    assert_reads(&recorders[1]);
}
