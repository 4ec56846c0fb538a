//! Pods without picofaas: a Job and a Deployment of the pod template that picofaas itself made, which speak
//! with a listener of ours.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::api::Sent;
use super::stage::{Stage, Times, input};
use crate::bench::fake_control_plane::{EXECUTION_ID, FakeControlPlane};

/// The label that bare pods have instead of those of picofaas.
const LABEL: &str = "bench";

/// Jobs, one after the other.
pub(super) struct Jobs<'a> {
    stage: &'a Stage<'a>,
    control_plane: FakeControlPlane,
    spec: Value,
    made: u32,
}

impl<'a> Jobs<'a> {
    /// Like the first Job that is in the namespace.
    pub(super) fn like_the_first(stage: &'a Stage<'a>) -> Result<Self> {
        let control_plane = FakeControlPlane::at(stage.fixtures.address)?;
        let list = stage.fixtures.api.get(&stage.path("/apis/batch/v1", "jobs"))?;
        let mut spec = list["items"][0]["spec"].clone();
        let fields = spec.as_object_mut().context("there is no Job to be like")?;
        // The API server has added these.
        fields.remove("selector");
        spec["template"] = template(&spec["template"], control_plane.url(), "job");
        Ok(Self { stage, control_plane, spec, made: 0 })
    }

    /// Has one made and run.
    pub(super) fn run(&mut self) -> Result<Times> {
        self.made += 1;
        let object = json!({ "metadata": { "name": format!("bare-{}", self.made) }, "spec": self.spec });
        let path = self.stage.path("/apis/batch/v1", "jobs");
        let sent = self.stage.fixtures.api.send("POST", &path, &object.to_string())?;
        let sent_ns = sent.at_ns;
        sent.answer()?;
        let mut posted = self.control_plane.serve_job(&input(0))?;
        Times::of(&posted.result["output"].take(), sent_ns, posted.at_ns)
    }
}

/// A Deployment that is scaled by hand.
pub(super) struct Deployment<'a> {
    stage: &'a Stage<'a>,
    pub control_plane: FakeControlPlane,
    path: String,
    /// Label that selects its pods.
    pub label: String,
}

impl<'a> Deployment<'a> {
    /// Like the one of a function, without pods.
    pub(super) fn like(stage: &'a Stage<'a>, function: &str) -> Result<Self> {
        let control_plane = FakeControlPlane::at(stage.fixtures.address)?;
        let all = stage.path("/apis/apps/v1", "deployments");
        let mut spec = stage.fixtures.api.get(&format!("{all}/fn-{function}"))?["spec"].take();
        spec["template"] = template(&spec["template"], control_plane.url(), function);
        spec["selector"] = json!({ "matchLabels": { LABEL: function } });
        spec["replicas"] = json!(0);
        let name = format!("bare-{function}");
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        stage.fixtures.api.ask("POST", &all, &object.to_string())?;
        Ok(Self {
            stage,
            control_plane,
            path: format!("{all}/{name}"),
            label: format!("{LABEL}%3D{function}"),
        })
    }

    /// Asks for so many pods.
    pub(super) fn scale(&self, replicas: u32) -> Result<Sent> {
        let change = json!({ "spec": { "replicas": replicas } }).to_string();
        self.stage.fixtures.api.send("PATCH", &format!("{}/scale", self.path), &change)
    }

    /// Has all pods but so many go, and waits until they have.
    pub(super) fn shrink(&self, replicas: u32) -> Result<()> {
        self.scale(replicas)?.answer()?;
        self.stage.until_left(&self.label, replicas as usize)
    }
}

/// A pod template with another control plane and other labels.
fn template(of: &Value, url: &str, label: &str) -> Value {
    let mut template = of.clone();
    template["metadata"] = json!({ "labels": { LABEL: label } });
    for container in template["spec"]["containers"].as_array_mut().into_iter().flatten() {
        for variable in container["env"].as_array_mut().into_iter().flatten() {
            match variable["name"].as_str() {
                Some("PICOFAAS_RUNTIME_URL") => variable["value"] = json!(url),
                Some("EXECUTION_ID") => variable["value"] = json!(EXECUTION_ID),
                _ => {}
            }
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_pod_differs_in_its_labels_and_in_whom_it_calls_alone() {
        let of = json!({
            "metadata": { "labels": { "picofaas.dev/function": "f" } },
            "spec": { "automountServiceAccountToken": false, "containers": [{ "image": "i", "env": [
                { "name": "EXECUTION_ID", "value": "a" },
                { "name": "PICOFAAS_RUNTIME_URL", "value": "http://b" },
                { "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            ] }] },
        });
        let mut bare = template(&of, "http://c", "l");
        assert_eq!(bare["metadata"], json!({ "labels": { "bench": "l" } }));
        let env = &mut bare["spec"]["containers"][0]["env"];
        assert_eq!(env[0].take(), json!({ "name": "EXECUTION_ID", "value": EXECUTION_ID }));
        assert_eq!(env[1].take(), json!({ "name": "PICOFAAS_RUNTIME_URL", "value": "http://c" }));
        env[0] = of["spec"]["containers"][0]["env"][0].clone();
        env[1] = of["spec"]["containers"][0]["env"][1].clone();
        assert_eq!(bare["spec"], of["spec"]);
    }
}
