//! API handlers of functions.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::FunctionObjects;
use super::precondition::Preconditions;
use super::serving_state::ServingState;
use super::{Registered, Registry};
use crate::api::listener::Listener;
use crate::api::response;
use crate::api::response::Body;
use crate::clock::Clock;
use crate::config::Settings;
use crate::error::{ApiError, ErrorCode};
use crate::instances::standby::standby_state::StandbyState;
use crate::messages::gateway_message::WholeRequest;
use crate::spec::{FunctionSpec, SpecError, hide_values, parse_function, parse_function_named};

/// Answers calls about functions. Lives on the control thread.
#[derive(Debug)]
pub(crate) struct FunctionHandlers {
    registry: Rc<Registry>,
    /// The Function objects of a cluster, where that keeps the registry: changes are written there.
    objects: Option<Rc<FunctionObjects>>,
    settings: Arc<Settings>,
    clock: Clock,
}

impl FunctionHandlers {
    /// Handlers that change `registry`, or `objects` where there are some.
    #[must_use]
    pub(crate) fn new(
        registry: Rc<Registry>,
        objects: Option<Rc<FunctionObjects>>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> Self {
        Self { registry, objects, settings, clock }
    }

    /// `GET /v1/functions`.
    ///
    /// # Errors
    /// `CONTROL_BUSY` while the functions of the cluster were not read yet.
    pub(crate) fn list(&self, listener: Listener) -> Result<Response<Body>, ApiError> {
        if self.registry.is_unread() {
            // A client that compares the list with its own would create functions that there are.
            return Err(ApiError::unread(""));
        }
        let functions = self.registry.functions();
        let all: Vec<Value> =
            functions.values().map(|registered| self.describe(registered, listener)).collect();
        Ok(response::json(200, json!({ "functions": all }).to_string()))
    }

    /// `GET /v1/functions/{name}`.
    ///
    /// # Errors
    /// `FUNCTION_NOT_FOUND`, `VERSION_MISMATCH`.
    pub(crate) fn read(
        &self,
        name: &str,
        listener: Listener,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, ApiError> {
        let functions = self.registry.functions();
        let registered = functions.get(name).ok_or_else(|| self.registry.unknown(name))?;
        let etag = self.etag(registered, listener);
        if Preconditions::of(headers).check_read(&etag)? {
            return Ok(with_etag(response::not_modified(), &etag));
        }
        Ok(self.function_response(200, registered, listener))
    }

    /// `POST /v1/functions`.
    ///
    /// # Errors
    /// `FUNCTION_EXISTS`, and the faults of the specification.
    pub(crate) async fn create(&self, listener: Listener, body: &Bytes) -> Result<Response<Body>, ApiError> {
        let spec = parse_function(body).map_err(invalid)?;
        self.check_exec(&spec)?;
        let name = spec.name.to_string();
        if let Some(objects) = &self.objects {
            objects.create_object(&spec, body).await?;
        } else {
            self.registry
                .put_if(spec, |before| match before {
                    None => Ok(()),
                    Some(_) => Err(ApiError::new(
                        ErrorCode::FunctionExists,
                        format!("the function {name:?} exists; PUT /v1/functions/{name} replaces it"),
                    )),
                })
                .await?;
        }
        let functions = self.registry.functions();
        let registered = functions.get(&name).ok_or_else(|| self.registry.unknown(&name))?;
        let mut response = self.function_response(201, registered, listener);
        if let Ok(location) = HeaderValue::from_str(&format!("/v1/functions/{name}")) {
            response.headers_mut().insert(hyper::header::LOCATION, location);
        }
        Ok(response)
    }

    /// `PUT /v1/functions/{name}`.
    ///
    /// # Errors
    /// `VERSION_MISMATCH`, and the faults of the specification.
    pub(crate) async fn replace(
        &self,
        name: &str,
        listener: Listener,
        request: &WholeRequest,
    ) -> Result<Response<Body>, ApiError> {
        let mut spec = parse_function_named(name, request.body()).map_err(invalid)?;
        self.check_exec(&spec)?;
        if let Some(registered) = self.registry.functions().get(name) {
            // It is no part of the JSON form, so a change of the rest leaves it.
            spec.keep_manifest_of(&registered.wanted.spec);
        }
        let condition = self.condition(listener, request.headers());
        let is_new = match &self.objects {
            Some(objects) => objects.put_object(&spec, request.body(), condition).await?,
            None => self.registry.put_if(spec, condition).await?,
        };
        let functions = self.registry.functions();
        let registered = functions.get(name).ok_or_else(|| self.registry.unknown(name))?;
        Ok(self.function_response(if is_new { 201 } else { 200 }, registered, listener))
    }

    /// `DELETE /v1/functions/{name}`.
    ///
    /// # Errors
    /// `FUNCTION_NOT_FOUND`, `VERSION_MISMATCH`.
    pub(crate) async fn remove(
        &self,
        name: &str,
        listener: Listener,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let condition = self.condition(listener, headers);
        match &self.objects {
            Some(objects) if Preconditions::of(headers).is_empty() => objects.delete_object(name).await,
            Some(objects) => objects.delete_object_if(name, condition).await,
            None => self.registry.delete_if(name, |registered| condition(Some(registered))).await,
        }
    }

    /// `PUT /v1/functions/{name}/replicas`.
    ///
    /// # Errors
    /// `FUNCTION_NOT_FOUND`, `NOT_SCALABLE`, `VERSION_MISMATCH`, and a number out of its range.
    pub(crate) async fn put_replicas(
        &self,
        name: &str,
        listener: Listener,
        request: &WholeRequest,
    ) -> Result<Response<Body>, ApiError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct ReplicasBody {
            replicas: u32,
        }
        let wanted: ReplicasBody = serde_json::from_slice(request.body()).map_err(|error| {
            ApiError::new(
                ErrorCode::InvalidFunction,
                format!("the body must be {{\"replicas\": N}}: {error}"),
            )
        })?;
        let (replicas, headers) = (wanted.replicas, request.headers());
        let condition = self.condition(listener, headers);
        match &self.objects {
            Some(objects) if Preconditions::of(headers).is_empty() => {
                objects.scale_object(name, replicas).await?
            }
            Some(objects) => objects.scale_object_if(name, replicas, condition).await?,
            None => {
                self.registry.check_scale(name, replicas)?;
                condition(self.registry.functions().get(name))?;
                self.registry.scale(name, replicas)?;
            }
        }
        let functions = self.registry.functions();
        let registered = functions.get(name).ok_or_else(|| self.registry.unknown(name))?;
        Ok(self.function_response(200, registered, listener))
    }

    /// The condition under which a request may change a function.
    fn condition<'a>(
        &'a self,
        listener: Listener,
        headers: &'a HeaderMap,
    ) -> impl Fn(Option<&Registered>) -> Result<(), ApiError> + Copy + 'a {
        move |before| {
            let etag = before.map(|registered| self.etag(registered, listener));
            Preconditions::of(headers).check_write(etag.as_deref())
        }
    }

    /// Refuses `local.command` where it is not allowed: it lets a client run programs here.
    fn check_exec(&self, spec: &FunctionSpec) -> Result<(), ApiError> {
        // In a cluster nothing runs it.
        if spec.local.is_none() || self.settings.flags.allow_local_exec || self.objects.is_some() {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::LocalExecDisabled,
            "local.command runs a program on this machine; over HTTP that needs --allow-local-exec (a manifest in --functions does not)",
        ))
    }

    fn function_response(&self, status: u16, registered: &Registered, listener: Listener) -> Response<Body> {
        let response = response::json(status, self.describe(registered, listener).to_string());
        with_etag(response, &self.etag(registered, listener))
    }

    /// The entity tag of a function as it is read there. With its values hidden it is another text, and so it has
    /// another tag; and so it has where the number of instances that it keeps running was set since.
    fn etag(&self, registered: &Registered, listener: Listener) -> String {
        let function = &registered.wanted;
        let etag = function.tags.tag(listener.shows_values());
        match self.min(registered) {
            Some(min) if min != function.spec.replicas().min => {
                format!("\"{}-{min}\"", etag.trim_matches('"'))
            }
            Some(_) | None => etag.to_owned(),
        }
    }

    /// Instances that are kept running, which may have been set since by itself.
    fn min(&self, registered: &Registered) -> Option<u32> {
        self.registry.versions().backend(registered.wanted.index).and_then(|backend| backend.min())
    }

    fn describe(&self, registered: &Registered, listener: Listener) -> Value {
        let wanted = &registered.wanted;
        let ServingState { replicas, ready, queued, in_flight, on_demand, rolling, standby } =
            self.registry.serving_state(registered);
        let problem = wanted.problem.load();
        let mut conditions = vec![json!({
            "type": "Ready",
            "status": if ready > 0 || on_demand { "True" } else { "False" },
            "reason": match (on_demand, ready) {
                (true, _) => "ProcessPerAttempt",
                (false, 0) => "NoInstanceReady",
                (false, _) => "InstanceReady",
            },
        })];
        if rolling {
            conditions.push(json!({ "type": "Progressing", "status": "True", "reason": "NewVersionStarts" }));
        }
        let with_lines = listener.may_operate(&self.settings.flags);
        if let Some(standby) = &standby {
            let mut condition = json!({
                "type": "StandbyReady",
                "status": if standby.ready >= standby.target { "True" } else { "False" },
                "reason": standby.reason(),
            });
            if let Some(message) = standby.message(with_lines) {
                condition["message"] = message.into();
            }
            conditions.push(condition);
        }
        if let Some(overload) = self.registry.overload_state(registered, self.clock.now()) {
            let status = if overload.0.is_some() { "True" } else { "False" };
            let mut condition =
                json!({ "type": "Overloaded", "status": status, "reason": overload.reason() });
            if let Some(shortage) = overload.0 {
                condition["message"] = shortage.to_string().into();
            }
            conditions.push(condition);
        }
        if let Some(problem) = problem.as_ref() {
            let message = problem.told(with_lines);
            conditions.push(json!({
                "type": "Degraded", "status": "True", "reason": "InstanceFailed", "message": message,
            }));
        }
        if let Some(error) = self.objects.as_ref().and_then(|all| all.invalid(wanted.spec.name.as_str())) {
            conditions.push(json!({
                "type": "Valid", "status": "False", "reason": error.reason, "message": error.message,
            }));
        }
        let mut value = serde_json::to_value(&wanted.spec).unwrap_or_default();
        if !listener.shows_values() {
            hide_values(&mut value);
        }
        if let Some(min) = self.min(registered) {
            value["replicas"]["min"] = min.into();
        }
        value["status"] = json!({
            "replicas": replicas,
            "ready": ready,
            "queued": queued,
            "inFlight": in_flight,
            "conditions": conditions,
        });
        if let Some(StandbyState { ready, starting, target, .. }) = standby {
            value["status"]["standby"] = json!({ "ready": ready, "starting": starting, "target": target });
        }
        if let Some(backend) = self.registry.versions().backend(wanted.index) {
            value["status"]["backend"] = backend.name().into();
        }
        value
    }
}

/// The tag is of the function and not of its `status`, which is in the same body: nothing may keep an answer and be
/// told that it is still good.
fn with_etag(mut response: Response<Body>, etag: &str) -> Response<Body> {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn invalid(error: SpecError) -> ApiError {
    match error {
        SpecError::Json { .. } => {
            ApiError::new(ErrorCode::InvalidJson, format!("the body is not a JSON object: {error}"))
        }
        SpecError::Fields(errors) => {
            let count = errors.0.len();
            let noun = if count == 1 { "fault" } else { "faults" };
            ApiError::new(
                ErrorCode::InvalidFunction,
                format!("the function has {count} {noun}; nothing was registered"),
            )
            .with_details(errors.0)
        }
    }
}
