//! `WATCHDOG_MODE=worker`: processes that take one request after the other, so that what is
//! slow to start is started once. Here requests and workers find each other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use picofaas_runtime::{Context, Handler, HandlerError};
use serde_json::value::RawValue;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use crate::children::Children;
use crate::end::End;
use crate::errand::{Errand, Place};
use crate::limits::STOP_GRACE;
use crate::notice::Notice;
use crate::program::Program;
use crate::seat::Seat;
use crate::settings::Settings;
use crate::tally::Tally;
use crate::worker::Worker;

/// The program, standing by in so many processes.
pub(crate) struct Standing {
    crew: Rc<Crew>,
    seats: RefCell<Vec<(Rc<Seat>, JoinHandle<()>)>>,
}

/// All workers, and the requests that wait for one.
pub(crate) struct Crew {
    pub(crate) program: Program,
    pub(crate) children: Rc<Children>,
    pub(crate) tally: Tally,
    /// How many workers there shall be.
    size: usize,
    /// Bytes; what the requests say, which know the setting.
    pub(crate) output_max: Cell<usize>,
    /// Those that run, ready or not.
    workers: RefCell<Vec<Rc<Worker>>>,
    /// In the order in which they came. While there are any, no worker is free.
    waiting: RefCell<VecDeque<Rc<Errand>>>,
    started: Notice<Result<(), HandlerError>>,
    stage: Cell<Stage>,
    /// How the last worker ended.
    last_end: RefCell<Option<End>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No worker has been ready yet.
    Starting,
    Open,
    Stopping,
}

/// Gives a request up when nobody waits for it any more.
struct Promise<'a> {
    crew: &'a Crew,
    errand: Rc<Errand>,
}

impl Standing {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { command, workers, .. } = settings;
        let crew = Crew {
            program: Program::new(command),
            children: Children::new(),
            tally: Tally::default(),
            size: workers,
            output_max: Cell::new(0),
            workers: RefCell::default(),
            waiting: RefCell::default(),
            started: Notice::default(),
            stage: Cell::new(Stage::Starting),
            last_end: RefCell::default(),
        };
        Self { crew: Rc::new(crew), seats: RefCell::default() }
    }
}

impl Handler<()> for Standing {
    type Input = Box<RawValue>;
    type Output = Box<RawValue>;

    async fn start(&self) -> Result<(), HandlerError> {
        self.crew.program.find()?;
        self.crew.children.adopt()?;
        for _ in 0..self.crew.size {
            let seat = Seat::new(Rc::clone(&self.crew));
            let keeping = spawn_local(Rc::clone(&seat).keep());
            self.seats.borrow_mut().push((seat, keeping));
        }
        self.crew.started.wait().await
    }

    async fn call(&self, input: Box<RawValue>, context: Context) -> Result<Box<RawValue>, HandlerError> {
        self.crew.output_max.set(context.output_bytes_max());
        let promise = Promise { crew: &self.crew, errand: Errand::new(input, context) };
        self.crew.waiting.borrow_mut().push_back(Rc::clone(&promise.errand));
        self.crew.hand_out();
        promise.errand.outcome().await
    }

    fn health(&self) -> Result<(), HandlerError> {
        if self.crew.workers.borrow().iter().any(|worker| worker.is_ready()) {
            return Ok(());
        }
        let last = match &*self.crew.last_end.borrow() {
            Some(end) => format!("no worker is ready: {}", end.for_anybody()),
            None => "no worker is ready yet".to_owned(),
        };
        Err(HandlerError::new(503, "NOT_READY", last))
    }

    fn write_metrics(&self, text: &mut String) {
        self.crew.children.write_metrics(text);
        let ready = self.crew.workers.borrow().iter().filter(|worker| worker.is_ready()).count();
        self.crew.tally.write_metrics(text, ready, self.crew.waiting.borrow().len());
    }

    async fn stop(&self) {
        self.crew.stage.set(Stage::Stopping);
        for worker in &*self.crew.workers.borrow() {
            if worker.is_ready() {
                worker.close();
            } else {
                // It loads something that nobody needs any more.
                worker.dismiss(End::Closing);
            }
        }
        let mut leaving = Vec::new();
        for (seat, keeping) in self.seats.take() {
            if seat.is_taken() {
                leaving.push(keeping);
            } else {
                keeping.abort();
            }
        }
        let left = async {
            for keeping in &mut leaving {
                // It fails only where it panicked, which was written by the hook.
                let _ = keeping.await;
            }
        };
        if timeout(STOP_GRACE, left).await.is_err() {
            for worker in &*self.crew.workers.borrow() {
                worker.dismiss(End::Closing);
            }
            for keeping in leaving.into_iter().filter(|keeping| !keeping.is_finished()) {
                // As above.
                let _ = keeping.await;
            }
        }
        self.crew.children.stop().await;
    }
}

impl Crew {
    pub(crate) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// A worker runs.
    pub(crate) fn join(&self, worker: &Rc<Worker>) {
        self.workers.borrow_mut().push(Rc::clone(worker));
    }

    /// A worker has become ready.
    pub(crate) fn welcome(&self) {
        if self.stage.get() == Stage::Starting {
            self.stage.set(Stage::Open);
            self.started.post(Ok(()));
        }
        self.hand_out();
    }

    /// There was no worker yet that became ready, and one has ended.
    pub(crate) fn fail_to_start(&self, end: &End) {
        // One that is ready a moment later must not hide it: there would be a place too few.
        self.stage.set(Stage::Stopping);
        self.started.post(Err(HandlerError::internal(end)));
    }

    /// A worker has ended: what it held is answered, or goes to another where it was not begun.
    pub(crate) fn leave(&self, worker: &Rc<Worker>, end: &End) {
        self.workers.borrow_mut().retain(|other| !Rc::ptr_eq(other, worker));
        *self.last_end.borrow_mut() = Some(end.clone());
        let (begun, unbegun) = worker.give_back(end);
        for held in begun {
            if let Some(errand) = held.errand {
                errand.finish(Err(end.error(held.sequence, &worker.diary.last_line(held.sequence))));
            }
        }
        for errand in unbegun.into_iter().rev().filter_map(|held| held.errand) {
            errand.moved(Place::Waiting);
            self.waiting.borrow_mut().push_front(errand);
        }
        self.hand_out();
    }

    /// Sends what waits to whoever can take it.
    pub(crate) fn hand_out(&self) {
        loop {
            if self.waiting.borrow().is_empty() {
                return;
            }
            let Some(worker) = self.choose() else { return };
            let Some(errand) = self.waiting.borrow_mut().pop_front() else { return };
            worker.send(errand);
        }
    }

    /// The worker with the least to do, or else one that takes a request ahead.
    fn choose(&self) -> Option<Rc<Worker>> {
        let workers = self.workers.borrow();
        let free = workers.iter().filter(|worker| worker.is_free()).min_by_key(|worker| worker.load());
        let others = self.size > 1;
        free.or_else(|| workers.iter().find(|worker| worker.takes_ahead(others))).cloned()
    }

    fn give_up(&self, errand: &Rc<Errand>) {
        match errand.moved(Place::Done) {
            Place::Done => {}
            Place::Held(worker, sequence) => worker.abandon(sequence, errand.is_late()),
            Place::Waiting => {
                let mut waiting = self.waiting.borrow_mut();
                // The longest in line are the first whose time is over.
                if let Some(at) = waiting.iter().position(|other| Rc::ptr_eq(other, errand)) {
                    waiting.remove(at);
                }
            }
        }
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.crew.give_up(&self.errand);
    }
}

#[cfg(test)]
mod tests {
    use std::task;

    use super::*;
    use crate::form::{InputForm, OutputForm};
    use crate::http::Endpoint;
    use crate::settings::Mode;

    #[test]
    fn a_start_that_has_failed_is_not_saved_by_another_worker_that_is_ready_a_moment_later() {
        let standing = Standing::new(Settings {
            mode: Mode::Worker,
            command: vec!["python3".to_owned()],
            input: InputForm::Input,
            output: OutputForm::Json,
            workers: 2,
            endpoint: Endpoint::default(),
        });
        let crew = standing.crew;
        crew.fail_to_start(&End::Exited("ended with exit status 1".to_owned()));
        crew.welcome();
        let context = task::Context::from_waker(task::Waker::noop());
        let task::Poll::Ready(Err(error)) = crew.started.poll(&context) else { panic!("it has started") };
        assert!(error.to_string().contains("exit status 1"), "{error}");
    }
}
