//! The definition of the resource in `k8s/` and this reader say the same: tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    InvalidName, ManifestError, NAME_BYTES_MAX, RESERVED_ENV, Replicas, SpecError, names_in, number_count,
    parse_function, read_manifests,
};

/// The schema of a Function.
fn schema() -> Value {
    let text = include_str!("../../k8s/10-crd.yaml");
    let definition: Value = serde_saphyr::from_str(text).expect("the definition is YAML");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn spec() -> Value {
    schema()["properties"]["spec"].clone()
}

/// Every number below a schema: its path and its schema.
fn numbers<'d>(schema: &'d Value, path: &str, found: &mut Vec<(String, &'d Value)>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if property["type"] == "integer" {
            found.push((path, property));
        } else {
            numbers(property, &path, found);
        }
    }
}

/// Whether the reader finds no error in a number that is the number's own.
fn is_taken(path: &str, value: i64) -> bool {
    let mut function = json!({ "name": "a", "executionMode": "WARM", "image": "i" });
    function[path.split('.').next().expect("a path has a first part")] = match path.split_once('.') {
        Some((_, inner)) => json!({ inner: value }),
        None => value.into(),
    };
    match parse_function(function.to_string().as_bytes()) {
        Ok(_) => true,
        // A rule between fields may be broken by a number that is in its range.
        Err(SpecError::Fields(errors)) => errors.0.iter().all(|error| {
            error.field != path || error.message.contains("exceed") || error.message.contains("at least")
        }),
        Err(error) => panic!("{path}: {error}"),
    }
}

#[test]
fn the_fields_of_the_definition_are_those_of_the_reader_and_each_is_explained() {
    let spec = spec();
    let described = spec["properties"].as_object().expect("fields");
    let known: BTreeSet<&str> = names_in("").into_iter().filter(|field| *field != "status").collect();
    assert_eq!(described.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    for (field, schema) in described {
        assert!(schema["description"].as_str().is_some_and(|text| text.len() > 10), "{field}");
    }
}

/// Numbers that follow another field where they are left out, which no `default` can say, or are no limit then.
const HAVE_NO_DEFAULT: [&str; 6] = [
    "attemptTimeoutMs",
    "instanceConcurrency",
    "headroom",
    "standby.max",
    "web.maxStreamMs",
    "web.maxBodyBytes",
];

#[test]
fn the_ranges_and_defaults_of_the_definition_are_those_of_the_reader() {
    let spec = spec();
    let mut found = Vec::new();
    numbers(&spec, "", &mut found);
    assert_eq!(found.len(), number_count(), "{found:?}");
    let plain = parse_function(br#"{"name":"a","executionMode":"WARM","image":"i"}"#).expect("it is valid");
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
            assert_eq!(is_taken(&path, value), taken, "{path}: {value}");
        }
        let follows = HAVE_NO_DEFAULT.contains(&path.as_str());
        let plain = match path.split_once('.') {
            Some(("standby", _)) => &with_standby,
            Some(("web", _)) => &with_web,
            Some(_) | None => &plain,
        };
        let default = plain.pointer(&format!("/{}", path.replace('.', "/")));
        assert_eq!(schema.get("default"), default.filter(|_| !follows), "{path}");
    }
    assert_eq!(spec["properties"]["executionMode"]["default"], "JOB");
    let rule = &spec["properties"]["replicas"]["x-kubernetes-validations"][0]["rule"];
    let Replicas { min, max } = Replicas::default();
    let expected = format!("(has(self.min) ? self.min : {min}) <= (has(self.max) ? self.max : {max})");
    assert_eq!(*rule, expected);
}

#[test]
fn names_and_reserved_variables_are_those_of_the_reader() {
    let schema = schema();
    let rule = &schema["x-kubernetes-validations"][0];
    assert_eq!(rule["message"], format!("metadata.name {InvalidName}"));
    let pattern = format!("'^[a-z]([-a-z0-9]{{0,{}}}[a-z0-9])?$'", NAME_BYTES_MAX - 2);
    assert!(rule["rule"].as_str().is_some_and(|rule| rule.contains(&pattern)), "{rule}");

    let spec = spec();
    let rule = &spec["properties"]["env"]["items"]["properties"]["name"]["x-kubernetes-validations"][0];
    let quoted: Vec<&str> = rule["rule"].as_str().expect("a rule").split('\'').skip(1).step_by(2).collect();
    assert_eq!(quoted, RESERVED_ENV);
    let named = rule["message"].as_str().expect("a message");
    assert!(named.ends_with(&RESERVED_ENV.join(", ")), "{named}");
}

/// The functions of tests, by their paths.
fn functions(kind: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/functions").join(kind);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(&path).expect("a file can be read"));
    entries.map(|entry| read(entry.expect("an entry").path())).collect()
}

/// The API server's own checks are a test of `cargo xtask test --only manifests`, and one on a cluster.
#[test]
fn the_reader_takes_and_refuses_the_functions_that_the_definition_does() {
    let (valid, invalid) = (functions("valid"), functions("invalid"));
    assert!(valid.len() >= 8 && invalid.len() >= 30, "{} and {}", valid.len(), invalid.len());
    for (path, text) in valid {
        let functions = read_manifests(&path, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(functions.len(), 1, "{}", path.display());
    }
    for (path, text) in invalid {
        let read = read_manifests(&path, &text);
        assert!(matches!(read, Err(ManifestError::Fields { .. })), "{}: {read:?}", path.display());
    }
}
