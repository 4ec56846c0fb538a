//! A process that takes one request after the other, and the requests that it was sent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustix::io::ioctl_fionread;
use tokio::net::unix::pipe::Sender;
use tokio::task::spawn_local;
use tokio::time::{Duration, Instant, sleep};

use crate::frame::{self, FrameForm};
use crate::limits::{AHEAD_MAX, AHEAD_REQUESTS_MAX, STOP_GRACE};
use crate::log_pipe::LogPipe;
use crate::reply_frame::{self, Readiness};
use crate::request::{Request, RequestState};
use crate::wake_slot::WakeSlot;
use crate::worker_exit::WorkerExit;
use crate::write_buffer::WriteBuffer;

/// A worker that runs, seen from the sending side.
pub(crate) struct Worker {
    pub(crate) log: Rc<LogPipe>,
    /// Absent once it shall read no more.
    stdin: RefCell<Option<Sender>>,
    write_buffer: RefCell<WriteBuffer>,
    /// Bytes of frames that it has taken out of its pipe, once that is known for good.
    bytes_read: Cell<Option<u64>>,
    /// 0 until it is ready.
    concurrency: Cell<usize>,
    form: Cell<FrameForm>,
    last_sequence: Cell<u32>,
    /// Requests without a reply, in the order in which they were sent.
    in_flight: RefCell<VecDeque<InFlightRequest>>,
    /// Time at which the first of those was begun, if it takes one at a time.
    begun_at: Cell<Option<Instant>>,
    /// Duration of its last request.
    last_took: Cell<Option<Duration>>,
    /// It takes no more requests.
    is_stopped: Cell<bool>,
    /// Tells its supervisor why.
    exit: WakeSlot<WorkerExit>,
}

/// A request that was sent to a worker.
pub(crate) struct InFlightRequest {
    pub(crate) sequence: u32,
    /// None once it was cancelled.
    pub(crate) request: Option<Rc<Request>>,
    /// End of its frame among the bytes of all.
    end: u64,
}

impl Worker {
    pub(crate) fn new(stdin: Sender, log: Rc<LogPipe>) -> Rc<Self> {
        Rc::new(Self {
            log,
            stdin: RefCell::new(Some(stdin)),
            write_buffer: RefCell::default(),
            bytes_read: Cell::new(None),
            concurrency: Cell::new(0),
            form: Cell::new(FrameForm::Objects),
            last_sequence: Cell::new(0),
            in_flight: RefCell::default(),
            begun_at: Cell::new(None),
            last_took: Cell::new(None),
            is_stopped: Cell::new(false),
            exit: WakeSlot::default(),
        })
    }

    /// Makes it ready for requests.
    pub(crate) fn set_ready(&self, readiness: Readiness) {
        self.concurrency.set(readiness.concurrency);
        self.form.set(readiness.form);
    }

    /// The form of its frames.
    pub(crate) fn form(&self) -> FrameForm {
        self.form.get()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.concurrency.get() > 0 && !self.is_stopped.get()
    }

    /// Number of requests that it has.
    pub(crate) fn load(&self) -> usize {
        self.in_flight.borrow().len()
    }

    /// Whether it would begin another request at once.
    pub(crate) fn is_free(&self) -> bool {
        self.is_ready() && self.load() < self.concurrency.get()
    }

    /// Whether it may have another request while it works on one: so that it need not wait for
    /// the next. Where there are `others` who might be free before, only if it is quick.
    pub(crate) fn takes_ahead(&self, others: bool) -> bool {
        if !self.is_ready() || self.concurrency.get() != 1 {
            return false;
        }
        let in_flight = self.in_flight.borrow();
        let quick = || {
            let so_far = self.begun_at.get().map(|begun_at| begun_at.elapsed());
            self.last_took.get().is_some_and(|took| took < AHEAD_MAX)
                && so_far.is_some_and(|time| time < AHEAD_MAX)
        };
        let has_room = match in_flight.len() {
            1 => !others || quick(),
            // A worker with the old frames was written for one.
            held => held <= AHEAD_REQUESTS_MAX && self.form() == FrameForm::Heads && !others && quick(),
        };
        // Behind one that is to be stopped it would only wait for the next worker.
        has_room
            && in_flight.front().is_some_and(|first| first.request.is_some())
            && !self.log.had_unattributed_line_recently()
    }

    /// Sends it a request, or has the request answered where its body is not what it should be.
    pub(crate) fn send(self: &Rc<Self>, request: Rc<Request>) {
        if let Err(error) = request.prepare(self.form()) {
            return request.finish(Err(error));
        }
        let sequence = self.last_sequence.get().checked_add(1).unwrap_or(1);
        self.last_sequence.set(sequence);
        self.log.begin_attempt(sequence, request.context.execution_id());
        let end = self.write_buffer.borrow_mut().append(|bytes| request.write(self.form(), bytes, sequence));
        request.set_state(RequestState::InFlight(Rc::clone(self), sequence));
        self.in_flight.borrow_mut().push_back(InFlightRequest { sequence, request: Some(request), end });
        let load = self.load();
        if load == 1 {
            self.begun_at.set(Some(Instant::now()));
        }
        self.update_log_owner();
        // For one that is at work, and has its next, others may follow in this turn of the event loop, and
        // one write by its supervisor takes them all.
        let has_next = load > if self.is_serial() { 2 } else { 1 };
        if has_next || self.flush() == Flushed::Blocked {
            self.exit.wake();
        }
    }

    /// Takes a reply.
    ///
    /// # Errors
    /// It does not keep to the protocol.
    pub(crate) fn take_reply(
        self: &Rc<Self>,
        sequence: u32,
        payload: BytesMut,
    ) -> Result<ReplyTiming, WorkerExit> {
        let at = self.index_of(sequence).ok_or_else(|| {
            WorkerExit::ProtocolViolation(format!(
                "a reply has the sequence number {sequence}, under which it has no request"
            ))
        })?;
        if at > 0 && self.concurrency.get() == 1 {
            let fault = format!("it replied to request {sequence} before the one that came first");
            return Err(WorkerExit::ProtocolViolation(fault));
        }
        let reply = reply_frame::read_reply(self.form(), payload)
            .map_err(|fault| WorkerExit::InvalidReply { sequence, fault })?;
        let Some(replied) = self.in_flight.borrow_mut().remove(at) else { return Ok(ReplyTiming::Late) };
        self.log.end_attempt(sequence);
        if self.concurrency.get() == 1 {
            let now = Instant::now();
            self.last_took.set(self.begun_at.replace(Some(now)).map(|begun_at| now.duration_since(begun_at)));
            if let Some(next) = self.in_flight.borrow().front()
                && next.request.is_none()
            {
                // It was cancelled before it was begun. Most end sooner than another worker
                // would start.
                self.expect_reply_within_grace(next.sequence);
            }
        }
        match replied.request {
            Some(request) => request.take_reply(reply),
            None => return Ok(ReplyTiming::Late),
        }
        Ok(ReplyTiming::InTime)
    }

    /// The fault of a frame over the limit: an output that is too large, where it is the reply
    /// to a request.
    pub(crate) fn frame_too_long(&self, sequence: u32, length: usize, output_max: usize) -> WorkerExit {
        match self.index_of(sequence) {
            Some(at) if at == 0 || !self.is_serial() => {
                WorkerExit::OutputTooLarge { sequence, max: output_max }
            }
            Some(_) | None => WorkerExit::ProtocolViolation(format!(
                "a frame of sequence number {sequence} says that it has {length} bytes"
            )),
        }
    }

    /// Whether it has a request of this number.
    pub(crate) fn has_request(&self, sequence: u32) -> bool {
        self.index_of(sequence).is_some()
    }

    /// The fault of text where a frame should begin. It may be of any execution that the worker had.
    pub(crate) fn printed(&self, text: String) -> WorkerExit {
        WorkerExit::Printed { text, readers: self.log.readers() }
    }

    /// Gives up a request that nobody waits for any more.
    pub(crate) fn cancel(self: &Rc<Self>, sequence: u32, is_late: bool) {
        let Some(at) = self.index_of(sequence) else { return };
        self.in_flight.borrow_mut()[at].request = None;
        self.log.end_attempt(sequence);
        if self.concurrency.get() > 1 {
            self.write_buffer.borrow_mut().append(|bytes| frame::write_stop(bytes, sequence));
            self.exit.wake();
            self.expect_reply_within_grace(sequence);
            self.update_log_owner();
        } else if at == 0 {
            // Lines that it writes when it is stopped are still of this request.
            self.stop(if is_late {
                WorkerExit::DeadlineExceeded { sequence }
            } else {
                WorkerExit::CallerGone { sequence }
            });
        }
    }

    /// Has its supervisor end it. The supervisor sees to its requests.
    pub(crate) fn stop(&self, exit: WorkerExit) {
        if !self.is_stopped.replace(true) {
            self.exit.put(exit);
        }
    }

    /// Lets it go on after all where it has replied to this request meanwhile.
    pub(crate) fn revoke_stop_if_replied(&self, sequence: u32) -> bool {
        let has_replied = self.index_of(sequence).is_none();
        if has_replied {
            self.is_stopped.set(false);
        }
        has_replied
    }

    /// Has it end by itself: it gets nothing more to read.
    pub(crate) fn close_stdin(&self) {
        self.stdin.take();
    }

    /// Takes away the requests without a reply. The second list has those that it has certainly not
    /// begun: that it has not read, and, where it takes one at a time, those behind the first.
    pub(crate) fn take_in_flight(
        &self,
        exit: &WorkerExit,
    ) -> (VecDeque<InFlightRequest>, VecDeque<InFlightRequest>) {
        self.is_stopped.set(true);
        self.measure_bytes_read();
        let mut begun = self.in_flight.take();
        let read = self.bytes_read.get().unwrap_or(u64::MAX);
        let unread = if exit.spares_unread_requests() {
            begun.partition_point(|in_flight| in_flight.end <= read)
        } else {
            begun.len()
        };
        let behind = if self.is_serial() && exit.spares_requests_ahead() { 1 } else { begun.len() };
        let unbegun = begun.split_off(unread.min(behind).min(begun.len()));
        (begun, unbegun)
    }

    /// Whether it begins its requests in the order in which they were sent, one after the other.
    pub(crate) fn is_serial(&self) -> bool {
        self.concurrency.get() == 1
    }

    /// Writes what there is to write, and waits for a reason to end it.
    pub(crate) fn poll_exit(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<WorkerExit> {
        while self.flush() == Flushed::Blocked {
            let stdin = self.stdin.borrow();
            match stdin.as_ref().map(|stdin| stdin.poll_write_ready(cx)) {
                // A broken pipe is found by the next write.
                Some(Poll::Ready(Ok(()) | Err(_))) => {}
                Some(Poll::Pending) | None => break,
            }
        }
        self.exit.poll(cx)
    }

    /// Gives lines without an id to its request, where it has one only.
    pub(crate) fn update_log_owner(&self) {
        let in_flight = self.in_flight.borrow();
        let only = in_flight.front().filter(|_| in_flight.len() == 1);
        let request = only.and_then(|only| only.request.as_ref());
        self.log.set_owner(request.map(|request| request.context.logger()));
    }

    /// Measures how far it has read: everything but the bytes in the pipe and those before it.
    fn measure_bytes_read(&self) {
        if let Some(stdin) = self.stdin.borrow().as_ref()
            && let Ok(in_pipe) = ioctl_fionread(stdin)
        {
            self.bytes_read.set(Some(self.write_buffer.borrow().bytes_read(in_pipe)));
        }
    }

    fn flush(self: &Rc<Self>) -> Flushed {
        while let Some(written) = self.write_once() {
            match written {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => {
                    self.measure_bytes_read();
                    self.close_stdin();
                    // Most have ended, and their exit status says more.
                    let fault = "it has closed its standard input".to_owned();
                    self.stop_after_grace(|_| true, WorkerExit::ProtocolViolation(fault));
                }
            }
        }
        Flushed::All
    }

    /// Writes as much as goes at once; None where there is nothing to write, or nobody to
    /// write it to.
    fn write_once(&self) -> Option<std::io::Result<()>> {
        let (stdin, mut buffer) = (self.stdin.borrow(), self.write_buffer.borrow_mut());
        let stdin = stdin.as_ref().filter(|_| !buffer.is_empty())?;
        Some(buffer.write_to(stdin))
    }

    fn expect_reply_within_grace(self: &Rc<Self>, sequence: u32) {
        self.stop_after_grace(move |worker| worker.index_of(sequence).is_some(), WorkerExit::Unresponsive);
    }

    fn stop_after_grace(self: &Rc<Self>, still: impl Fn(&Self) -> bool + 'static, exit: WorkerExit) {
        let worker = Rc::clone(self);
        spawn_local(async move {
            sleep(STOP_GRACE).await;
            if still(&worker) {
                worker.stop(exit);
            }
        });
    }

    fn index_of(&self, sequence: u32) -> Option<usize> {
        let in_flight = self.in_flight.borrow();
        // In the order of the numbers, which begin again after the last.
        let first = in_flight.front()?.sequence;
        let distance = |other: u32| other.wrapping_sub(first);
        in_flight.binary_search_by_key(&distance(sequence), |other| distance(other.sequence)).ok()
    }
}

/// The result of writing frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushed {
    /// None is left.
    All,
    /// The pipe is full.
    Blocked,
}

/// The time at which a reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyTiming {
    /// Its request was answered with it.
    InTime,
    /// Nobody waited for it.
    Late,
}
