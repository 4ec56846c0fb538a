//! `WATCHDOG_MODE=http`: an HTTP server that knows nothing of picofaas, started once and asked
//! for each request.
//!
//! | file | has |
//! |---|---|
//! | `endpoint` | where the server is asked: the settings of this mode |
//! | `keeper` | keeps one server running: starts it, watches it, replaces it |
//! | `server` | one server: its process, its log, its connections |
//! | `port` | a port that nobody else has |
//! | `request` | the head of a request |
//! | `reply` | what an answer means |
//! | `roll` | who is under way, for the log |

mod endpoint;
mod keeper;
mod port;
mod reply;
mod request;
mod roll;
mod server;

use std::rc::Rc;

use picofaas_runtime::{Context, Handler, HandlerError};
use serde_json::value::RawValue;

pub(crate) use endpoint::Endpoint;
pub(crate) use roll::Roll;

use crate::children::Children;
use crate::form::{InputForm, OutputForm};
use crate::program::Program;
use crate::settings::Settings;
use keeper::Keeper;
use server::{ExchangeError, Server};

/// Passes requests on to a server.
pub(crate) struct Proxy {
    input: InputForm,
    output: OutputForm,
    keeper: Rc<Keeper>,
    roll: Rc<Roll>,
    children: Rc<Children>,
}

/// A request that a server has; one that is given up casts doubt on whether it works at all.
struct Held<'a> {
    server: &'a Server,
    key: u32,
    over: bool,
}

impl Proxy {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { command, input, output, endpoint, .. } = settings;
        let program = Program::new(command);
        let (children, roll) = (Children::new(), Rc::new(Roll::default()));
        let keeper = Rc::new(Keeper::new(program, endpoint, Rc::clone(&children), Rc::clone(&roll)));
        Self { input, output, keeper, roll, children }
    }
}

impl Handler<()> for Proxy {
    type Input = Box<RawValue>;
    type Output = Box<RawValue>;

    async fn start(&self) -> Result<(), HandlerError> {
        self.children.adopt()?;
        Rc::clone(&self.keeper).start().await
    }

    async fn call(&self, input: Box<RawValue>, context: Context) -> Result<Box<RawValue>, HandlerError> {
        let input = self.input.write(input, &context);
        loop {
            let server = self.keeper.server().await?;
            // Not before: what a server says at its start is nobody's.
            let _entry = self.roll.enter(&context);
            let mut held = Held { server: &server, key: server.begin(&context), over: false };
            let exchanged = server.exchange(&context, &input).await;
            held.over = true;
            server.glance_at_log();
            match exchanged {
                Ok(answer) => return answer.read(self.output, context.output_bytes_max()),
                // It has ended and the keeper does not know yet: the next one is asked.
                Err(ExchangeError::Connect(_)) if server.ended_by_now().await.is_some() => {}
                Err(error) => return Err(server.explain(error, held.key).await),
            }
        }
    }

    fn health(&self) -> Result<(), HandlerError> {
        self.keeper.health()
    }

    fn write_metrics(&self, text: &mut String) {
        self.children.write_metrics(text);
    }

    async fn stop(&self) {
        self.keeper.stop().await;
        self.children.stop().await;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.server.doubt();
        }
        self.server.end_of(self.key);
    }
}
