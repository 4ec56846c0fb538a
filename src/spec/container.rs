//! The fields that describe a container or a process, as in a pod.

use std::collections::HashSet;

use super::bounds::{
    CPU_MILLICORES_MAX, CPU_MILLICORES_MIN, CPU_REQUEST_DEFAULT, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN,
    MEMORY_REQUEST_DEFAULT,
};
use super::field_errors::Findings;
use super::object::{Field, Object};
use super::{Local, Quantity, ResourceList, Resources};
use crate::error::excerpt;

/// Longest reference of an image, in bytes: a registry's host and port, a path of 255, a tag of 128
/// and a digest fit into it.
const IMAGE_BYTES_MAX: usize = 1_024;

/// Longest name of a Kubernetes object, in bytes.
const OBJECT_NAME_BYTES_MAX: usize = 253;

/// Reads `image`.
pub(super) fn image(spec: &Object<'_>, findings: &mut Findings) -> Option<String> {
    let field = spec.get("image")?;
    let image = field.filled_text(findings)?;
    if image.len() > IMAGE_BYTES_MAX || !image.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!(
            "must be an image reference of at most {IMAGE_BYTES_MAX} visible ASCII characters, is \"{}\"",
            excerpt(image)
        );
        field.error(findings, message);
        return None;
    }
    Some(image.to_owned())
}

/// Reads a list of strings that may be empty, such as `args`.
pub(super) fn words(spec: &Object<'_>, key: &str, findings: &mut Findings) -> Vec<String> {
    let items = spec.get(key).and_then(|field| field.list("strings", findings)).unwrap_or_default();
    items.iter().filter_map(|item| item.text(findings)).map(str::to_owned).collect()
}

/// Reads `imagePullSecrets`.
pub(super) fn image_pull_secrets(spec: &Object<'_>, findings: &mut Findings) -> Vec<String> {
    let field = spec.get("imagePullSecrets");
    let items = field.and_then(|field| field.list("objects {name}", findings)).unwrap_or_default();
    items.iter().filter_map(|item| secret_name(item, findings)).collect()
}

fn secret_name(item: &Field<'_>, findings: &mut Findings) -> Option<String> {
    object_name(&item.object(&["name"], findings)?, "a secret", findings)
}

/// Reads `secrets`: each is mounted once.
pub(super) fn secrets(spec: &Object<'_>, findings: &mut Findings) -> Vec<String> {
    let field = spec.get("secrets");
    let items = field.and_then(|field| field.list("names of secrets", findings)).unwrap_or_default();
    let mut seen = HashSet::new();
    let mut secrets = Vec::with_capacity(items.len());
    for item in &items {
        let Some(name) = object_name_in(item, "a secret", findings) else { continue };
        if seen.insert(name.clone()) {
            secrets.push(name);
        } else {
            item.error(findings, format!("names {name} a second time"));
        }
    }
    secrets
}

/// Reads the `name` of a reference to an object of Kubernetes.
pub(super) fn object_name(reference: &Object<'_>, what: &str, findings: &mut Findings) -> Option<String> {
    let Some(field) = reference.get("name") else {
        reference.fault_at("name", findings, "is required");
        return None;
    };
    object_name_in(&field, what, findings)
}

/// Reads the name of an object of Kubernetes; `what` it is goes into the error.
pub(super) fn object_name_in(field: &Field<'_>, what: &str, findings: &mut Findings) -> Option<String> {
    let name = field.text(findings)?;
    if !is_object_name(name) {
        let message = format!(
            "must be the name of {what}: lower-case letters, digits, - and ., is \"{}\"",
            excerpt(name)
        );
        field.error(findings, message);
        return None;
    }
    Some(name.to_owned())
}

/// Whether Kubernetes takes this as the name of an object (a DNS subdomain).
#[must_use]
pub(crate) fn is_object_name(name: &str) -> bool {
    let label = |label: &str| {
        let made_of = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        made_of && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= OBJECT_NAME_BYTES_MAX && name.split('.').all(label)
}

/// Reads `resources` and fills in the default requests, which give way to a smaller limit.
pub(super) fn resources(spec: &Object<'_>, findings: &mut Findings) -> Resources {
    let given = spec.get("resources").and_then(|field| field.object(&["requests", "limits"], findings));
    let mut read = |key| {
        let object = given.as_ref()?.get(key)?.any_object(findings)?;
        let amounts = amounts(&object, findings);
        Some((object, amounts))
    };
    let requests = read("requests");
    let limits = read("limits").map(|(_, amounts)| amounts).unwrap_or_default();
    if let Some((object, amounts)) = &requests {
        for (resource, request) in amounts.iter() {
            if let Some(limit) = limits.get(resource).filter(|limit| request.exceeds(limit)) {
                object.fault_at(
                    resource,
                    findings,
                    format!("must not exceed the limit {limit}, is {request}"),
                );
            }
        }
    }
    let mut requests = requests.map(|(_, amounts)| amounts).unwrap_or_default();
    for (resource, default) in [("cpu", CPU_REQUEST_DEFAULT), ("memory", MEMORY_REQUEST_DEFAULT)] {
        if requests.get(resource).is_none() {
            let default: Quantity = default.parse().expect("the default is a quantity, which a test shows");
            let request = limits.get(resource).map_or(default.clone(), |limit| default.smaller(limit));
            requests.0.insert(resource.to_owned(), request);
        }
    }
    Resources { requests, limits }
}

/// Reads what is asked for or allowed, by resource.
fn amounts(object: &Object<'_>, findings: &mut Findings) -> ResourceList {
    let mut amounts = ResourceList::default();
    for (resource, field) in object.fields() {
        let range = match resource {
            "cpu" | "memory" => Some(resource),
            // Other resources that a node may count, by the form of the name; the rest are slips.
            "ephemeral-storage" => None,
            _ if resource.starts_with("hugepages-") || resource.contains('/') => None,
            _ => {
                let known = "cpu, memory, ephemeral-storage, hugepages-<size> or <domain>/<resource>";
                field.error(findings, format!("is not a known resource: {known}"));
                continue;
            }
        };
        let Some(text) = field.text_or_number(findings) else { continue };
        let quantity = match text.parse::<Quantity>() {
            Ok(quantity) => quantity,
            Err(error) => {
                field.error(findings, format!("{error}; is \"{}\"", excerpt(&text)));
                continue;
            }
        };
        if let Some(message) = range.and_then(|resource| out_of_range(resource, &quantity)) {
            field.error(findings, message);
            continue;
        }
        amounts.0.insert(resource.to_owned(), quantity);
    }
    amounts
}

fn out_of_range(resource: &str, quantity: &Quantity) -> Option<String> {
    let (within, range) = if resource == "cpu" {
        let within = (CPU_MILLICORES_MIN..=CPU_MILLICORES_MAX).contains(&quantity.milli());
        (within, format!("between {CPU_MILLICORES_MIN}m and {} cores", CPU_MILLICORES_MAX / 1_000))
    } else {
        let within = (MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(&quantity.units());
        (within, format!("between {}Mi and {}Ti bytes", MEMORY_BYTES_MIN >> 20, MEMORY_BYTES_MAX >> 40))
    };
    (!within).then(|| format!("must be {range}, is {quantity}"))
}

/// Reads `local`.
pub(super) fn local(spec: &Object<'_>, findings: &mut Findings) -> Option<Local> {
    let object = spec.get("local")?.object(&["build", "command", "directory"], findings)?;
    let steps = object.get("build").and_then(|field| field.list("commands", findings)).unwrap_or_default();
    let build = steps.iter().filter_map(|step| command_line(step, findings)).collect();
    let Some(field) = object.get("command") else {
        object.fault_at("command", findings, "is required: the program and its arguments");
        return None;
    };
    let directory = object.get("directory").and_then(|field| absolute_path(&field, findings));
    Some(Local { build, command: command_line(&field, findings)?, directory })
}

/// Reads the path of a folder, which is there on the machine where the function runs.
fn absolute_path(field: &Field<'_>, findings: &mut Findings) -> Option<String> {
    let path = field.filled_text(findings)?;
    if !path.starts_with('/') {
        let message = format!(
            "must be an absolute path, or left out: in a manifest it is then the manifest's folder; is \"{}\"",
            excerpt(path)
        );
        field.error(findings, message);
        return None;
    }
    Some(path.to_owned())
}

/// Reads a program and its arguments.
fn command_line(field: &Field<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let items = field.list("strings: the program and its arguments", findings)?;
    if items.is_empty() {
        field.error(findings, "must name a program");
        return None;
    }
    let words = items.iter().map(|item| item.filled_text(findings).map(str::to_owned));
    // Collected before it is judged, so that every faulty item is noted.
    words.collect::<Vec<_>>().into_iter().collect()
}
