//! The entry points: a program with one handler, or with several of which one is chosen.

use std::process::ExitCode;

use crate::beginning::Beginning;
use crate::handler::Handler;
use crate::job;
use crate::log;
use crate::server::{self, StartError};
use crate::settings::{Role, Settings};
use crate::web_handler::{WebFunction, WebHandler};

/// One handler, not yet started. The choice is made before anything is, so that each is
/// compiled for its handler and a request crosses no virtual call.
type StartHandler = Box<dyn FnOnce(Settings) -> Result<ExitCode, StartError>>;

/// Serves one handler until SIGTERM or SIGINT, or runs it once as a JOB; see the crate's
/// page for the environment it reads and the exit codes it gives. `HANDLER` is not looked
/// at. What `main` does before this call is not part of `X-Init-Duration-Ms`.
#[must_use = "return it from main, or the process ends as a success"]
pub fn serve<H, Args>(handler: H) -> ExitCode
where
    H: Handler<Args>,
    Args: 'static,
{
    serve_since(Beginning::now(), handler)
}

/// Does what [`serve`] does for a program that had something to do before it could call it.
#[must_use = "return it from main, or the process ends as a success"]
pub fn serve_since<H, Args>(beginning: Beginning, handler: H) -> ExitCode
where
    H: Handler<Args>,
    Args: 'static,
{
    exit_code(Settings::from_env(beginning.0).and_then(|settings| start(handler, settings)))
}

/// Serves a handler of web requests until SIGTERM or SIGINT: an async function from a request to an answer, or a service
/// of `tower` such as the `Router` of axum; see [`WebHandler`]. Its function has `web`, and takes no JSON: what comes
/// by `:invoke` or as a JOB is a 501 `NOT_A_JSON_FUNCTION`.
///
/// ```no_run
/// # use std::process::ExitCode;
/// use picofaas_runtime::http::{Request, Response};
/// use picofaas_runtime::{HandlerError, RequestBody, ResponseBody};
///
/// async fn shout(request: Request<RequestBody>) -> Result<Response<ResponseBody>, HandlerError> {
///     let text = request.into_body().whole(1 << 20).await?;
///     Ok(Response::new(text.to_ascii_uppercase().into()))
/// }
///
/// fn main() -> ExitCode {
///     picofaas_runtime::serve_web(shout)
/// }
/// ```
#[must_use = "return it from main, or the process ends as a success"]
pub fn serve_web<W, Args>(handler: W) -> ExitCode
where
    W: WebHandler<Args>,
    Args: 'static,
{
    serve(WebFunction(handler))
}

/// Several handlers in one program, of which the environment variable `HANDLER` chooses
/// one. A lone handler needs no choice.
#[derive(Default)]
#[must_use = "nothing is served before serve() is called"]
pub struct Handlers {
    handlers: Vec<(&'static str, StartHandler)>,
}

impl Handlers {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler.
    ///
    /// # Panics
    /// If there is one of that name already.
    pub fn with<H, Args>(mut self, name: &'static str, handler: H) -> Self
    where
        H: Handler<Args>,
        Args: 'static,
    {
        assert!(self.names().all(|known| known != name), "two handlers are called `{name}`");
        self.handlers.push((name, Box::new(move |settings| start(handler, settings))));
        self
    }

    /// Adds a handler of web requests.
    ///
    /// # Panics
    /// If there is a handler of that name already.
    pub fn with_web<W, Args>(self, name: &'static str, handler: W) -> Self
    where
        W: WebHandler<Args>,
        Args: 'static,
    {
        self.with(name, WebFunction(handler))
    }

    /// Serves the handler that `HANDLER` names, as [`serve`] does. An unknown name, or
    /// none where there are several handlers, is exit code 2 and a list of the names.
    #[must_use = "return it from main, or the process ends as a success"]
    pub fn serve(self) -> ExitCode {
        exit_code(
            Settings::from_env(Beginning::now().0)
                .and_then(|settings| self.choose(settings.handler.as_deref())?(settings)),
        )
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.handlers.iter().map(|(name, _)| *name)
    }

    fn choose(mut self, wanted: Option<&str>) -> Result<StartHandler, StartError> {
        let known = self.names().collect::<Vec<_>>().join(", ");
        let index = match wanted {
            Some(wanted) => self
                .names()
                .position(|name| name == wanted)
                .ok_or_else(|| StartError::UnknownHandler { wanted: wanted.to_owned(), known })?,
            None if self.handlers.len() == 1 => 0,
            None => return Err(StartError::NoHandlerNamed { known }),
        };
        Ok(self.handlers.swap_remove(index).1)
    }
}

fn start<H, Args>(handler: H, settings: Settings) -> Result<ExitCode, StartError>
where
    H: Handler<Args>,
    Args: 'static,
{
    let Settings { began, role, sizes, handler: _ } = settings;
    match role {
        Role::Server { address, announcement, is_standby } => {
            server::run(handler, &address, announcement, sizes, is_standby, began).map(|()| ExitCode::SUCCESS)
        }
        Role::Job(assignment) => job::run(&handler, assignment, sizes, began),
    }
}

fn exit_code(ended: Result<ExitCode, StartError>) -> ExitCode {
    match ended {
        Ok(code) => code,
        Err(error) => {
            log::line(&format!("error {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
