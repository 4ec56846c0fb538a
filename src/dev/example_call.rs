//! The curl lines that call a function.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::value::RawValue;

use super::terminal::quote;
use crate::spec::FunctionSpec;

/// The annotation that holds an input to try a function with, as JSON.
pub(crate) const EXAMPLE_INPUT: &str = "picofaas.dev/example-input";

/// URL by which a client on this machine calls a listener that may be bound to every address.
#[must_use]
pub(crate) fn base_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => listen.ip(),
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// Two lines for a shell, each working as it stands: one calls the function and waits, the other
/// enqueues an execution and reads its result.
///
/// # Errors
/// Where the example is not JSON: a sentence that says so.
pub(crate) fn lines(base: &str, spec: &FunctionSpec) -> Result<[String; 2], String> {
    let input = match spec.annotations.get(EXAMPLE_INPUT) {
        Some(text) => {
            let value: Box<RawValue> = serde_json::from_str(text).map_err(|error| {
                format!("the annotation {EXAMPLE_INPUT} is not JSON ({error}); the lines show an empty input")
            })?;
            // In JSON a line only breaks between values, where a space does as well.
            value.get().replace(['\n', '\r'], " ")
        }
        None => "{}".to_owned(),
    };
    Ok(with_input(base, spec.name.as_str(), &input))
}

/// The same with this input, which is JSON on one line.
#[must_use]
pub(crate) fn with_input(base: &str, name: &str, input: &str) -> [String; 2] {
    let body = quote(&format!("{{\"input\":{input}}}"));
    let call = |verb: &str| {
        format!("curl -s {base}/v1/functions/{name}:{verb} -H 'content-type: application/json' -d {body}")
    };
    let enqueue = format!(
        "id=$({} | sed 's/.*\"executionId\":\"\\([^\"]*\\)\".*/\\1/') && curl -s \"{base}/v1/executions/$id?wait=5\"",
        call("enqueue")
    );
    [call("invoke"), enqueue]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_function;

    fn spec(example: &str) -> FunctionSpec {
        let mut spec = parse_function(br#"{"name":"f","image":"i"}"#).unwrap();
        spec.annotations.insert(EXAMPLE_INPUT.to_owned(), example.to_owned());
        spec
    }

    #[test]
    fn an_example_survives_the_shell() {
        let [invoke, _] = lines("http://h", &spec("{\n  \"a\": \"it's\"\n}")).unwrap();
        let said = std::process::Command::new("sh")
            .args(["-c", &invoke.replacen("curl", "printf '%s\\n'", 1)])
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let body = said.lines().last().unwrap();
        assert_eq!(body, r#"{"input":{   "a": "it's" }}"#);
    }

    #[test]
    fn an_example_that_is_not_json_is_complained_of() {
        let complaint = lines("http://h", &spec("{text: 1}")).unwrap_err();
        assert!(complaint.contains(EXAMPLE_INPUT) && complaint.contains("is not JSON"), "{complaint}");
    }

    #[test]
    fn a_listener_on_every_address_is_called_on_loopback() {
        assert_eq!(base_url("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(base_url("[::]:80".parse().unwrap()), "http://[::1]:80");
        assert_eq!(base_url("192.0.2.1:80".parse().unwrap()), "http://192.0.2.1:80");
    }
}
