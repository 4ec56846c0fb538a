//! The lines that functions write: kept within bounds, read and followed over HTTP.
//!
//! | file | holds |
//! |---|---|
//! | `store` | the lines of all functions, and their limits |
//! | `function_log` | the lines of one function |
//! | `rate_limiter` | the rate at which lines go on to the log of this process |
//! | `query` | `?tail=&since=&follow=` |
//! | `attempts` | the lines of one execution, as its pods have them |
//! | `reader` | one answer made of lines |
//! | `source` | a source of lines that are read for who asks |
//! | `output` | output of a process, as bounded lines |

pub mod attempts;
pub mod function_log;
pub mod output;
pub mod query;
pub mod rate_limiter;
pub mod reader;
pub mod source;
pub mod store;

use hyper::Response;

use crate::api::response::Body;
use crate::channel::oneshot;
use crate::control::Control;
use crate::error::{ApiError, ErrorCode};
use crate::id::ExecutionId;
use crate::messages::gateway_message::{FoundExecution, GatewayMessage, WholeRequest};
use crate::spec::ExecutionMode;

use query::LogQuery;
use reader::{Reader, Whose};

impl Control {
    /// `GET /v1/functions/{name}/logs`.
    pub(super) async fn function_logs(
        &self,
        name: &str,
        request: &WholeRequest,
    ) -> Result<Response<Body>, ApiError> {
        let query = LogQuery::read(request.uri().query(), request.headers(), &self.clock)?;
        read_pipes().await;
        let mode = {
            let functions = self.registry.functions();
            functions.get(name).ok_or_else(|| self.registry.unknown(name))?.wanted.spec.execution_mode
        };
        let log = self.logs.log_of(&name.into());
        let interest = self.brought_up_to_date(mode, name, None, query.follow).await;
        // A version before this one may have written some.
        if mode == ExecutionMode::Pool && log.begins() == log.end() {
            return Err(no_logs(name));
        }
        let whose = Whose::Function { life: log.life() };
        Reader::new(self.logs.clone(), log, whose, query).interested(interest).answer(None)
    }

    /// `GET /v1/executions/{id}/logs`.
    pub(super) async fn execution_logs(
        &self,
        id: &str,
        request: &WholeRequest,
    ) -> Result<Response<Body>, ApiError> {
        let query = LogQuery::read(request.uri().query(), request.headers(), &self.clock)?;
        let stopped = || ApiError::new(ErrorCode::Draining, "the control plane is stopping");
        let owner = ExecutionId::parse(id).map_or(0, |id| id.ticket.gateway());
        // An id that names a gateway that there is not is refused by the first one.
        let gateway = self.gateways.get(owner).or(self.gateways.first()).ok_or_else(stopped)?;
        let (found, awaited) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let ended = query.follow.then_some(ended);
        let message = GatewayMessage::Watch { id: id.to_owned(), found, ended };
        gateway.send(message).await.map_err(|_| stopped())?;
        let FoundExecution { id, function } = match awaited.await.map_err(|_| stopped())? {
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
            return Reader::new(self.logs.clone(), log, whose, query).answer(None);
        }
        let interest = self.brought_up_to_date(spec.execution_mode, name, Some(id), query.follow).await;
        let log = self.logs.log_of(&name.into());
        let reader = Reader::new(self.logs.clone(), log, whose, query).interested(interest);
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
