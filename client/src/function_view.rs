//! A function as the API answers it, and the forms in which it is shown.

use serde::Deserialize;

use crate::ordered_value::OrderedValue;
use crate::output::Colour;
use crate::table::{Cell, Table};

/// `apiVersion` of a manifest.
pub(crate) const API_VERSION: &str = "picofaas.dev/v1";
/// `kind` of a manifest.
pub(crate) const KIND: &str = "Function";
/// `kind` of several.
pub(crate) const LIST_KIND: &str = "FunctionList";

/// The fields that are shown in tables. A server may have more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionView {
    /// Its name.
    pub name: String,
    /// `JOB`, `WARM` or `POOL`.
    pub execution_mode: String,
    /// Image of its pods.
    pub image: Option<String>,
    /// Its program on the server's machine.
    pub local: Option<LocalView>,
    /// Where it already listens: one URL or several.
    pub endpoint_url: Option<OrderedValue>,
    /// Milliseconds.
    pub timeout_ms: u64,
    /// Attempts in flight.
    pub concurrency: u64,
    /// Executions that may wait.
    pub queue_size: u64,
    /// Attempts after the first.
    pub max_retries: u64,
    /// How many instances it may have.
    pub replicas: Option<ReplicasView>,
    /// How many single-use instances may be ready.
    pub standby: Option<ReplicasView>,
    /// How it stands.
    pub status: StatusView,
}

/// A program.
#[derive(Debug, Deserialize)]
pub(crate) struct LocalView {
    /// Program and arguments.
    pub command: Vec<String>,
}

/// Bounds of the number of instances.
#[derive(Debug, Deserialize)]
pub(crate) struct ReplicasView {
    /// Instances that stay.
    pub min: u64,
    /// Instances that it may grow to.
    pub max: u64,
}

/// How a function stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusView {
    /// Instances that start or run.
    #[serde(default)]
    pub replicas: u64,
    /// Instances that are granted work.
    #[serde(default)]
    pub ready: u64,
    /// Executions that wait; an object of a cluster does not have it.
    pub queued: Option<u64>,
    /// Attempts in flight; an object of a cluster does not have it.
    pub in_flight: Option<u64>,
    /// Backend that gives it its instances: `processes`, `pods` or `endpoints`; an object of a cluster does not have it.
    pub backend: Option<String>,
    /// Its single-use instances, where it has such; an object of a cluster does not have it.
    pub standby: Option<StandbyView>,
    /// Statements about it.
    #[serde(default)]
    pub conditions: Vec<ConditionView>,
}

/// Single-use instances.
#[derive(Debug, Deserialize)]
pub(crate) struct StandbyView {
    /// Instances that wait for an execution.
    pub ready: u64,
    /// Instances that are to be ready.
    pub target: u64,
}

/// A condition.
#[derive(Debug, Deserialize)]
pub(crate) struct ConditionView {
    /// Such as `Ready`.
    pub r#type: String,
    /// `True` or `False`.
    pub status: String,
    /// A word.
    pub reason: String,
    /// A sentence.
    #[serde(default)]
    pub message: String,
}

impl FunctionView {
    /// One word for its conditions, the worst first, and its colour.
    pub(crate) fn standing(&self) -> (&'static str, Colour) {
        let is = |kind: &str, status: &str| {
            self.status
                .conditions
                .iter()
                .any(|condition| condition.r#type == kind && condition.status == status)
        };
        if is("Valid", "False") {
            ("Invalid", Colour::Red)
        } else if is("Degraded", "True") {
            ("Degraded", Colour::Red)
        } else if is("Progressing", "True") {
            ("Progressing", Colour::Yellow)
        } else if is("Ready", "True") {
            ("Ready", Colour::Green)
        } else {
            ("NotReady", Colour::Yellow)
        }
    }

    /// Image or program that it runs, or where it listens. A function may have both, of which its backend runs one.
    pub(crate) fn source(&self) -> String {
        let is_local = self.status.backend.as_deref() == Some("processes");
        let image = self.image.as_ref().filter(|_| !(is_local && self.local.is_some()));
        match (&self.endpoint_url, image, &self.local) {
            (Some(OrderedValue::List(urls)), _, _) => {
                urls.iter().filter_map(OrderedValue::as_text).collect::<Vec<_>>().join(",")
            }
            (Some(url), _, _) => url.as_text().unwrap_or_default().to_owned(),
            (None, Some(image), _) => image.clone(),
            (None, None, Some(local)) => local.command.join(" "),
            (None, None, None) => String::new(),
        }
    }
}

/// A number, or `-` where it is not known.
pub(crate) fn shown_count(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

/// The table of functions.
pub(crate) fn table(functions: &[FunctionView], is_wide: bool) -> Table {
    let mut headings = vec!["NAME", "MODE", "READY", "QUEUED", "IN-FLIGHT", "STATUS"];
    if is_wide {
        headings.extend(["TIMEOUT", "CONCURRENCY", "RETRIES", "SOURCE"]);
    }
    let mut table = Table::new(&headings);
    for function in functions {
        let status = &function.status;
        let (standing, colour) = function.standing();
        let mut row: Vec<Cell> = vec![
            function.name.as_str().into(),
            function.execution_mode.as_str().into(),
            // A JOB has a process for each attempt, and none that is ready.
            match function.execution_mode.as_str() {
                "JOB" => "-".into(),
                _ => format!("{}/{}", status.ready, status.replicas).into(),
            },
            shown_count(status.queued).into(),
            shown_count(status.in_flight).into(),
            Cell::coloured(standing, Some(colour)),
        ];
        if is_wide {
            row.push(format!("{}ms", function.timeout_ms).into());
            row.push(function.concurrency.to_string().into());
            row.push(function.max_retries.to_string().into());
            row.push(function.source().into());
        }
        table.row(row);
    }
    table
}

/// A function of the API as a manifest, which `apply -f` takes.
pub(crate) fn manifest(function: OrderedValue) -> OrderedValue {
    let OrderedValue::Object(fields) = function else { return function };
    let (mut name, mut status, mut spec) = (OrderedValue::Null, None, Vec::new());
    for (key, value) in fields {
        match key.as_str() {
            "name" => name = value,
            "status" => status = Some(value),
            _ => spec.push((key, value)),
        }
    }
    let mut manifest = vec![
        ("apiVersion".to_owned(), OrderedValue::text(API_VERSION)),
        ("kind".to_owned(), OrderedValue::text(KIND)),
        ("metadata".to_owned(), OrderedValue::object([("name", name)])),
        ("spec".to_owned(), OrderedValue::Object(spec)),
    ];
    manifest.extend(status.map(|status| ("status".to_owned(), status)));
    OrderedValue::Object(manifest)
}

/// Several functions as one manifest.
pub(crate) fn manifest_list(functions: Vec<OrderedValue>) -> OrderedValue {
    OrderedValue::object([
        ("apiVersion", OrderedValue::text(API_VERSION)),
        ("kind", OrderedValue::text(LIST_KIND)),
        ("items", OrderedValue::List(functions.into_iter().map(manifest).collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(conditions: &str) -> FunctionView {
        let text = format!(
            r#"{{"name":"a","executionMode":"POOL","endpointUrl":["http://x/","http://y/"],"timeoutMs":5000,
            "concurrency":8,"queueSize":100,"maxRetries":1,"new":1,"status":{{"replicas":2,"ready":1,"queued":3,
            "inFlight":4,"conditions":[{conditions}]}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_worst_condition_is_the_standing() {
        let condition = |kind, status| format!(r#"{{"type":"{kind}","status":"{status}","reason":"R"}}"#);
        let (ready, not_ready) = (condition("Ready", "True"), condition("Ready", "False"));
        assert_eq!(function(&ready).standing().0, "Ready");
        assert_eq!(function(&not_ready).standing().0, "NotReady");
        assert_eq!(function("").standing().0, "NotReady");
        for (kind, status, word) in [
            ("Progressing", "True", "Progressing"),
            ("Degraded", "True", "Degraded"),
            ("Valid", "False", "Invalid"),
        ] {
            assert_eq!(function(&format!("{ready},{}", condition(kind, status))).standing().0, word);
        }
    }

    #[test]
    fn the_wide_table_has_what_a_function_runs() {
        let functions = [function(r#"{"type":"Ready","status":"True","reason":"R"}"#)];
        assert_eq!(
            table(&functions, false).render(false),
            "NAME   MODE   READY   QUEUED   IN-FLIGHT   STATUS\na      POOL   1/2     3        4           Ready\n"
        );
        assert!(
            table(&functions, true)
                .render(false)
                .ends_with("Ready    5000ms    8             1         http://x/,http://y/\n")
        );
    }

    #[test]
    fn a_function_with_an_image_and_a_program_is_shown_with_the_one_that_runs() {
        let source = |backend: &str| {
            let text = format!(
                r#"{{"name":"a","executionMode":"WARM","image":"i:1","local":{{"command":["./p","-x"]}},
                "timeoutMs":5,"concurrency":1,"queueSize":1,"maxRetries":1,"status":{{{backend}}}}}"#
            );
            serde_json::from_str::<FunctionView>(&text).unwrap().source()
        };
        assert_eq!(source(r#""backend":"processes""#), "./p -x");
        assert_eq!(source(r#""backend":"pods""#), "i:1");
        assert_eq!(source(""), "i:1", "an object of a cluster");
    }

    #[test]
    fn a_manifest_has_the_name_outside_and_all_fields_below_spec_in_their_order() {
        let function = r#"{"name":"a","timeoutMs":5,"executionMode":"JOB","status":{"ready":0}}"#;
        let manifest = manifest(serde_json::from_str(function).unwrap());
        assert_eq!(
            serde_json::to_string(&manifest).unwrap(),
            r#"{"apiVersion":"picofaas.dev/v1","kind":"Function","metadata":{"name":"a"},"spec":{"timeoutMs":5,"executionMode":"JOB"},"status":{"ready":0}}"#
        );
    }
}
