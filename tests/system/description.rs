//! Descriptions of the server: `/openapi.yaml`, and the page that explains its metrics.

use crate::support::server::{BYSTANDER, Server};

#[test]
fn the_description_of_the_api_is_served_on_both_listeners_as_it_is_in_the_tree() {
    let server = Server::start(&[]);
    let document = include_str!("../../openapi.yaml");
    for mut client in [server.client(), server.operator()] {
        let answer = client.get("/openapi.yaml");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/yaml"));
        assert_eq!(answer.text(), document);
    }
    let answer = server.client().post("/openapi.yaml", "{}");
    answer.assert_refused(405, "METHOD_NOT_ALLOWED", &["GET, HEAD"]);
}

#[test]
fn a_head_of_the_description_has_its_type_and_no_body() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send("HEAD /openapi.yaml HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let head = client.receive_head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/yaml")));
    assert!(client.is_closed(), "a body came");
}

#[test]
fn every_metric_of_a_scrape_is_explained() {
    let server = Server::start(&[]);
    assert_eq!(server.invoke(BYSTANDER, 1).output(), 1);
    let page = include_str!("../../docs/observability.md");
    let scrape = server.scrape();
    let families = scrape.text().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut count = 0;
    for family in families {
        let name = family.split(' ').next().unwrap_or_default();
        let short = name.strip_prefix("picofaas_function_").unwrap_or(name);
        let explained = page.contains(&format!("`{short}`")) || page.contains(&format!("`{short}{{"));
        assert!(explained, "docs/observability.md does not explain {name}");
        count += 1;
    }
    assert!(count > 25, "{count} families came");
}
