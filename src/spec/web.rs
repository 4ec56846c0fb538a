//! How a function answers HTTP requests as they are, at `/fn/{name}`.

use serde::Serialize;

use super::ExecutionMode;
use super::field_errors::Findings;
use super::fields;
use super::fields::{NumberField, names_in};
use super::function_spec::{given, whole};
use super::object::{Field, Object};
use crate::error::excerpt;
use crate::origin::Origin;

const STREAM_IDLE: NumberField = fields::number("web.streamIdleMs");
const STREAM_MAX: NumberField = fields::number("web.maxStreamMs");
const BODY_MAX: NumberField = fields::number("web.maxBodyBytes");
const CONNECTIONS_MAX: NumberField = fields::number("web.maxConnections");
/// Origins that a function may name.
const ORIGINS_MAX: usize = 100;

/// How a function answers HTTP requests as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Web {
    /// Origins of other web pages that may call it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<PageOrigin>,
    /// Time in which nothing comes and nothing goes of a body, after which it is broken off, in milliseconds.
    pub stream_idle_ms: u32,
    /// Longest time from the head of an answer that streams to its end, in milliseconds.
    #[serde(rename = "maxStreamMs", skip_serializing_if = "Option::is_none")]
    pub stream_ms_max: Option<u32>,
    /// Largest body of a request, in bytes.
    #[serde(rename = "maxBodyBytes", skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u32>,
    /// Upgraded connections that may be open at once on a gateway.
    #[serde(rename = "maxConnections")]
    pub connections_max: u32,
    /// Whether a client may leave the answer to be kept, and read it later.
    #[serde(rename = "async")]
    pub is_async: bool,
}

/// The origin of web pages that may call a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PageOrigin {
    /// Pages of this origin.
    One(Origin),
    /// Pages of any: `*`.
    Any(AnyOrigin),
}

/// The word that stands for every origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AnyOrigin {
    /// `*`
    #[serde(rename = "*")]
    All,
}

impl Web {
    /// Reads the field `web`, where it is there.
    pub(super) fn read(
        spec: &Object<'_>,
        mode: Option<ExecutionMode>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let field = spec.get("web")?;
        if mode == Some(ExecutionMode::Job) {
            let text = "is only for executionMode WARM or POOL, which is JOB here; without it the function takes JSON at /fn";
            field.error(findings, text);
            return None;
        }
        let object = field.object(&names_in("web"), findings)?;
        Some(Self {
            origins: read_origins(&object, findings),
            stream_idle_ms: whole(&object, STREAM_IDLE, findings),
            stream_ms_max: given(&object, STREAM_MAX, findings),
            body_bytes_max: given(&object, BODY_MAX, findings),
            connections_max: whole(&object, CONNECTIONS_MAX, findings),
            is_async: object.get("async").and_then(|field| field.boolean(findings)).unwrap_or(true),
        })
    }

    /// Whether a page of this origin, as a browser writes it, may call the function.
    #[must_use]
    pub(crate) fn admits(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|admitted| match admitted {
            PageOrigin::Any(AnyOrigin::All) => true,
            PageOrigin::One(one) => one.as_str().as_bytes() == origin,
        })
    }

    /// Whether one of the origins that may call it is at a host.
    #[must_use]
    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.origins.iter().any(|admitted| match admitted {
            PageOrigin::Any(AnyOrigin::All) => true,
            PageOrigin::One(one) => one.is_at(host),
        })
    }

    /// Whether pages of every origin may call the function.
    #[must_use]
    pub(crate) fn admits_all(&self) -> bool {
        self.origins.contains(&PageOrigin::Any(AnyOrigin::All))
    }
}

fn read_origins(object: &Object<'_>, findings: &mut Findings) -> Vec<PageOrigin> {
    let Some(field) = object.get("origins") else { return Vec::new() };
    let items = field.list("origins", findings).unwrap_or_default();
    if items.len() > ORIGINS_MAX {
        field.error(findings, format!("must hold at most {ORIGINS_MAX} origins, holds {}", items.len()));
    }
    items.iter().filter_map(|item| read_origin(item, findings)).collect()
}

fn read_origin(item: &Field<'_>, findings: &mut Findings) -> Option<PageOrigin> {
    let text = item.text(findings)?;
    if text == "*" {
        return Some(PageOrigin::Any(AnyOrigin::All));
    }
    let error =
        |error| item.error(findings, format!("{error}, or \"*\" for every page; is \"{}\"", excerpt(text)));
    text.parse().map_err(error).ok().map(PageOrigin::One)
}

#[cfg(test)]
mod tests {
    use crate::spec::{parse_function, read_fields};

    fn faults(web: &str) -> Vec<String> {
        read_fields(&format!(r#""executionMode":"WARM","web":{web}"#)).err().unwrap_or_default()
    }

    #[test]
    fn an_origin_is_one_as_browsers_write_it_or_all() {
        assert_eq!(faults(r#"{"origins":["https://shop.example","http://localhost:3000","*"]}"#), [""; 0]);
        for wrong in ["https://shop.example/", "shop.example", "null", "HTTPS://SHOP.example"] {
            let told = faults(&format!(r#"{{"origins":["{wrong}"]}}"#));
            assert_eq!(told.len(), 1, "{wrong}: {told:?}");
            assert!(told[0].starts_with("web.origins[0]: "), "{told:?}");
        }
        assert_eq!(faults(r#"{"orgins":[]}"#).len(), 1);
    }

    #[test]
    fn a_wish_for_a_later_answer_is_granted_unless_the_function_says_no() {
        let read = |web: &str| {
            let text = format!(r#"{{"name":"a","executionMode":"WARM","image":"i","web":{web}}}"#);
            parse_function(text.as_bytes()).expect("valid").web.expect("it has one").is_async
        };
        assert!(read("{}") && read(r#"{"async":true}"#) && read(r#"{"async":null}"#));
        assert!(!read(r#"{"async":false}"#));
        assert_eq!(faults(r#"{"async":"no"}"#).len(), 1);
    }

    #[test]
    fn a_job_has_none_and_the_error_says_what_it_has_instead() {
        let told = read_fields(r#""web":{}"#).expect_err("it is a JOB");
        assert!(told.len() == 1 && told[0].contains("takes JSON at /fn"), "{told:?}");
    }

    #[test]
    fn pages_call_a_function_that_names_their_origin_and_no_other() {
        let web = |origins: &str| {
            let text = format!(
                r#"{{"name":"a","executionMode":"POOL","endpointUrl":"http://127.0.0.1:1","web":{{"origins":{origins}}}}}"#
            );
            parse_function(text.as_bytes()).expect("valid").web.expect("it has one")
        };
        let one = web(r#"["https://a.example"]"#);
        assert!(one.admits(b"https://a.example") && !one.admits(b"https://b.example") && !one.admits_all());
        assert!(web(r#"["*"]"#).admits_all());
        assert!(!web("[]").admits(b"https://a.example"));
    }
}
