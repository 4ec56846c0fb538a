use super::*;
use crate::spec::parse_function;

const PATH: &str = "examples/x/function.yaml";

fn read(text: &str) -> Vec<FunctionSpec> {
    read_manifests(Path::new(PATH), text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    match read_manifests(Path::new(PATH), text) {
        Err(error) => error.to_string(),
        Ok(functions) => panic!("{text}: {functions:?}"),
    }
}

const WORD_STATS: &str = "\
apiVersion: picofaas.dev/v1
kind: Function
metadata:
  name: word-stats
  labels: {team: a}
  annotations:
    picofaas.dev/note: counts words
spec:
  executionMode: WARM
  image: registry.example/word-stats:1     # what Kubernetes runs
  local:                                   # what the local backend runs
    build: [[\"cargo\", \"build\", \"--release\"]]
    command: [\"./target/release/word-stats\"]
  timeoutMs: 5000
";

#[test]
fn a_manifest_is_the_flat_form_under_spec_with_annotations_and_its_folder() {
    let flat = br#"{"name":"word-stats","executionMode":"WARM","image":"registry.example/word-stats:1",
        "local":{"build":[["cargo","build","--release"]],"command":["./target/release/word-stats"]},
        "timeoutMs":5000}"#;
    let expected = FunctionSpec {
        annotations: [("picofaas.dev/note".to_owned(), "counts words".to_owned())].into(),
        directory: Some("examples/x".into()),
        ..parse_function(flat).unwrap()
    };
    assert_eq!(read(WORD_STATS), [expected]);
}

#[test]
fn several_documents_count_each_and_those_of_others_are_passed_over() {
    let second = WORD_STATS.replace("name: word-stats", "name: other");
    let foreign = "apiVersion: v1\nkind: Service\nspec: {a: 1, a: 2}\n---\n- just\n- a list\n---\nnull\n";
    let text = format!("# comment\n---\n{WORD_STATS}---\n{foreign}---\n---\n{second}");
    let names: Vec<_> = read(&text).into_iter().map(|function| function.name.to_string()).collect();
    assert_eq!(names, ["word-stats", "other"]);
}

#[test]
fn a_file_that_does_not_claim_to_be_ours_is_not_even_parsed() {
    for text in [
        "",
        "{{ if .Values.x }}\napiVersion: v1\n",
        "metadata: {labels: {picofaas.dev/function: f}}\n bad: [indent",
        "apiVersion: apps/v1\nlabels:\n  picofaas.dev/boot: {{ x }}\n",
    ] {
        assert_eq!(read(text), [], "{text}");
    }
    for text in [
        "apiVersion: picofaas.dev/v1",
        "{\"apiVersion\":\n \"picofaas.dev/v1\"}",
        "apiVersion: 'picofaas.dev/v9'",
    ] {
        assert!(claims_to_be_ours(text), "{text}");
    }
}

#[test]
fn a_function_without_its_group_is_a_fault_and_other_documents_are_not() {
    for text in [
        "kind: Function\nmetadata: {name: f}\nspec: {image: i}\n",
        "metadata: {name: f}\nspec: {local: {command: [x]}}\n",
        "metadata: {name: f}\nspec: {executionMode: WARM}\n",
        "apiVersion:\nkind: Function\nmetadata: {name: f}\nspec: {image: i}\n",
    ] {
        assert!(error(text).contains(": apiVersion: is required: picofaas.dev/v1"), "{text}");
    }
    for version in ["v1", "picofaas/v1", "picofaas.dev", "picofaas.dev/v1beta1"] {
        let text =
            format!("apiVersion: {version}\nkind: Function\nmetadata: {{name: f}}\nspec: {{image: i}}\n");
        let told = format!(":1: apiVersion: must be picofaas.dev/v1, is \"{version}\"");
        assert!(error(&text).contains(&told), "{}", error(&text));
    }
    for text in [
        "apiVersion: openfaas.com/v1\nkind: Function\nspec: {image: i}\n",
        "name: package\nkind: Function\n",
        "metadata: {name: f}\nspec: {containers: [], local: \n",
        "kind: Other\nspec: {local: {command: [x]}}\n",
        "services: {local: {image: Function}}\n",
    ] {
        assert_eq!(read(text), [], "{text}");
    }
}

#[test]
fn items_of_lists_count_as_documents() {
    let indented = WORD_STATS.replace('\n', "\n    ");
    let item = format!("  - {}\n", indented.trim_end());
    let others = "  - {apiVersion: v1, kind: Secret}\n";
    for head in
        ["apiVersion: v1\nkind: List", "apiVersion: picofaas.dev/v1\nkind: FunctionList\nmetadata: {}"]
    {
        let text = format!("{head}\nitems:\n{others}{item}");
        assert_eq!(read(&text).len(), 1, "{text}");
        let faulty = text.replace("timeoutMs: 5000", "timeoutMs: 0");
        assert!(error(&faulty).contains(": items[1].spec.timeoutMs: must be between"), "{}", error(&faulty));
    }
}

#[test]
fn every_fault_names_file_line_and_field() {
    let text = "\
apiVersion: picofaas.dev/v1
kind: Function
metadata:
  name: f
spec:
  image: i
  timeoutMs: 0
  env:
    - name: A
      value: 1
    - name: PORT
  replicas:
    min: 1
  image: j
  resources:
    requests:
      cpu: 2
    limits: {cpu: 1}
---
apiVersion: picofaas.dev/v1
kind: Function
metadata: {name: g}
spec:
  executionMode: POOL
";
    assert_eq!(
        error(text).lines().collect::<Vec<_>>(),
        [
            "examples/x/function.yaml:7: spec.timeoutMs: must be between 1 and 86400000 ms, is 0",
            "examples/x/function.yaml:10: spec.env[0].value: must be a string (put it in quotes), is a whole number",
            "examples/x/function.yaml:11: spec.env[1].name: must not be PORT, which is reserved for picofaas and its runtimes",
            "examples/x/function.yaml:12: spec.replicas: is only for executionMode WARM, which is JOB here",
            "examples/x/function.yaml:14: spec.image: is given more than once",
            "examples/x/function.yaml:17: spec.resources.requests.cpu: must not exceed the limit 1, is 2",
            "examples/x/function.yaml:23: spec.endpointUrl: is required with executionMode POOL",
        ]
    );
}

#[test]
fn what_stands_around_the_specification_is_checked_too() {
    for (from, to, says) in [
        (
            "picofaas.dev/v1",
            "picofaas.dev/v2",
            "1: apiVersion: must be picofaas.dev/v1, is \"picofaas.dev/v2\"",
        ),
        ("kind: Function", "kind: Funktion", "2: kind: must be Function, is \"Funktion\""),
        ("kind: Function\n", "", "1: kind: is required: Function"),
        (
            "kind: Function",
            "kind: Function\nmetdata: 1",
            "3: metdata: is not a known field; did you mean metadata?",
        ),
        ("  name: word-stats\n", "", "3: metadata.name: is required"),
        ("labels:", "lables:", "5: metadata.lables: is not a known field; did you mean labels?"),
        (
            "counts words",
            "7",
            "7: metadata.annotations.picofaas.dev/note: must be a string (put it in quotes), is a whole number",
        ),
        ("spec:\n", "spec:\n  name: other\n", "9: spec.name: must be word-stats or absent, is other"),
        (
            "timeoutMs: 5000",
            "timeoutMs: yes",
            "14: spec.timeoutMs: must be a whole number between 1 and 86400000 (ms), is a boolean",
        ),
    ] {
        let text = WORD_STATS.replacen(from, to, 1);
        assert_eq!(error(&text), format!("{PATH}:{says}"), "{from} → {to}");
    }
    let bare = "apiVersion: picofaas.dev/v1\nkind: Function\n";
    assert_eq!(
        error(bare).lines().collect::<Vec<_>>(),
        [
            format!("{PATH}:1: metadata: is required: it holds the name"),
            format!("{PATH}:1: spec: is required")
        ]
    );
}

#[test]
fn a_text_that_is_not_yaml_says_where() {
    let broken = WORD_STATS.replace("kind: Function", "kind: [Function");
    let ManifestError::Syntax { line, message, .. } = read_manifests(Path::new(PATH), &broken).unwrap_err()
    else {
        panic!("not a fault of the notation")
    };
    assert!((2..=4).contains(&line), "{line}");
    assert!(!message.is_empty() && !message.contains(" at line "), "{message}");
}

#[test]
fn anchors_are_read_where_they_are_used() {
    let text = WORD_STATS.replace("timeoutMs: 5000", "timeoutMs: &t 70\n  maxQueueMs: *t");
    let function = read(&text).remove(0);
    assert_eq!((function.timeout_ms, function.max_queue_ms), (70, 70));
}

#[test]
fn a_manifest_in_the_working_folder_has_that_folder() {
    let function = read_manifests(Path::new("function.yaml"), WORD_STATS).unwrap().remove(0);
    assert_eq!(function.directory.as_deref(), Some(Path::new(".")));
}

#[test]
fn merged_fields_are_checked_like_those_that_stand_there() {
    let merged = "spec:\n  <<: {queueSize: 7}\n";
    assert_eq!(read(&WORD_STATS.replace("spec:\n", merged)).remove(0).queue_size, 7);
    let faulty = "spec:\n  <<: {queueSize: 0}\n";
    assert_eq!(
        error(&WORD_STATS.replace("spec:\n", faulty)),
        format!("{PATH}:9: spec.queueSize: must be between 1 and 65536 executions, is 0")
    );
}
