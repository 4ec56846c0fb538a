//! A single-use instance that is a process of this machine.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::channel;
use crate::clock::Nanos;
use crate::exit::describe;
use crate::instance::{ConnectionAhead, InstanceKey, InstanceProblem, InstanceReport, Target};
use crate::instances::local::LocalContext;
use crate::instances::local::process::{Process, StartOptions};
use crate::instances::local::serving_process::{self, ServingProcess};
use crate::messages::control_message::{Kill, StandbyTake};
use crate::spec::FunctionSpec;

/// A process that takes one execution.
#[derive(Debug)]
pub(super) struct StandbyProcess {
    context: Rc<LocalContext>,
    process: Process,
    /// Where it listens.
    pub(super) target: Target,
    /// Its own account of itself, of when it was ready.
    pub(super) report: InstanceReport,
    /// Time at which it was there.
    pub(super) created: Nanos,
    /// The connection for its execution, which is open already.
    pub(super) connection: Option<Arc<ConnectionAhead>>,
}

impl StandbyProcess {
    /// Starts one, and waits until it can take its execution.
    pub(super) async fn start(
        context: Rc<LocalContext>,
        spec: &FunctionSpec,
        instance: InstanceKey,
    ) -> Result<Self, InstanceProblem> {
        let socket = context.socket(instance);
        let options = StartOptions {
            socket: Some(socket.clone()),
            env: vec![("PICOFAAS_STANDBY", "1".to_owned())],
            ..StartOptions::default()
        };
        let serving = serving_process::start(&context, spec, options).await?;
        let ServingProcess { process, report, created, ready: _, connection } = serving;
        // Of another program nobody knows for how long it leaves a connection open that is idle.
        let connection = connection.filter(|_| report.acknowledges).map(ConnectionAhead::new);
        Ok(Self { context, process, target: Target::Unix(socket), report, created, connection })
    }

    /// Its name: that of its process.
    #[must_use]
    pub(super) fn name(&self) -> String {
        self.process.pid().map_or_else(String::new, |pid| pid.to_string())
    }

    /// Returns when it has ended before it had an execution, with how it did. Nothing is lost when it is dropped early.
    pub(super) async fn ended(&mut self) -> String {
        self.process.ended().await.map_or_else(|error| error.to_string(), describe)
    }

    /// Tells why it is gone that has ended without an execution.
    pub(super) async fn explain(self, how: String, spec: &FunctionSpec) -> InstanceProblem {
        // Its last output is read by a task that may not have run yet.
        tokio::task::yield_now().await;
        serving_process::explain(&format!("{how} before it was given an execution"), &self.process, spec)
    }

    /// Ends it, which has no execution.
    pub(super) async fn stop(mut self) {
        // One that is open may keep a program from ending.
        drop(self.connection.take().and_then(|connection| connection.take()));
        self.process.stop(self.patience()).await;
    }

    /// Sees it through the execution that it was given. Returns when it is gone; the attempt is told how it ended.
    pub(super) async fn serve(mut self, take: StandbyTake) {
        let StandbyTake { execution, killed, ended, .. } = take;
        self.process.belongs_to(execution);
        let status = tokio::select! {
            status = self.process.ended() => status,
            why = killed => {
                match why {
                    Ok(Kill::Answered) => self.process.stop(self.patience()).await,
                    Ok(Kill::Posted | Kill::Unwanted) | Err(_) => self.process.kill(),
                }
                self.process.ended().await
            }
        };
        let end =
            serving_process::end_of_attempt(status, "before it answered", &self.process, execution).await;
        channel::answer(ended, end);
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.context.stop_timeout_ms)
    }
}
