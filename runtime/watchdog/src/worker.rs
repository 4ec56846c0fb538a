//! A process that takes one request after the other, and what it was sent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustix::io::ioctl_fionread;
use tokio::net::unix::pipe::Sender;
use tokio::task::spawn_local;
use tokio::time::{Duration, Instant, sleep};

use crate::diary::Diary;
use crate::end::End;
use crate::errand::{Errand, Place};
use crate::frame;
use crate::limits::{AHEAD_MAX, OUT_BYTES_KEPT, STOP_GRACE};
use crate::notice::Notice;

/// A worker that runs, seen from those who send requests.
pub(crate) struct Worker {
    pub(crate) diary: Rc<Diary>,
    /// Gone once it shall read no more.
    stdin: RefCell<Option<Sender>>,
    out: RefCell<Out>,
    /// Bytes of frames that it has taken out of its pipe, once that is known for good.
    read: Cell<Option<u64>>,
    /// 0 until it is ready.
    concurrency: Cell<usize>,
    last_sequence: Cell<u32>,
    /// What it was sent and has not replied to, in the order in which it was sent.
    held: RefCell<VecDeque<Held>>,
    /// When the first of those was begun, where it takes one at a time.
    since: Cell<Option<Instant>>,
    /// How long its last one took.
    took: Cell<Option<Duration>>,
    /// Its time is over.
    gone: Cell<bool>,
    /// Says so to its seat.
    over: Notice<End>,
}

/// Frames that are not yet in the pipe.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    /// How many of these are in the pipe.
    written: usize,
    /// Bytes of all frames that there were.
    total: u64,
}

/// A request that it was sent.
pub(crate) struct Held {
    pub(crate) sequence: u32,
    /// None once nobody waits for it any more.
    pub(crate) errand: Option<Rc<Errand>>,
    /// Where its frame ends among the bytes of all.
    end: u64,
}

impl Worker {
    pub(crate) fn new(stdin: Sender, diary: Rc<Diary>) -> Rc<Self> {
        Rc::new(Self {
            diary,
            stdin: RefCell::new(Some(stdin)),
            out: RefCell::default(),
            read: Cell::new(None),
            concurrency: Cell::new(0),
            last_sequence: Cell::new(0),
            held: RefCell::default(),
            since: Cell::new(None),
            took: Cell::new(None),
            gone: Cell::new(false),
            over: Notice::default(),
        })
    }

    /// It takes so many requests at a time from now on.
    pub(crate) fn is_ready_for(&self, concurrency: usize) {
        self.concurrency.set(concurrency);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.concurrency.get() > 0 && !self.gone.get()
    }

    /// How many requests it has.
    pub(crate) fn load(&self) -> usize {
        self.held.borrow().len()
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
        let held = self.held.borrow();
        // Behind one that is to be stopped it would only wait for the next worker.
        let alone = held.len() == 1 && held[0].errand.is_some();
        let quick = || {
            let so_far = self.since.get().map(|since| since.elapsed());
            self.took.get().is_some_and(|took| took < AHEAD_MAX)
                && so_far.is_some_and(|time| time < AHEAD_MAX)
        };
        alone && !self.diary.spoke_lately() && (!others || quick())
    }

    /// Sends it a request.
    pub(crate) fn send(self: &Rc<Self>, errand: Rc<Errand>) {
        let sequence = self.last_sequence.get().checked_add(1).unwrap_or(1);
        self.last_sequence.set(sequence);
        self.diary.begin(sequence, errand.context.execution_id());
        let end = self.out.borrow_mut().append(|bytes| {
            frame::write_request(bytes, sequence, &errand.input, &errand.context);
        });
        errand.moved(Place::Held(Rc::clone(self), sequence));
        self.held.borrow_mut().push_back(Held { sequence, errand: Some(errand), end });
        let alone = self.load() == 1;
        if alone {
            self.since.set(Some(Instant::now()));
        }
        self.name_owner();
        // For one that is at work others may follow in this turn of the event loop, and one
        // write by its seat takes them all.
        if !(alone || self.is_serial()) || self.flush() == Flushed::Blocked {
            self.over.nudge();
        }
    }

    /// Takes a reply.
    ///
    /// # Errors
    /// It does not keep to the protocol.
    pub(crate) fn take_reply(self: &Rc<Self>, sequence: u32, payload: &BytesMut) -> Result<Replied, End> {
        let at = self.place_of(sequence).ok_or_else(|| {
            End::Garbage(format!("a reply has the sequence number {sequence}, under which it has no request"))
        })?;
        if at > 0 && self.concurrency.get() == 1 {
            let fault = format!("it replied to request {sequence} before the one that came first");
            return Err(End::Garbage(fault));
        }
        let outcome = frame::read_reply(payload).map_err(|fault| End::NoReply { sequence, fault })?;
        let Some(held) = self.held.borrow_mut().remove(at) else { return Ok(Replied::Late) };
        self.diary.end(sequence);
        if self.concurrency.get() == 1 {
            let now = Instant::now();
            self.took.set(self.since.replace(Some(now)).map(|since| now.duration_since(since)));
            if let Some(next) = self.held.borrow().front()
                && next.errand.is_none()
            {
                // It was given up before it was begun. Most end sooner than another worker
                // would start.
                self.expect_within_grace(next.sequence);
            }
        }
        match held.errand {
            Some(errand) => errand.finish(outcome),
            None => return Ok(Replied::Late),
        }
        Ok(Replied::InTime)
    }

    /// What a frame over the limit means: an output that is too large, where it is the reply
    /// to a request.
    pub(crate) fn too_long(&self, sequence: u32, length: usize, output_max: usize) -> End {
        match self.place_of(sequence) {
            Some(at) if at == 0 || !self.is_serial() => End::TooLarge { sequence, max: output_max },
            Some(_) | None => {
                End::Garbage(format!("a frame of sequence number {sequence} says that it has {length} bytes"))
            }
        }
    }

    /// Nobody waits for a request any more.
    pub(crate) fn abandon(self: &Rc<Self>, sequence: u32, is_late: bool) {
        let Some(at) = self.place_of(sequence) else { return };
        self.held.borrow_mut()[at].errand = None;
        self.diary.end(sequence);
        if self.concurrency.get() > 1 {
            self.out.borrow_mut().append(|bytes| frame::write_stop(bytes, sequence));
            self.over.nudge();
            self.expect_within_grace(sequence);
            self.name_owner();
        } else if at == 0 {
            // What it writes when it is stopped is still of this request.
            self.dismiss(if is_late { End::Deadline { sequence } } else { End::CallerGone { sequence } });
        }
    }

    /// Ends its time. What it held is seen to by its seat.
    pub(crate) fn dismiss(&self, end: End) {
        if !self.gone.replace(true) {
            self.over.post(end);
        }
    }

    /// Lets it go on after all where it has replied to this request meanwhile.
    pub(crate) fn is_spared(&self, sequence: u32) -> bool {
        let spared = self.place_of(sequence).is_none();
        if spared {
            self.gone.set(false);
        }
        spared
    }

    /// Has it end by itself: it gets nothing more to read.
    pub(crate) fn close(&self) {
        self.stdin.take();
    }

    /// What it was sent and has not replied to; it has none of it afterwards. Apart from the
    /// rest is what it has certainly not begun: what it has not read, and, where it takes one
    /// at a time, what was behind the first.
    pub(crate) fn give_back(&self, end: &End) -> (VecDeque<Held>, VecDeque<Held>) {
        self.gone.set(true);
        self.look_how_far_it_read();
        let mut begun = self.held.take();
        let read = self.read.get().unwrap_or(u64::MAX);
        let unread = if end.spares_what_was_unread() {
            begun.partition_point(|held| held.end <= read)
        } else {
            begun.len()
        };
        let behind = if self.is_serial() && end.spares_what_was_ahead() { 1 } else { begun.len() };
        let unbegun = begun.split_off(unread.min(behind).min(begun.len()));
        (begun, unbegun)
    }

    /// Whether what it was sent is begun in that order, one after the other.
    pub(crate) fn is_serial(&self) -> bool {
        self.concurrency.get() == 1
    }

    /// Writes what there is to write, and waits for the end of its time.
    pub(crate) fn poll_over(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<End> {
        while self.flush() == Flushed::Blocked {
            let stdin = self.stdin.borrow();
            match stdin.as_ref().map(|stdin| stdin.poll_write_ready(cx)) {
                // What is broken is found by the next write.
                Some(Poll::Ready(Ok(()) | Err(_))) => {}
                Some(Poll::Pending) | None => break,
            }
        }
        self.over.poll(cx)
    }

    /// Lines without an id are of its request, where it has one only.
    pub(crate) fn name_owner(&self) {
        let held = self.held.borrow();
        let only = held.front().filter(|_| held.len() == 1).and_then(|held| held.errand.as_ref());
        self.diary.belongs_to(only.map(|errand| errand.context.logger()));
    }

    /// What is in the pipe, or not even there, it has not read.
    fn look_how_far_it_read(&self) {
        let (stdin, out) = (self.stdin.borrow(), self.out.borrow());
        if let Some(stdin) = stdin.as_ref()
            && let Ok(in_pipe) = ioctl_fionread(stdin)
        {
            let unwritten = (out.bytes.len() - out.written) as u64;
            self.read.set(Some(out.total.saturating_sub(unwritten + in_pipe)));
        }
    }

    fn flush(self: &Rc<Self>) -> Flushed {
        while let Some(written) = self.write_once() {
            match written {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => {
                    self.look_how_far_it_read();
                    self.close();
                    // Most have ended, and their exit status says more.
                    let end = End::Garbage("it has closed its standard input".to_owned());
                    self.dismiss_after_grace(|_| true, end);
                }
            }
        }
        Flushed::All
    }

    /// Writes as much as goes at once; None where there is nothing to write, or nobody to
    /// write it to.
    fn write_once(&self) -> Option<std::io::Result<()>> {
        let (stdin, mut out) = (self.stdin.borrow(), self.out.borrow_mut());
        let stdin = stdin.as_ref().filter(|_| !out.bytes.is_empty())?;
        let written = stdin.try_write(&out.bytes[out.written..]);
        Some(written.map(|written| {
            out.written += written;
            if out.written == out.bytes.len() {
                out.bytes.clear();
                out.bytes.shrink_to(OUT_BYTES_KEPT);
                out.written = 0;
            }
        }))
    }

    fn expect_within_grace(self: &Rc<Self>, sequence: u32) {
        self.dismiss_after_grace(move |worker| worker.place_of(sequence).is_some(), End::Stuck);
    }

    fn dismiss_after_grace(self: &Rc<Self>, still: impl Fn(&Self) -> bool + 'static, end: End) {
        let worker = Rc::clone(self);
        spawn_local(async move {
            sleep(STOP_GRACE).await;
            if still(&worker) {
                worker.dismiss(end);
            }
        });
    }

    fn place_of(&self, sequence: u32) -> Option<usize> {
        let held = self.held.borrow();
        // In the order of the numbers, which begin again after the last.
        let first = held.front()?.sequence;
        held.binary_search_by_key(&sequence.wrapping_sub(first), |held| held.sequence.wrapping_sub(first))
            .ok()
    }
}

impl Out {
    /// Appends a frame; where it ends among the bytes of all.
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        // A worker that is always behind never has all of it in its pipe. To move no more than
        // is let go of costs no more than to have written it.
        if self.written >= self.bytes.len() - self.written {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.total += (self.bytes.len() - before) as u64;
        self.total
    }
}

/// What became of the frames that there were to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushed {
    /// None is left.
    All,
    /// The pipe is full.
    Blocked,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replied {
    /// Its request was answered.
    InTime,
    /// Nobody waited for it.
    Late,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_pipe_is_let_go_of_though_there_is_always_more_to_write() {
        let (mut out, mut written) = (Out::default(), Vec::new());
        for frame in 0..1000_u64 {
            let end = out.append(|bytes| bytes.extend_from_slice(&frame.to_be_bytes()));
            assert_eq!(end, (frame + 1) * 8);
            assert!(out.bytes.len() <= 4 * 8, "{} bytes are kept", out.bytes.len());
            // All but the last byte.
            written.extend_from_slice(&out.bytes[out.written..out.bytes.len() - 1]);
            out.written = out.bytes.len() - 1;
        }
        let all: Vec<u8> = (0..1000_u64).flat_map(u64::to_be_bytes).collect();
        assert_eq!(written, all[..all.len() - 1]);
    }
}
