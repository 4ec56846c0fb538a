//! `k8s/` as a base of kustomize, and what each overlay makes of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::stage::kubectl;

/// The page that shows an overlay of a reader's own.
const PAGE: &str = include_str!("../../docs/kubernetes.md");

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The objects that kubectl would create, by kind and name.
fn objects(flag: &str, folder: &str) -> BTreeMap<String, Value> {
    let folder = format!("{ROOT}/{folder}");
    let text = kubectl(&["create", "--dry-run=client", "--output=json", flag, &folder]);
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
    let items = documents.flat_map(|document| match document["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![document],
    });
    let name = |object: &Value| {
        let words = [&object["kind"], &object["metadata"]["name"]];
        words.map(|word| word.as_str().unwrap()).join("/")
    };
    items.map(|object| (name(&object), object)).collect()
}

/// The names of the objects that differ, or that only one of the two has.
fn different(one: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>) -> Vec<String> {
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

fn container(objects: &BTreeMap<String, Value>) -> &Value {
    &objects["Deployment/picofaas"]["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn the_folder_and_the_base_of_kustomize_are_the_same_objects() {
    let folder = objects("--filename", "k8s/");
    assert_eq!(folder.len(), 11, "{:?}", folder.keys());
    assert_eq!(different(&folder, &objects("--kustomize", "k8s/")), Vec::<String>::new());
}

#[test]
fn each_overlay_changes_what_it_says_and_nothing_else() {
    let base = objects("--kustomize", "k8s/");
    let spin = objects("--kustomize", "kustomize/spin");
    let dev = objects("--kustomize", "kustomize/dev");
    let no_policy = objects("--kustomize", "kustomize/no-network-policy");
    assert_eq!(different(&base, &spin), ["Deployment/picofaas"]);
    assert_eq!(different(&base, &dev), ["Deployment/picofaas"]);
    assert_eq!(different(&base, &no_policy), ["NetworkPolicy/picofaas", "NetworkPolicy/picofaas-functions"]);
    assert_eq!(no_policy.len(), base.len() - 2);

    let mut wanted = container(&base).clone();
    wanted["args"].as_array_mut().unwrap().push("--scheduler=spin".into());
    for class in ["requests", "limits"] {
        wanted["resources"][class]["cpu"] = "4".into();
    }
    assert_eq!(*container(&spin), wanted);

    let mut wanted = container(&base).clone();
    wanted["args"].as_array_mut().unwrap().extend(["--scheduler=park".into(), "--allow-writes".into()]);
    wanted["resources"]["requests"] = json!({ "cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi" });
    wanted["resources"]["limits"].as_object_mut().unwrap().remove("cpu");
    assert_eq!(*container(&dev), wanted);
}

#[test]
fn the_overlay_of_the_documentation_sets_the_image_of_another_registry_and_nothing_else() {
    let (_, behind) = PAGE.split_once("```yaml\napiVersion: kustomize").expect("the page has an overlay");
    let (overlay, _) = behind.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(ROOT, folder.path().join("picofaas")).unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("kustomization.yaml"), format!("apiVersion: kustomize{overlay}")).unwrap();

    let spin = kubectl(&["kustomize", &format!("{ROOT}/kustomize/spin")]);
    assert_eq!(spin.matches("picofaas.invalid/").count(), 1, "{spin}");
    let wanted = spin.replace("picofaas.invalid/", "registry.example/picofaas/");
    assert_eq!(kubectl(&["kustomize", own.to_str().unwrap()]), wanted);
}
