//! All workers, and the queue of requests for them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use picofaas_runtime::HandlerError;

use crate::children::Children;
use crate::counters::Counters;
use crate::frame::FrameForm;
use crate::last_line::LastLine;
use crate::program::Program;
use crate::request::{Request, RequestState};
use crate::wake_slot::WakeSlot;
use crate::worker::Worker;
use crate::worker_exit::WorkerExit;

/// All workers, and the requests that wait for one.
pub(crate) struct WorkerPool {
    pub(crate) program: Program,
    pub(crate) children: Rc<Children>,
    pub(crate) counters: Counters,
    /// Wanted number of workers.
    size: usize,
    /// Bytes of an output; taken from the requests, which know the setting.
    pub(crate) output_max: Cell<usize>,
    /// Workers that run, ready or not.
    workers: RefCell<Vec<Rc<Worker>>>,
    /// In the order of arrival. While there are any, no worker is free.
    queue: RefCell<VecDeque<Rc<Request>>>,
    started: WakeSlot<Result<(), HandlerError>>,
    state: Cell<PoolState>,
    /// The form of the worker that became ready last: all are the same program.
    form: Cell<FrameForm>,
    /// The end of the last worker.
    last_exit: RefCell<Option<WorkerExit>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolState {
    /// No worker has been ready yet.
    Starting,
    Serving,
    Stopping,
}

impl WorkerPool {
    pub(crate) fn new(program: Program, size: usize) -> Self {
        Self {
            program,
            children: Children::new(),
            counters: Counters::default(),
            size,
            output_max: Cell::new(0),
            workers: RefCell::default(),
            queue: RefCell::default(),
            started: WakeSlot::default(),
            state: Cell::new(PoolState::Starting),
            form: Cell::new(FrameForm::Objects),
            last_exit: RefCell::default(),
        }
    }

    /// Wanted number of workers.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn state(&self) -> PoolState {
        self.state.get()
    }

    /// Waits until one worker is ready; fails where one ends before that.
    pub(crate) async fn started(&self) -> Result<(), HandlerError> {
        self.started.wait().await
    }

    /// Takes a worker that runs.
    pub(crate) fn add(&self, worker: &Rc<Worker>) {
        self.workers.borrow_mut().push(Rc::clone(worker));
    }

    /// Counts on a worker that has become ready.
    pub(crate) fn worker_ready(&self, form: FrameForm) {
        self.form.set(form);
        if self.state.get() == PoolState::Starting {
            self.state.set(PoolState::Serving);
            self.started.put(Ok(()));
        }
        self.dispatch();
    }

    /// Fails the start: a worker has ended before any became ready.
    pub(crate) fn fail_to_start(&self, exit: &WorkerExit) {
        // Another that is ready a moment later must not hide it: there would be a worker too few.
        self.state.set(PoolState::Stopping);
        self.started.put(Err(exit.error(0, &LastLine::Nothing)));
    }

    /// Takes out a worker that has ended. Its requests are answered, or go to another where they were
    /// not begun.
    pub(crate) fn remove(&self, worker: &Rc<Worker>, exit: &WorkerExit) {
        self.workers.borrow_mut().retain(|other| !Rc::ptr_eq(other, worker));
        *self.last_exit.borrow_mut() = Some(exit.clone());
        let (begun, unbegun) = worker.take_in_flight(exit);
        for in_flight in begun {
            if let Some(request) = in_flight.request {
                let sequence = in_flight.sequence;
                request.finish(Err(exit.error(sequence, &worker.log.last_line(sequence))));
            }
        }
        for request in unbegun.into_iter().rev().filter_map(|in_flight| in_flight.request) {
            request.set_state(RequestState::Queued);
            self.queue.borrow_mut().push_front(request);
        }
        self.dispatch();
    }

    /// Puts a request in the queue, and sends it where a worker can take it.
    ///
    /// # Errors
    /// The answer to a body that is not what it should be, where workers do not read bodies.
    pub(crate) fn enqueue(&self, request: &Rc<Request>) -> Result<(), HandlerError> {
        request.prepare(self.form.get())?;
        self.queue.borrow_mut().push_back(Rc::clone(request));
        self.dispatch();
        Ok(())
    }

    /// Sends queued requests to workers that can take them.
    pub(crate) fn dispatch(&self) {
        loop {
            if self.queue.borrow().is_empty() {
                return;
            }
            let Some(worker) = self.pick_worker() else { return };
            let Some(request) = self.queue.borrow_mut().pop_front() else { return };
            worker.send(request);
        }
    }

    /// The worker with the least to do, or else one that takes a request ahead.
    fn pick_worker(&self) -> Option<Rc<Worker>> {
        let workers = self.workers.borrow();
        let free = workers.iter().filter(|worker| worker.is_free()).min_by_key(|worker| worker.load());
        let others = self.size > 1;
        free.or_else(|| workers.iter().find(|worker| worker.takes_ahead(others))).cloned()
    }

    /// Gives a request up that nobody waits for any more.
    pub(crate) fn cancel(&self, request: &Rc<Request>) {
        match request.set_state(RequestState::Done) {
            RequestState::Done => {}
            RequestState::InFlight(worker, sequence) => worker.cancel(sequence, request.is_late()),
            RequestState::Queued => {
                let mut queue = self.queue.borrow_mut();
                // The longest in the queue are the first whose time is over.
                if let Some(at) = queue.iter().position(|other| Rc::ptr_eq(other, request)) {
                    queue.remove(at);
                }
            }
        }
    }

    /// Whether a worker is ready.
    pub(crate) fn health(&self) -> Result<(), HandlerError> {
        if self.workers.borrow().iter().any(|worker| worker.is_ready()) {
            return Ok(());
        }
        let last = match &*self.last_exit.borrow() {
            Some(exit) => format!("no worker is ready: {}", exit.public_message()),
            None => "no worker is ready yet".to_owned(),
        };
        Err(HandlerError::new(503, "NOT_READY", last))
    }

    /// The metrics of the workers and of their processes, as Prometheus' text.
    pub(crate) fn write_metrics(&self, text: &mut String) {
        self.children.write_metrics(text);
        let ready = self.workers.borrow().iter().filter(|worker| worker.is_ready()).count();
        self.counters.write_metrics(text, ready, self.queue.borrow().len());
    }

    /// Has every ready worker end by itself, and ends the others.
    pub(crate) fn begin_stop(&self) {
        self.state.set(PoolState::Stopping);
        for worker in &*self.workers.borrow() {
            if worker.is_ready() {
                worker.close_stdin();
            } else {
                // It loads something that nobody needs any more.
                worker.stop(WorkerExit::Shutdown);
            }
        }
    }

    /// Ends the workers that have not ended by themselves.
    pub(crate) fn stop_workers(&self) {
        for worker in &*self.workers.borrow() {
            worker.stop(WorkerExit::Shutdown);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task;

    use super::*;
    use crate::exit_reason::ExitReason;
    use crate::named_command::{CommandSource, NamedCommand};

    #[test]
    fn a_start_that_has_failed_is_not_saved_by_another_worker_that_is_ready_a_moment_later() {
        let pool = WorkerPool::new(
            Program::new(NamedCommand { words: vec!["python3".to_owned()], source: CommandSource::Path }),
            2,
        );
        pool.fail_to_start(&WorkerExit::Exited(ExitReason::new("ended with exit status 1")));
        pool.worker_ready(FrameForm::Objects);
        let context = task::Context::from_waker(task::Waker::noop());
        let task::Poll::Ready(Err(error)) = pool.started.poll(&context) else { panic!("it has started") };
        assert!(error.to_string().contains("exit status 1"), "{error}");
    }
}
