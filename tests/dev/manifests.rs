//! Manifests that are named, and manifests in other forms.

use crate::support::Folder;

#[test]
fn a_named_file_without_a_function_says_what_is_in_it() {
    let folder = Folder::new();
    let no_version = "kind: Function\nmetadata: {name: a}\nspec: {local: {command: [x]}}\n";
    let other_kind = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    for (text, told) in [
        (no_version, ":1: apiVersion: is required: picofaas.dev/v1"),
        (
            "metadata: {name: a}\nspec: {local: {command: [x]}}\n",
            ":1: apiVersion: is required: picofaas.dev/v1",
        ),
        (other_kind, ":1: v1 ConfigMap is no function"),
        ("", "there is no function in it"),
        ("just: text\n", ":1: it is no function"),
        (
            "apiVersion: picofaas/v1\nkind: Function\nmetadata: {name: a}\nspec: {image: i}\n",
            ":1: apiVersion: must be picofaas.dev/v1",
        ),
        (
            "apiVersion: picofaas.dev/v1\nkind: Fuction\nmetadata: {name: a}\nspec: {image: i}\n",
            ":2: kind: must be Function",
        ),
        ("apiVersion: v1\nkind: List\nitems: []\n", "there is no function in it"),
        ("{not: [yaml", "is not YAML"),
    ] {
        folder.write("named.yaml", text);
        let mut dev = folder.dev_of("named.yaml");
        let line = dev.line("named.yaml");
        assert!(line.contains(told), "{text}: {line}");
    }
}

#[test]
fn functions_of_lists_json_and_several_documents_are_all_served() {
    let folder = Folder::new();
    let item = |name: &str| {
        serde_json::json!({"apiVersion": "picofaas.dev/v1", "kind": "Function", "metadata": {"name": name},
            "spec": {"executionMode": "JOB", "local": {"command": ["true"]}}})
    };
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [item("a"), item("b")]});
    folder.write("list.yaml", &list.to_string());
    folder.write("one.json", &item("c").to_string());
    let own =
        serde_json::json!({"apiVersion": "picofaas.dev/v1", "kind": "FunctionList", "items": [item("d")]});
    folder.write("several.yaml", &format!("{}\n---\n{own}\n---\nkind: Secret\napiVersion: v1\n", item("e")));
    folder.write("package.json", "{\"name\": \"other\", \"kind\": \"Function\"}");
    let mut dev = folder.dev();
    dev.line("all 5 functions are served");
    let mut dev = folder.dev_of("several.yaml");
    dev.line("several.yaml:5: v1 Secret is no function and is passed over");
    dev.line("all 2 functions are served");
}
