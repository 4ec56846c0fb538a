//! The processes of a `JOB` function: a fresh one for each attempt, never used again.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::host::ProcessHost;
use super::process::{Process, StartOptions};
use super::serving_process;
use crate::change_signal::ChangeSignal;
use crate::channel;
use crate::error::ErrorCode;
use crate::function_version::FunctionVersion;
use crate::instance::InstanceProblem;
use crate::messages::control_message::{JobEnd, JobStart};

/// The processes of one version, one per attempt.
#[derive(Debug)]
pub struct JobProcesses {
    host: Rc<ProcessHost>,
    /// URL by which processes reach the runtime listener.
    runtime_url: Rc<str>,
    function: Arc<FunctionVersion>,
    running: Cell<u32>,
    ended_one: ChangeSignal,
}

impl JobProcesses {
    /// The processes of this version; none runs yet.
    #[must_use]
    pub fn new(host: Rc<ProcessHost>, runtime_url: Rc<str>, function: Arc<FunctionVersion>) -> Rc<Self> {
        let ended_one = ChangeSignal::default();
        Rc::new(Self { host, runtime_url, function, running: Cell::new(0), ended_one })
    }

    /// Processes that run.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.running.get()
    }

    /// Returns when no process runs.
    pub async fn emptied(&self) {
        self.ended_one.until(|| self.count() == 0).await;
    }

    /// Starts the process of one attempt, and tells when it is gone.
    pub fn start(self: &Rc<Self>, start: JobStart) {
        let JobStart { function: _, execution, attempt: _, trace_id, token, time_left: _, killed, ended } =
            start;
        let options = StartOptions {
            socket: None,
            env: vec![
                ("EXECUTION_ID", execution.to_string()),
                ("TRACE_ID", trace_id),
                ("PICOFAAS_RUNTIME_URL", self.runtime_url.to_string()),
                ("PICOFAAS_TOKEN", token.to_string()),
            ],
            execution: Some(execution),
        };
        let spec = &self.function.spec;
        let mut process = match Process::start(spec, options, &self.host) {
            Ok(process) => process,
            Err(error) => {
                let reason = error.to_string();
                tracing::warn!(function = %spec.name, "{reason}");
                self.function.problem.store(Some(Arc::new(InstanceProblem::new(reason.clone()))));
                channel::answer(ended, JobEnd { code: ErrorCode::NoInstance, reason, exited_with_0: false });
                return;
            }
        };
        if self.function.problem.load().is_some() {
            self.function.problem.store(None);
        }
        self.running.set(self.running.get() + 1);
        let jobs = self.clone();
        tokio::task::spawn_local(async move {
            let by_itself = tokio::select! {
                status = process.ended() => Some(status),
                _ = killed => None,
            };
            let status = match by_itself {
                Some(status) => status,
                None => {
                    process.kill();
                    process.ended().await
                }
            };
            let end =
                serving_process::end_of_attempt(status, "before it posted a result", &process, execution)
                    .await;
            jobs.running.set(jobs.running.get() - 1);
            jobs.ended_one.notify();
            channel::answer(ended, end);
        });
    }
}
