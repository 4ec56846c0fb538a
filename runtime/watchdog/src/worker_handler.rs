//! `WATCHDOG_MODE=worker`: processes that take one request after the other, so that what is
//! slow to start is started once.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_runtime::{Context, Handler, HandlerError, OutputBytes, RawBody};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use crate::limits::STOP_GRACE;
use crate::program::Program;
use crate::request::Request;
use crate::settings::Settings;
use crate::worker_pool::WorkerPool;
use crate::worker_supervisor::WorkerSupervisor;

/// The program in a pool of processes, each with a supervisor.
pub(crate) struct WorkerHandler {
    pool: Rc<WorkerPool>,
    supervisors: RefCell<Vec<(Rc<WorkerSupervisor>, JoinHandle<()>)>>,
}

/// Cancels a request on drop, when nobody waits for it any more.
struct CancelOnDrop<'a> {
    pool: &'a WorkerPool,
    request: Rc<Request>,
}

impl WorkerHandler {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { command, workers, .. } = settings;
        let pool = WorkerPool::new(Program::of_worker(command), workers);
        Self { pool: Rc::new(pool), supervisors: RefCell::default() }
    }
}

impl Handler<()> for WorkerHandler {
    type Input = RawBody;
    type Output = OutputBytes;

    async fn start(&self) -> Result<(), HandlerError> {
        self.pool.program.find()?;
        self.pool.children.become_subreaper()?;
        for _ in 0..self.pool.size() {
            let supervisor = WorkerSupervisor::new(Rc::clone(&self.pool));
            let task = spawn_local(Rc::clone(&supervisor).run());
            self.supervisors.borrow_mut().push((supervisor, task));
        }
        self.pool.started().await
    }

    async fn call(&self, body: RawBody, context: Context) -> Result<OutputBytes, HandlerError> {
        self.pool.output_max.set(context.output_bytes_max());
        let guard = CancelOnDrop { pool: &self.pool, request: Request::new(body, context) };
        self.pool.enqueue(&guard.request)?;
        guard.request.outcome().await
    }

    fn health(&self) -> Result<(), HandlerError> {
        self.pool.health()
    }

    fn write_metrics(&self, text: &mut String) {
        self.pool.write_metrics(text);
    }

    async fn stop(&self) {
        self.pool.begin_stop();
        let mut running = Vec::new();
        for (supervisor, task) in self.supervisors.take() {
            if supervisor.has_worker() {
                running.push(task);
            } else {
                task.abort();
            }
        }
        let ended = async {
            for task in &mut running {
                // It fails only where it panicked, which was written by the hook.
                let _ = task.await;
            }
        };
        if timeout(STOP_GRACE, ended).await.is_err() {
            self.pool.stop_workers();
            for task in running.into_iter().filter(|task| !task.is_finished()) {
                // As above.
                let _ = task.await;
            }
        }
        self.pool.children.stop().await;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.pool.cancel(&self.request);
    }
}
