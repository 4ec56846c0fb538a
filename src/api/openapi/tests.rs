//! The document and the code say the same.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::{Value, json};

use super::DOCUMENT;
use crate::api::route::route;
use crate::error::ErrorCode;
use crate::spec::{
    NAME_BYTES_MAX, RESERVED_ENV, SpecError, names_in, number_count, parse_function, parse_function_named,
};

const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];

fn document() -> Value {
    serde_saphyr::from_str(DOCUMENT).expect("openapi.yaml is YAML")
}

fn object(value: &Value) -> &serde_json::Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}"))
}

/// The code with its status and source, as text.
fn line(code: &str, status: impl std::fmt::Display, source: &str) -> String {
    format!("{code} {status} {source}")
}

fn codes() -> BTreeSet<String> {
    ErrorCode::ALL.iter().map(|code| line(code.as_str(), code.status(), code.source().as_str())).collect()
}

#[test]
fn every_error_code_is_in_the_document_with_its_status_and_source_and_no_other_is() {
    let document = document();
    let listed = document["components"]["schemas"]["ErrorCode"]["oneOf"].as_array().expect("a list");
    let described: BTreeSet<String> = listed
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{entry} has no {key}"));
            assert!(text("description").len() > 10, "{entry} is not explained");
            let (status, source) = text("title").split_once(' ').expect("status and source");
            line(text("const"), status, source)
        })
        .collect();
    assert_eq!(described, codes());
    assert_eq!(listed.len(), ErrorCode::ALL.len(), "a code is there twice");
}

#[test]
fn every_error_code_is_in_the_catalogue_with_its_status_and_source_and_no_other_is() {
    let catalogue = include_str!("../../../docs/errors.md");
    let mut described = BTreeSet::new();
    for section in catalogue.split("\n### ").skip(1) {
        let (heading, text) = section.split_once('\n').expect("a section has lines");
        let code = heading.trim_matches('`');
        let facts = text.trim_start().lines().next().unwrap_or_default();
        let (status, rest) = facts.split_once(" · ").unwrap_or_else(|| panic!("{heading}: {facts:?}"));
        let source = rest.split([' ', '.']).next().unwrap_or_default();
        for part in ["**Cause.** ", "**Remedy.** ", "**Message.** "] {
            assert!(text.contains(part), "{heading} has no {part}");
        }
        assert!(described.insert(line(code, status, source)), "{heading} is there twice");
    }
    assert_eq!(described, codes());
}

#[test]
fn every_call_is_in_the_document_and_every_path_of_the_document_leads_to_the_call_of_its_name() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item).iter().filter(|(key, _)| METHODS.contains(&key.as_str())) {
            let method = method.to_uppercase();
            let made = path.replace("{name}", "a").replace("{id}", "b");
            let call = route(&Method::from_bytes(method.as_bytes()).expect("a method"), &made);
            let call = format!("{:?}", call.unwrap_or_else(|error| panic!("{method} {path}: {error:?}")));
            let id = operation["operationId"].as_str().expect("an operationId");
            let name = call.split(['(', ' ']).next().unwrap_or_default();
            assert_eq!(id.to_lowercase(), name.to_lowercase(), "{method} {path}");
            described.insert(format!("{method} {path}"));
        }
    }
    // Each variant of `Call` opens its comment with its method and path.
    let source = include_str!("../call.rs");
    let (_, calls) = source.split_once("pub enum Call").expect("the enum");
    let (calls, _) = calls.split_once("\n}").expect("its end");
    let variants = calls.lines().filter(|line| line.ends_with(',')).count();
    let commented: BTreeSet<String> = calls
        .lines()
        .filter_map(|line| line.trim().strip_prefix("/// `"))
        .filter_map(|line| line.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(
        commented.len(),
        variants,
        "a variant of Call does not say its method and path: {commented:?}"
    );
    assert_eq!(described, commented);
}

#[test]
fn every_operation_says_that_a_web_page_is_refused() {
    let document = document();
    let mut operations = 0;
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item).iter().filter(|(key, _)| METHODS.contains(&key.as_str())) {
            let forbidden = &operation["responses"]["403"];
            let forbidden = match forbidden["$ref"].as_str() {
                Some(place) => document.pointer(place.trim_start_matches('#')).expect("it is there"),
                None => forbidden,
            };
            let said = forbidden["description"].as_str().unwrap_or_default();
            assert!(said.contains("FOREIGN_ORIGIN"), "{method} {path}: {said}");
            operations += 1;
        }
    }
    assert!(operations > 15, "{operations}");
}

/// A function with one more field, or the field set anew; `a.b` is a field of a field.
fn with(path: &str, value: &Value) -> Value {
    let mut function = json!({ "name": "a", "executionMode": "WARM", "image": "i" });
    let mut at = &mut function;
    for key in path.split('.') {
        at = &mut at[key];
    }
    *at = value.clone();
    function
}

/// Whether the registry finds no error that is this field's own.
fn is_taken(path: &str, value: &Value) -> bool {
    match parse_function(with(path, value).to_string().as_bytes()) {
        Ok(_) => true,
        Err(SpecError::Fields(errors)) => {
            // A rule between fields may be broken by a number that is in its range.
            errors.0.iter().all(|error| {
                error.field != path || error.message.contains("exceed") || error.message.contains("at least")
            })
        }
        Err(error) => panic!("{path}: {error}"),
    }
}

/// Every number below a schema: its path and its schema.
fn numbers<'d>(schema: &'d Value, path: &str, found: &mut Vec<(String, &'d Value)>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if property["type"] == json!(["integer", "null"]) {
            found.push((path, property));
        } else {
            numbers(property, &path, found);
        }
    }
}

/// Numbers that follow another field where they are left out, which no `default` can say, or that mean nothing then.
const HAVE_NO_DEFAULT: [&str; 6] = [
    "attemptTimeoutMs",
    "headroom",
    "instanceConcurrency",
    "standby.max",
    "web.maxStreamMs",
    "web.maxBodyBytes",
];

#[test]
fn the_ranges_and_defaults_of_the_document_are_those_of_the_registry() {
    let document = document();
    let mut found = Vec::new();
    numbers(&document["components"]["schemas"]["FunctionSpec"], "", &mut found);
    assert_eq!(found.len(), number_count(), "{found:?}");
    let plain = parse_function(with("image", &"i".into()).to_string().as_bytes()).expect("it is valid");
    let plain = serde_json::to_value(&plain).expect("it can be written");
    let with_standby = parse_function(br#"{"name":"a","image":"i","standby":{}}"#).expect("it is valid");
    let with_standby = serde_json::to_value(&with_standby).expect("it can be written");
    let with_web = parse_function(br#"{"name":"a","executionMode":"WARM","image":"i","web":{}}"#);
    let with_web = serde_json::to_value(with_web.expect("it is valid")).expect("it can be written");
    for (path, schema) in found {
        let bound = |key: &str| schema[key].as_i64().unwrap_or_else(|| panic!("{path} has no {key}"));
        for (value, taken) in [
            (bound("minimum"), true),
            (bound("minimum") - 1, false),
            (bound("maximum"), true),
            (bound("maximum") + 1, false),
        ] {
            assert_eq!(is_taken(&path, &value.into()), taken, "{path}: {value}");
        }
        if !HAVE_NO_DEFAULT.contains(&path.as_str()) {
            let pointer = format!("/{}", path.replace('.', "/"));
            let of = match path.split_once('.') {
                Some(("standby", _)) => &with_standby,
                Some(("web", _)) => &with_web,
                Some(_) | None => &plain,
            };
            assert_eq!(of.pointer(&pointer), Some(&schema["default"]), "{path}");
        }
    }
}

#[test]
fn the_fields_of_a_function_are_those_that_the_registry_knows() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let spec = &schemas["FunctionSpec"];
    let known: BTreeSet<&str> = names_in("").into_iter().collect();
    let described: BTreeSet<&str> = object(&spec["properties"]).keys().map(String::as_str).collect();
    assert_eq!(described, known);
    let name = &spec["properties"]["env"]["items"]["properties"]["name"];
    assert_eq!(name["not"]["enum"], json!(RESERVED_ENV));
    assert_eq!(schemas["FunctionName"]["maxLength"], NAME_BYTES_MAX);
}

#[test]
fn null_counts_as_left_out_for_every_field_as_the_document_says() {
    let document = document();
    for (field, schema) in object(&document["components"]["schemas"]["FunctionSpec"]["properties"]) {
        let says_null = schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
            || schema["anyOf"].as_array().is_some_and(|any| any.contains(&json!({ "type": "null" })))
            || schema["enum"].as_array().is_some_and(|values| values.contains(&Value::Null));
        assert!(says_null, "{field}");
        let mut body =
            json!({ "name": null, "executionMode": "WARM", "image": "i", "local": { "command": ["c"] } });
        body[field] = Value::Null;
        assert!(parse_function_named("a", body.to_string().as_bytes()).is_ok(), "{field}");
    }
}
