//! Rights of the control plane and their use: the Role of `k8s/` beside the calls of a run of tests.
//!
//! The tests give their control planes the rights of the Role and no other, so a right that is missing
//! fails where it is needed. Here the other direction is looked at: a right that nothing used.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::folder::Folder;
use crate::repository::Repository;

/// Names the file that the tests add calls to.
pub(crate) const VARIABLE: &str = "PICOFAAS_TEST_CALLS";

const MANIFEST: &str = "k8s/20-rbac.yaml";

/// Resource of calls that need no rule of a Role, e.g. the API server's version.
const NONRESOURCE: &str = "nonresource";

/// Verbs and resources, e.g. `patch functions/status`.
type Rights = BTreeSet<String>;

/// The calls of a run, in a file that goes afterwards.
pub(crate) struct Calls(Folder);

impl Calls {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Folder::make("calls")?))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("calls")
    }

    /// Compares the Role with them. Of a part of the tests it is not asked that they use every right.
    pub(crate) fn compare(
        &self,
        repository: &Repository,
        mut kubectl: Command,
        is_whole: bool,
    ) -> Result<()> {
        kubectl.current_dir(repository.root());
        // It reads the file as the API server would, and changes nothing.
        kubectl.args([
            "create",
            "--dry-run=client",
            "--validate=false",
            "--output=json",
            "--filename",
            MANIFEST,
        ]);
        let output = kubectl.output().context("cannot run kubectl")?;
        if !output.status.success() {
            bail!("kubectl cannot read {MANIFEST}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let granted = granted(&output.stdout)?;
        let used = match fs::read_to_string(self.file()) {
            Ok(lines) => used(&lines)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Rights::new(),
            Err(error) => return Err(error).context("cannot read the calls that were made"),
        };
        let faults = faults(&granted, &used, is_whole);
        if !faults.is_empty() {
            bail!("{MANIFEST} does not fit the calls that were made:\n  {}", faults.join("\n  "));
        }
        if is_whole {
            println!("{MANIFEST} has the {} rights that were used, and no other", granted.len());
        } else {
            let (used, granted) = (used.len(), granted.len());
            println!(
                "skipped: whether every right of {MANIFEST} is used ({used} of {granted} were) is only asked of all tests"
            );
        }
        Ok(())
    }
}

/// Calls without a right, and rights without a call.
fn faults(granted: &Rights, used: &Rights, is_whole: bool) -> Vec<String> {
    let excess = granted.difference(used).filter(|_| is_whole);
    let excess =
        excess.map(|right| format!("no test made a call that needs `{right}`: grant it no more, or test it"));
    let missing = used.difference(granted).map(|right| format!("`{right}` was called and is not granted"));
    excess.chain(missing).collect()
}

/// The rights of the Roles among objects, one JSON text after the other.
fn granted(objects: &[u8]) -> Result<Rights> {
    let mut rights = Rights::new();
    for object in serde_json::Deserializer::from_slice(objects).into_iter::<Value>() {
        let object = object.context("kubectl wrote no JSON")?;
        for rule in object["rules"].as_array().into_iter().flatten() {
            for resource in texts(&rule["resources"]) {
                rights.extend(texts(&rule["verbs"]).map(|verb| format!("{verb} {resource}")));
            }
        }
    }
    if rights.is_empty() {
        bail!("{MANIFEST} has no Role");
    }
    Ok(rights)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The rights that calls needed, by lines of metrics: `…{resource="pods",verb="list"} 3`.
fn used(lines: &str) -> Result<Rights> {
    let mut rights = Rights::new();
    for line in lines.lines() {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let (Some(resource), Some(verb)) = (label("resource"), label("verb")) else {
            bail!("no call with a verb and a resource: {line}");
        };
        if resource != NONRESOURCE {
            rights.insert(format!("{verb} {resource}"));
        }
    }
    Ok(rights)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &[u8] = br#"{"kind":"ServiceAccount"}
        {"kind":"Role","rules":[
            {"apiGroups":[""],"resources":["pods"],"verbs":["list","watch"]},
            {"apiGroups":["apps"],"resources":["deployments/scale"],"verbs":["patch"]}]}
        {"kind":"RoleBinding"}"#;

    fn call(verb: &str, resource: &str) -> String {
        format!("picofaas_kube_request_seconds_count{{resource=\"{resource}\",verb=\"{verb}\"}} 3\n")
    }

    #[test]
    fn a_right_that_nothing_used_and_a_call_that_is_not_granted_are_told() {
        let granted = granted(ROLE).unwrap();
        let scaled =
            [call("list", "pods"), call("patch", "deployments/scale"), call("get", NONRESOURCE)].concat();
        let used_in_part = used(&scaled).unwrap();
        assert_eq!(faults(&granted, &used_in_part, false), [""; 0]);
        let told = faults(&granted, &used_in_part, true);
        assert!(told.len() == 1 && told[0].contains("`watch pods`"), "{told:?}");
        let all = used(&[scaled, call("watch", "pods")].concat()).unwrap();
        assert_eq!(faults(&granted, &all, true), [""; 0]);
        let more = used(&[call("delete", "pods"), call("patch", "deployments")].concat()).unwrap();
        let told = faults(&granted, &more, false);
        assert!(told.len() == 2 && told[0].contains("`delete pods` was called"), "{told:?}");
    }

    #[test]
    fn what_cannot_be_understood_is_no_calls_and_no_rights() {
        assert!(used("picofaas_kube_request_seconds_count 3\n").is_err());
        assert!(granted(br#"{"kind":"ServiceAccount"}"#).is_err());
    }
}
