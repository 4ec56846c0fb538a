//! Calls that came to the control thread, each handed to the component or the gateway that answers it.

use hyper::Response;

use super::Control;
use super::listing::list_executions;
use crate::api::call::Call;
use crate::api::listener::ListenerKind;
use crate::api::openapi;
use crate::api::response;
use crate::api::response::Body;
use crate::api::route::served_elsewhere;
use crate::error::{ApiError, ErrorCode};
use crate::id::ExecutionId;
use crate::management::{debug_state, health, metrics, page};
use crate::messages::gateway_message::{RoutedRequest, serve_at};
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
            Call::ReadExecution(id) | Call::CancelExecution(id) => {
                // Any gateway can say what is wrong with an id.
                let owner = ExecutionId::parse(id.of(path)).map_or(0, |id| id.ticket.gateway());
                return self.pass_on(owner, request).await;
            }
            Call::JobInput(_) | Call::CompleteJob(_) | Call::AnnounceInstance => {
                Err(served_elsewhere(path, ListenerKind::Runtimes))
            }
            Call::ListExecutions => list_executions(&self.gateways, &self.clock, whole.uri().query()).await,
            Call::Healthz => health::healthz(self.scheduler_ticked()).await,
            Call::Readyz => health::readyz(self.readiness()),
            Call::Metrics => Ok(metrics::metrics(&self.metrics_snapshot())),
            Call::OpenApi => Ok(openapi::answer()),
            Call::Page => Ok(page::page()),
            Call::DebugState => Ok(debug_state::debug_state(&self.debug_state())),
            Call::ListFunctions => self.function_handlers.list(listener),
            Call::ReadFunction(name) => self.function_handlers.read(name.of(path), listener),
            Call::FunctionLogs(name) => {
                let name = name.of(path);
                self.log_handlers.function_logs(name, whole, || self.mode_of(name)).await
            }
            Call::ExecutionLogs(id) => self.log_handlers.execution_logs(id.of(path), whole).await,
            Call::CreateFunction => self.function_handlers.create(listener, whole.body()).await,
            Call::PutFunction(name) => self.function_handlers.replace(name.of(path), listener, whole).await,
            Call::DeleteFunction(name) => {
                self.function_handlers.remove(name.of(path)).await.map(|()| response::no_content())
            }
            Call::PutReplicas(name) => {
                self.function_handlers.put_replicas(name.of(path), listener, whole.body()).await
            }
        };
        answered.unwrap_or_else(|error| response::error(&error))
    }

    /// A call that a gateway must answer.
    async fn pass_on(&self, gateway: usize, request: RoutedRequest) -> Response<Body> {
        let answer = match self.gateways.get(gateway).or(self.gateways.first()) {
            Some(gateway) => serve_at(gateway, request).await,
            None => None,
        };
        answer.unwrap_or_else(|| {
            response::error(&ApiError::new(ErrorCode::Draining, "the control plane is stopping"))
        })
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
