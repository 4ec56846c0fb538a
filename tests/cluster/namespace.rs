//! A test's namespace by way of a client of its own, where a program for each call would be too slow.

use std::path::Path;

use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::stage::{Stage, kubeconfig, watched};
use crate::support::patience::eventually;
use crate::support::server::{End, Server, command, run};

/// Where no pod calls: these tests start none that does.
const NO_RUNTIME: &str = "http://192.0.2.1:1";

/// A stage and a client.
pub(crate) struct Namespace {
    runtime: Runtime,
    client: Client,
    pub stage: Stage,
    /// The file by which control planes find the API server.
    kubeconfig: String,
}

impl Namespace {
    /// A new one.
    pub(crate) fn new() -> Self {
        let stage = Stage::new("registry");
        let kubeconfig = stage.with_the_role(&kubeconfig());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(Client::try_default()).unwrap();
        let namespace = Self { runtime, client, stage, kubeconfig };
        // The definition is there when a list of it is answered.
        eventually("functions are known", || {
            namespace.runtime.block_on(namespace.functions().list_metadata(&Default::default())).ok()
        });
        namespace
    }

    fn functions(&self) -> Api<DynamicObject> {
        self.api("picofaas.dev", "v1", "Function")
    }

    fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.stage.namespace, &kind)
    }

    /// Applies a specification as `kubectl apply` does.
    pub(crate) fn apply(&self, name: &str, spec: &Value) -> Result<Value, String> {
        let object = json!({
            "apiVersion": "picofaas.dev/v1", "kind": "Function", "metadata": { "name": name }, "spec": spec,
        });
        let params = PatchParams::apply("kubectl").force();
        let applied = self.functions();
        let applied = self.runtime.block_on(applied.patch(name, &params, &Patch::Apply(&object)));
        applied.map(|object| serde_json::to_value(object).unwrap()).map_err(|error| error.to_string())
    }

    /// The object of a function.
    pub(crate) fn function(&self, name: &str) -> Option<Value> {
        let found = self.runtime.block_on(self.functions().get_opt(name)).unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    /// Deletes the object of a function.
    pub(crate) fn delete(&self, name: &str) {
        drop(self.runtime.block_on(self.functions().delete(name, &DeleteParams::background())).unwrap());
    }

    /// Sets the number of the scale subresource, and gives what it says then.
    pub(crate) fn scale(&self, name: &str, replicas: u32) -> Value {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let functions = self.functions();
        let scaled = self.runtime.block_on(functions.patch_scale(name, &PatchParams::default(), &patch));
        serde_json::to_value(scaled.unwrap()).unwrap()
    }

    /// Makes an object of another kind.
    pub(crate) fn make(&self, group: &str, version: &str, kind: &str, object: &Value) {
        let object = serde_json::from_value(object.clone()).unwrap();
        let all = self.api(group, version, kind);
        self.runtime.block_on(all.create(&PostParams::default(), &object)).unwrap();
    }

    /// The names of the objects of a kind.
    pub(crate) fn names(&self, group: &str, version: &str, kind: &str) -> Vec<String> {
        let all = self.api(group, version, kind);
        let list = self.runtime.block_on(all.list_metadata(&Default::default())).unwrap();
        list.items.into_iter().filter_map(|one| one.metadata.name).collect()
    }

    /// Waits until a condition of a function's status is as it should be, and gives that condition.
    pub(crate) fn until_condition(&self, name: &str, kind: &str, status: &str) -> Value {
        eventually(&format!("{kind} of {name} is {status}"), || {
            let conditions = self.function(name)?["status"]["conditions"].as_array()?.clone();
            conditions.into_iter().find(|one| one["type"] == kind && one["status"] == status)
        })
    }

    /// A control plane that keeps this namespace, not waited for until it is ready.
    pub(crate) fn start(&self) -> Server {
        watched(Server::start_bare(&self.flags()))
    }

    /// The same, whose clients may be on other machines and may write.
    pub(crate) fn start_open(&self) -> Server {
        watched(Server::start_at("0.0.0.0:0", &[&self.flags()[..], &["--allow-writes"]].concat()))
    }

    /// The same in a pod of that name, as it is told.
    pub(crate) fn start_as(&self, pod: &str) -> Server {
        let mut command = command();
        command.env("POD_NAME", pod);
        watched(Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &self.flags()))
    }

    /// Runs one with more flags to its end.
    pub(crate) fn run_with(&self, flags: &[&str], folder: &Path) -> End {
        let listeners = ["serve", "--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"];
        let runtime = ["--runtime-listen=127.0.0.1:0"];
        run(&[&listeners[..], &runtime, &self.flags(), flags].concat(), folder)
    }

    fn flags(&self) -> [&str; 8] {
        self.stage.flags(&self.kubeconfig, NO_RUNTIME)
    }
}

/// Waits until a control plane has read its registry.
pub(crate) fn until_ready(server: &Server) {
    let mut operator = server.operator();
    eventually("the control plane is ready", || (operator.get("/readyz").status == 200).then_some(()));
}
