//! API handlers of lines.

use std::rc::Rc;

use hyper::Response;

use super::query::LogQuery;
use super::reader::{Reader, Whose};
use super::source::LogSource;
use super::store::LogStore;
use crate::api::response::Body;
use crate::channel::oneshot;
use crate::error::{ApiError, ErrorCode};
use crate::messages::gateway_message::{FoundExecution, GatewayMessage, WholeRequest};
use crate::messages::gateway_senders::{GatewaySenders, stopping};
use crate::spec::ExecutionMode;

/// Answers calls that read lines. Lives on the control thread.
#[derive(Debug)]
pub(crate) struct LogHandlers {
    pub(super) store: Rc<LogStore>,
    /// Messages to each gateway, which have the executions.
    gateways: GatewaySenders,
    /// The logs of pods, where a cluster runs functions.
    pub(super) source: Option<Rc<dyn LogSource>>,
}

impl LogHandlers {
    /// Handlers that read what `store` keeps, and what `source` is asked for.
    #[must_use]
    pub(crate) fn new(
        store: Rc<LogStore>,
        gateways: GatewaySenders,
        source: Option<Rc<dyn LogSource>>,
    ) -> Self {
        Self { store, gateways, source }
    }

    /// `GET /v1/functions/{name}/logs`. `mode_of` looks the function up.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `NO_LOGS`, `LOG_READERS_FULL`, and those of `mode_of`.
    pub(crate) async fn function_logs(
        &self,
        name: &str,
        request: &WholeRequest,
        mode_of: impl FnOnce() -> Result<ExecutionMode, ApiError>,
    ) -> Result<Response<Body>, ApiError> {
        let query = LogQuery::read(request.uri().query(), request.headers(), &self.store.clock)?;
        read_pipes().await;
        let mode = mode_of()?;
        let log = self.store.log_of(&name.into());
        let interest = self.brought_up_to_date(mode, name, None, &query).await;
        // A version before this one may have written some.
        if mode == ExecutionMode::Pool && log.begins() == log.end() {
            return Err(no_logs(name));
        }
        let whose = Whose::Function { life: log.life() };
        Reader::new(self.store.clone(), log, whose, query).interested(interest).answer(None)
    }

    /// `GET /v1/executions/{id}/logs`.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `NO_LOGS`, `LOG_READERS_FULL`, `DRAINING`, and those of an execution that is not there.
    pub(crate) async fn execution_logs(
        &self,
        id: &str,
        request: &WholeRequest,
    ) -> Result<Response<Body>, ApiError> {
        let query = LogQuery::read(request.uri().query(), request.headers(), &self.store.clock)?;
        let (found, awaited) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let ended = query.follow.then_some(ended);
        let message = GatewayMessage::Watch { id: id.to_owned(), found, ended };
        self.gateways.send(self.gateways.owner_of(id), message).await?;
        let FoundExecution { id, function } = match awaited.await.map_err(|_| stopping())? {
            Ok(found) => found,
            Err(error) => return self.lines_without_record(error, id, query).await,
        };
        let spec = &function.spec;
        if spec.execution_mode == ExecutionMode::Pool {
            return Err(no_logs(spec.name.as_str()));
        }
        read_pipes().await;
        let name = spec.name.as_str();
        let whose = Whose::Execution(id);
        if spec.execution_mode == ExecutionMode::Job
            && !query.follow
            && let Some(log) = self.lines_of_pods(id, Some(name)).await
        {
            return Reader::new(self.store.clone(), log, whose, query).answer(None);
        }
        let interest = self.brought_up_to_date(spec.execution_mode, name, Some(id), &query).await;
        let log = self.store.log_of(&name.into());
        let reader = Reader::new(self.store.clone(), log, whose, query).interested(interest);
        reader.answer(query.follow.then_some(end))
    }
}

/// Lets the tasks that read from processes have their turn: what was written before the answer that
/// made this client ask is then kept.
async fn read_pipes() {
    // Tasks that yield go on after the pipes were polled and those they woke were queued.
    tokio::task::yield_now().await;
}

fn no_logs(name: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NoLogs,
        format!("{name} is POOL: its endpoints run elsewhere and keep their own logs; read them there"),
    )
}
