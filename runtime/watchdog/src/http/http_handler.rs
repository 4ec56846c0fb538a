//! The mode `http` as a handler.

use std::rc::Rc;

use picofaas_runtime::http::{Request, Response as WebResponse};
use picofaas_runtime::{Context, Handler, HandlerError, RequestBody, ResponseBody};
use serde_json::value::RawValue;

use super::exchange::ExchangeError;
use super::in_flight::InFlight;
use super::server::Server;
use super::server_supervisor::ServerSupervisor;
use super::web_attempt::WebAttempt;
use super::web_exchange::WebRequest;
use crate::children::Children;
use crate::format::{InputFormat, OutputFormat};
use crate::program::Program;
use crate::settings::Settings;

/// Passes requests on to a server.
pub(crate) struct HttpHandler {
    input: InputFormat,
    output: OutputFormat,
    supervisor: Rc<ServerSupervisor>,
    in_flight: Rc<InFlight>,
    children: Rc<Children>,
}

/// An attempt at a server. Dropped before it is finished, it has the server probed, which may not
/// work at all.
struct AttemptGuard<'a> {
    server: &'a Server,
    key: u32,
    is_finished: bool,
}

impl HttpHandler {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { command, input, output, endpoint, .. } = settings;
        let program = Program::new(command);
        let (children, in_flight) = (Children::new(), Rc::new(InFlight::default()));
        let supervisor =
            ServerSupervisor::new(program, endpoint, Rc::clone(&children), Rc::clone(&in_flight));
        Self { input, output, supervisor: Rc::new(supervisor), in_flight, children }
    }
}

impl Handler<()> for HttpHandler {
    type Input = Box<RawValue>;
    type Output = Box<RawValue>;

    async fn start(&self) -> Result<(), HandlerError> {
        self.children.become_subreaper()?;
        Rc::clone(&self.supervisor).start().await
    }

    async fn call(&self, input: Box<RawValue>, context: Context) -> Result<Box<RawValue>, HandlerError> {
        let input = self.input.write(input, &context);
        loop {
            let server = self.supervisor.server().await?;
            // Not before: the lines of a server's start belong to no execution.
            let _in_flight = self.in_flight.insert(&context);
            let mut attempt =
                AttemptGuard { server: &server, key: server.begin_attempt(&context), is_finished: false };
            let exchanged = server.exchange(&context, &input).await;
            attempt.is_finished = true;
            server.drain_ready_log();
            match exchanged {
                Ok(response) => return response.read(self.output, context.output_bytes_max()),
                // It has ended and the supervisor does not know yet: the next one is asked.
                Err(ExchangeError::Connect(_)) if server.exit_noticed().await.is_some() => {}
                Err(error) => return Err(server.error_of(error, attempt.key).await),
            }
        }
    }

    async fn web(
        &self,
        request: Request<RequestBody>,
        context: Context,
    ) -> Result<WebResponse<ResponseBody>, HandlerError> {
        let request = WebRequest::new(request);
        loop {
            let server = self.supervisor.server().await?;
            let attempt = WebAttempt::begin(&server, self.in_flight.insert(&context), &context);
            match server.connect_web(request.may_be_repeated()).await {
                Ok(connection) => return attempt.exchange(request, connection).await,
                // As above: the next one is asked.
                Err(_) if server.exit_noticed().await.is_some() => {}
                Err(error) => return Err(attempt.failed(error).await),
            }
        }
    }

    fn health(&self) -> Result<(), HandlerError> {
        self.supervisor.health()
    }

    fn write_metrics(&self, text: &mut String) {
        self.children.write_metrics(text);
    }

    async fn stop(&self) {
        self.supervisor.stop().await;
        self.children.stop().await;
    }
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.server.request_probe();
        }
        self.server.end_attempt(self.key);
    }
}
