use super::*;

const FUNCTION: &str = "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {name: a}\nspec: {image: i}\n";

fn read(text: &str) -> Result<Vec<ManifestFunction>, String> {
    read_text("f.yaml", Path::new("/here"), text, true).map_err(|error| error.to_string())
}

fn names(functions: &[ManifestFunction]) -> Vec<&str> {
    functions.iter().map(|function| function.name.as_str()).collect()
}

#[test]
fn documents_lists_and_json_are_read_and_documents_of_others_passed_over() {
    let text = format!(
        "{FUNCTION}---\napiVersion: v1\nkind: ConfigMap\n---\n{}---\napiVersion: v1\nkind: List\nitems:\n- \
         {{apiVersion: picofaas.dev/v1, kind: Function, metadata: {{name: c, labels: {{x: y}}}}, spec: {{}}, status: {{}}}}\n",
        FUNCTION.replace("name: a", "name: b")
    );
    assert_eq!(names(&read(&text).unwrap()), ["a", "b", "c"]);
    let json = r#"{"apiVersion":"picofaas.dev/v1","kind":"FunctionList","items":[{"apiVersion":"picofaas.dev/v1","kind":"Function","metadata":{"name":"a"},"spec":{"timeoutMs":5}}]}"#;
    let functions = read(json).unwrap();
    assert_eq!(serde_json::to_string(&functions[0].spec).unwrap(), r#"{"timeoutMs":5}"#);
}

#[test]
fn a_fault_names_the_file_the_field_and_what_it_may_be() {
    for (from, to, part) in [
        (
            "picofaas.dev/v1",
            "picofaas.dev/v2",
            "f.yaml: apiVersion must be picofaas.dev/v1, is \"picofaas.dev/v2\"",
        ),
        ("picofaas.dev/v1", "v1", "f.yaml: apiVersion must be picofaas.dev/v1"),
        ("kind: Function", "kind: Funktion", "f.yaml: kind must be Function, is \"Funktion\""),
        ("name: a", "nam: a", "f.yaml: metadata.name is required"),
        ("name: a", "name: A_b", "f.yaml: metadata.name \"A_b\" is no name of a function"),
        ("spec: {image: i}", "specs: {}", "f.yaml: specs is not a known field"),
        ("spec: {image: i}", "", "f.yaml: spec is required"),
        ("spec: {image: i}", "spec: 7", "f.yaml: spec must be an object"),
        ("{image: i}", "{", "f.yaml: is neither YAML nor JSON"),
        ("{image: i}", "{image: i, image: j}", "f.yaml: is neither YAML nor JSON: duplicate"),
        ("apiVersion: picofaas.dev/v1\nkind: Function", "kind: Pod", "f.yaml: has no function: it has Pod"),
        (FUNCTION, "", "f.yaml: has no function; one has `apiVersion"),
    ] {
        let message = read(&FUNCTION.replace(from, to)).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_program_beside_the_manifest_is_named_whole_and_any_other_stays() {
    for (program, wanted) in [
        ("./run", "/here/run"),
        ("../bin/run", "/here/../bin/run"),
        ("/bin/sh", "/bin/sh"),
        ("python3", "python3"),
    ] {
        let text = FUNCTION.replace("image: i", &format!("local: {{command: ['{program}', ./x]}}"));
        let spec = serde_json::to_string(&read(&text).unwrap()[0].spec).unwrap();
        assert_eq!(spec, format!(r#"{{"local":{{"command":["{wanted}","./x"]}}}}"#));
    }
}

#[test]
fn a_folder_has_its_manifests_in_order_and_those_below_it_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("2.yml", &FUNCTION.replace("name: a", "name: b"));
    write("1.yaml", FUNCTION);
    write("template.yaml", "{{ if }}");
    write("target/1.yaml", FUNCTION);
    write(".hidden/1.yaml", FUNCTION);
    write("notes.txt", "apiVersion: picofaas.dev/v1");
    write(
        "below/3.json",
        r#"{"apiVersion":"picofaas.dev/v1","kind":"Function","metadata":{"name":"c"},"spec":{}}"#,
    );
    let paths = [folder.path().to_owned()];
    assert_eq!(names(&read_all(&paths, false).unwrap()), ["a", "b"]);
    assert_eq!(names(&read_all(&paths, true).unwrap()), ["a", "b", "c"]);
    let twice = [folder.path().join("1.yaml"), folder.path().to_owned()];
    let message = read_all(&twice, false).unwrap_err().to_string();
    assert!(message.contains("1.yaml: defines the function a, which"), "{message}");
    let message = read_all(&[folder.path().join("no.yaml")], false).unwrap_err().to_string();
    assert!(message.contains("no.yaml: cannot be read: No such file"), "{message}");
}
