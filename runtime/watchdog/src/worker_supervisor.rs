//! One worker after the other: a worker that ends is followed by another.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use picofaas_child::Stream;
use rustix::pipe::fcntl_setpipe_size;
use tokio::time::{Instant, sleep};

use crate::backoff::restart_delay;
use crate::child::Child;
use crate::exit_reason::ExitReason;
use crate::limits::{PIPE_BYTES, READY_WARNING_AFTER, STOP_GRACE, UPTIME_MIN};
use crate::log;
use crate::log_pipe::LogPipe;
use crate::reply_reader::ReplyReader;
use crate::worker::Worker;
use crate::worker_exit::WorkerExit;
use crate::worker_pool::{PoolState, WorkerPool};

/// Keeps one worker of the pool running.
pub(crate) struct WorkerSupervisor {
    pool: Rc<WorkerPool>,
    has_worker: Cell<bool>,
}

impl WorkerSupervisor {
    pub(crate) fn new(pool: Rc<WorkerPool>) -> Rc<Self> {
        Rc::new(Self { pool, has_worker: Cell::new(false) })
    }

    /// Whether there is a worker.
    pub(crate) fn has_worker(&self) -> bool {
        self.has_worker.get()
    }

    /// Starts a worker, and another whenever it has ended, until the pool stops.
    pub(crate) async fn run(self: Rc<Self>) {
        let mut failures = 0;
        loop {
            self.has_worker.set(true);
            let (exit, ready_since) = self.run_worker().await;
            self.has_worker.set(false);
            match self.pool.state() {
                PoolState::Stopping => return,
                PoolState::Starting => return self.pool.fail_to_start(&exit),
                PoolState::Serving => {}
            }
            self.pool.counters.count_restart(&exit);
            let was_useful = ready_since.is_some_and(|since| since.elapsed() >= UPTIME_MIN);
            failures = if exit.is_workers_fault() && !was_useful { failures + 1 } else { 0 };
            let delay = restart_delay(failures);
            if delay.is_zero() {
                log::line(&format!("warning {exit}; another is started"));
            } else {
                log::line(&format!("warning {exit}; another is started in {} ms", delay.as_millis()));
                sleep(delay).await;
            }
        }
    }

    /// Starts a worker and takes its replies until it ends; how it ended, and when it became ready.
    async fn run_worker(&self) -> (WorkerExit, Option<Instant>) {
        let mut command = self.pool.program.command();
        command.stdin(Stream::Piped);
        let (child, pipes) = match Child::start(&mut command, &self.pool.children) {
            Ok(started) => started,
            Err(error) => return (WorkerExit::NotStarted(error.to_string()), None),
        };
        let lost = "a standard stream that was asked for is there";
        let (stdin, pipe) = (pipes.stdin.expect(lost), pipes.stdout.expect(lost));
        // Where they stay smaller, more reads and writes do the same.
        let _ = fcntl_setpipe_size(&stdin, PIPE_BYTES);
        let _ = fcntl_setpipe_size(&pipe, PIPE_BYTES);
        let worker = Worker::new(stdin, LogPipe::forward(pipes.stderr.expect(lost)));
        self.pool.add(&worker);
        let mut replies = ReplyReader::new(pipe);
        let exit = self.supervise(&worker, &child, &mut replies).await;
        self.pool.remove(&worker, &exit);
        (exit, replies.ready_since())
    }

    async fn supervise(&self, worker: &Rc<Worker>, child: &Child, replies: &mut ReplyReader) -> WorkerExit {
        let mut ended = pin!(child.ended());
        let mut ready_warning = pin!(sleep(READY_WARNING_AFTER));
        let mut is_warning_due = true;
        let mut exit_grace = pin!(None);
        let status = poll_fn(|cx| {
            while let Poll::Ready(exit) = worker.poll_exit(cx) {
                let Some(sequence) = exit.cancelled_request() else { return Poll::Ready(Err(exit)) };
                // It may be at the next request already, which it must not lose then.
                if let Err(exit) = replies.read_rest(worker, &self.pool) {
                    return Poll::Ready(Err(exit));
                }
                if !worker.revoke_stop_if_replied(sequence) {
                    return Poll::Ready(Err(exit));
                }
                self.pool.dispatch();
            }
            if exit_grace.is_none() {
                match replies.poll_read(worker, &self.pool, cx) {
                    Poll::Ready(Ok(())) => exit_grace.set(Some(sleep(STOP_GRACE))),
                    Poll::Ready(Err(exit)) => return Poll::Ready(Err(exit)),
                    Poll::Pending => {}
                }
            }
            if let Poll::Ready(status) = ended.as_mut().poll(cx) {
                return Poll::Ready(Ok(status));
            }
            if let Some(exit_grace) = exit_grace.as_mut().as_pin_mut()
                && exit_grace.poll(cx).is_ready()
            {
                let fault = "it has closed its standard output".to_owned();
                return Poll::Ready(Err(WorkerExit::ProtocolViolation(fault)));
            }
            if is_warning_due && replies.ready_since().is_none() && ready_warning.as_mut().poll(cx).is_ready()
            {
                is_warning_due = false;
                let seconds = READY_WARNING_AFTER.as_secs();
                log::line(&format!("warning a worker has not said in {seconds} s that it is ready"));
            }
            Poll::Pending
        })
        .await;
        let status = match status {
            Err(exit) => return exit,
            Ok(Err(error)) => return exited(ExitReason::new(format!("was lost: {error}"))),
            Ok(Ok(status)) => status,
        };
        // Every process that could write has ended, so the pipes have all that there will be.
        if let Err(exit) = replies.read_rest(worker, &self.pool) {
            return exit;
        }
        worker.log.drain(true);
        let reason = ExitReason::of(status, self.pool.children.memory());
        exited(reason.with(worker.log.start_line()))
    }
}

fn exited(reason: ExitReason) -> WorkerExit {
    WorkerExit::Exited(reason.named("the worker"))
}
