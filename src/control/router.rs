//! Calls that came to the control thread, each handed to the component or the gateway that answers it.

use hyper::Response;

use super::Control;
use super::listing::list_executions;
use super::slowest::parse_slowest;
use crate::api::call::Call;
use crate::api::listener::{Listener, ListenerKind};
use crate::api::openapi;
use crate::api::response;
use crate::api::response::Body;
use crate::api::route::served_elsewhere;
use crate::error::ApiError;
use crate::management::{debug_state, health, metrics, page};
use crate::messages::gateway_message::RoutedRequest;
use crate::spec::ExecutionMode;

impl Control {
    /// Hands one call to its handler, from whichever listener it came.
    pub async fn answer(&self, request: RoutedRequest) -> Response<Body> {
        let RoutedRequest { listener, call, request: ref whole } = request;
        let path = whole.uri().path();
        let answered = match call {
            Call::Invoke(_) | Call::Enqueue(_) => {
                return self.pass_on(self.next_gateway(), request).await;
            }
            Call::ReadExecution(id) | Call::ReadOutput(id) | Call::CancelExecution(id) => {
                return self.pass_on(self.gateways.owner_of(id.of(path)), request).await;
            }
            Call::JobInput(_) | Call::CompleteJob(_) | Call::AnnounceInstance => {
                Err(served_elsewhere(path, ListenerKind::Runtimes))
            }
            Call::ListExecutions => self.executions(listener, whole.uri().query()).await,
            Call::Healthz => health::healthz(self.scheduler_ticked()).await,
            Call::Readyz => health::readyz(self.readiness()),
            Call::Metrics => Ok(metrics::metrics(&self.metrics_snapshot())),
            Call::OpenApi => Ok(openapi::answer()),
            Call::Page => Ok(page::page()),
            Call::DebugState => Ok(debug_state::debug_state(&self.debug_state())),
            Call::ListFunctions => self.function_handlers.list(listener),
            Call::ReadFunction(name) => self.function_handlers.read(name.of(path), listener, whole.headers()),
            Call::FunctionLogs(name) => {
                let name = name.of(path);
                self.log_handlers.function_logs(name, whole, || self.mode_of(name)).await
            }
            Call::ExecutionLogs(id) => self.log_handlers.execution_logs(id.of(path), whole).await,
            Call::CreateFunction => self.function_handlers.create(listener, whole.body()).await,
            Call::PutFunction(name) => self.function_handlers.replace(name.of(path), listener, whole).await,
            Call::DeleteFunction(name) => {
                let removed = self.function_handlers.remove(name.of(path), listener, whole.headers()).await;
                removed.map(|()| response::no_content())
            }
            Call::PutReplicas(name) => {
                self.function_handlers.put_replicas(name.of(path), listener, whole).await
            }
        };
        answered.unwrap_or_else(|error| response::error(&error))
    }

    /// A page of all executions, or the slowest.
    async fn executions(&self, listener: Listener, query: Option<&str>) -> Result<Response<Body>, ApiError> {
        match parse_slowest(query)? {
            Some(wanted) => Ok(self.slowest_executions(&wanted, listener.shows_values())),
            None => list_executions(&self.gateways, &self.clock, query).await,
        }
    }

    /// A call that a gateway must answer.
    async fn pass_on(&self, gateway: usize, request: RoutedRequest) -> Response<Body> {
        self.gateways.serve(gateway, request).await.unwrap_or_else(|error| response::error(&error))
    }

    fn mode_of(&self, name: &str) -> Result<ExecutionMode, ApiError> {
        let functions = self.registry.functions();
        let registered = functions.get(name).ok_or_else(|| self.registry.unknown(name))?;
        Ok(registered.wanted.spec.execution_mode)
    }

    /// Gateways take turns at the invocations that come in here.
    fn next_gateway(&self) -> usize {
        let next = (self.next_invoker.get() + 1) % self.gateways.len().max(1);
        self.next_invoker.replace(next)
    }
}
