//! A worker's place: whoever leaves it is followed by another.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use picofaas_child::Stream;
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Duration, Instant, sleep};

use crate::child::Child;
use crate::crew::{Crew, Stage};
use crate::diary::Diary;
use crate::end::End;
use crate::fault;
use crate::frame::{self, HEADER_BYTES};
use crate::limits::{
    FRAME_BYTES_BESIDES, PIPE_BYTES, READ_BYTES, READY_SILENCE_MAX, RESTART_PAUSE_MAX, RESTART_PAUSE_MIN,
    SERVICE_MIN, STOP_GRACE,
};
use crate::log;
use crate::worker::{Replied, Worker};

/// A place for one worker after the other.
pub(crate) struct Seat {
    crew: Rc<Crew>,
    taken: Cell<bool>,
}

/// What a worker writes.
struct Replies {
    pipe: Receiver,
    /// Frames that are not whole yet; at most one of the longest, and a read.
    buffer: BytesMut,
    /// When the worker became ready.
    ready: Option<Instant>,
}

impl Seat {
    pub(crate) fn new(crew: Rc<Crew>) -> Rc<Self> {
        Rc::new(Self { crew, taken: Cell::new(false) })
    }

    /// Whether there is a worker.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.get()
    }

    /// Starts a worker, and another whenever it has ended, until there shall be none.
    pub(crate) async fn keep(self: Rc<Self>) {
        let mut useless = 0;
        loop {
            self.taken.set(true);
            let (end, ready) = self.employ().await;
            self.taken.set(false);
            match self.crew.stage() {
                Stage::Stopping => return,
                Stage::Starting => return self.crew.fail_to_start(&end),
                Stage::Open => {}
            }
            self.crew.tally.count_restart(&end);
            let was_useful = ready.is_some_and(|ready| ready.elapsed() >= SERVICE_MIN);
            useless = if end.is_its_own() && !was_useful { useless + 1 } else { 0 };
            let pause = pause(useless);
            if pause.is_zero() {
                log::line(&format!("warning {end}; another is started"));
            } else {
                log::line(&format!("warning {end}; another is started in {} ms", pause.as_millis()));
                sleep(pause).await;
            }
        }
    }

    /// Starts a worker and passes on what it says until its time is over.
    async fn employ(&self) -> (End, Option<Instant>) {
        let mut command = self.crew.program.command();
        command.stdin(Stream::Piped);
        let (child, pipes) = match Child::start(&mut command, &self.crew.children) {
            Ok(started) => started,
            Err(error) => return (End::Unstartable(error.to_string()), None),
        };
        let lost = "a standard stream that was asked for is there";
        let (stdin, pipe) = (pipes.stdin.expect(lost), pipes.stdout.expect(lost));
        // Where they stay smaller, more reads and writes do the same.
        let _ = fcntl_setpipe_size(&stdin, PIPE_BYTES);
        let _ = fcntl_setpipe_size(&pipe, PIPE_BYTES);
        let worker = Worker::new(stdin, Diary::keep(pipes.stderr.expect(lost)));
        self.crew.join(&worker);
        let mut replies = Replies { pipe, buffer: BytesMut::with_capacity(READ_BYTES), ready: None };
        let end = self.attend(&worker, &child, &mut replies).await;
        self.crew.leave(&worker, &end);
        (end, replies.ready)
    }

    async fn attend(&self, worker: &Rc<Worker>, child: &Child, replies: &mut Replies) -> End {
        let mut ended = pin!(child.ended());
        let mut silence = pin!(sleep(READY_SILENCE_MAX));
        let mut is_silent = true;
        let mut parting = pin!(None);
        let status = poll_fn(|cx| {
            while let Poll::Ready(end) = worker.poll_over(cx) {
                let Some(sequence) = end.given_up() else { return Poll::Ready(Err(end)) };
                // It may be at the next request already, which it must not lose then.
                if let Err(end) = replies.hear_rest(worker, &self.crew) {
                    return Poll::Ready(Err(end));
                }
                if !worker.is_spared(sequence) {
                    return Poll::Ready(Err(end));
                }
                self.crew.hand_out();
            }
            if parting.is_none() {
                match replies.poll_hear(worker, &self.crew, cx) {
                    Poll::Ready(Ok(())) => parting.set(Some(sleep(STOP_GRACE))),
                    Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                    Poll::Pending => {}
                }
            }
            if let Poll::Ready(status) = ended.as_mut().poll(cx) {
                return Poll::Ready(Ok(status));
            }
            if let Some(parting) = parting.as_mut().as_pin_mut()
                && parting.poll(cx).is_ready()
            {
                return Poll::Ready(Err(End::Garbage("it has closed its standard output".to_owned())));
            }
            if is_silent && replies.ready.is_none() && silence.as_mut().poll(cx).is_ready() {
                is_silent = false;
                let seconds = READY_SILENCE_MAX.as_secs();
                log::line(&format!("warning a worker has not said in {seconds} s that it is ready"));
            }
            Poll::Pending
        })
        .await;
        let status = match status {
            Err(end) => return end,
            Ok(Err(error)) => return End::Exited(format!("was lost: {error}")),
            Ok(Ok(status)) => status,
        };
        // Whoever could write has ended, so what is in the pipes now is all there will be.
        if let Err(end) = replies.hear_rest(worker, &self.crew) {
            return end;
        }
        worker.diary.catch_up(true);
        End::Exited(format!("{}{}", fault::how(status), worker.diary.last_line_at_start()))
    }
}

impl Replies {
    /// Takes what comes until there is no more of it.
    fn poll_hear(&mut self, worker: &Rc<Worker>, crew: &Crew, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            self.buffer.reserve(READ_BYTES);
            let read = match pin!(self.pipe.read_buf(&mut self.buffer)).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => read,
            };
            match read {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => self.take_frames(worker, crew)?,
                Err(error) => return Poll::Ready(Err(End::Garbage(error.to_string()))),
            }
        }
    }

    /// Takes what is there without waiting for more. The pipe itself is asked: what tokio knows
    /// of it may be a moment old.
    fn hear_rest(&mut self, worker: &Rc<Worker>, crew: &Crew) -> Result<(), End> {
        let mut piece = [0; HEADER_BYTES * 1024];
        let mut rest = 2 * PIPE_BYTES;
        while rest > 0
            && let Ok(read @ 1..) = rustix::io::read(&self.pipe, &mut piece)
        {
            self.buffer.extend_from_slice(&piece[..read]);
            self.take_frames(worker, crew)?;
            rest = rest.saturating_sub(read);
        }
        Ok(())
    }

    fn take_frames(&mut self, worker: &Rc<Worker>, crew: &Crew) -> Result<(), End> {
        let mut caught_up = false;
        while let Some((length, sequence)) = frame::read_header(&self.buffer) {
            let output_max = crew.output_max.get();
            if length > output_max + FRAME_BYTES_BESIDES {
                return Err(worker.too_long(sequence, length, output_max));
            }
            let Some(payload) = frame::take_payload(&mut self.buffer, length) else {
                self.buffer.reserve(HEADER_BYTES + length - self.buffer.len());
                break;
            };
            if self.ready.is_none() {
                self.take_first(sequence, &payload, worker, crew)?;
                continue;
            }
            if !caught_up {
                worker.diary.catch_up(worker.is_serial());
                caught_up = true;
            }
            match worker.take_reply(sequence, &payload)? {
                Replied::InTime => {}
                Replied::Late => crew.tally.count_late_reply(),
            }
        }
        if caught_up {
            crew.hand_out();
            worker.name_owner();
        }
        Ok(())
    }

    fn take_first(
        &mut self,
        sequence: u32,
        payload: &[u8],
        worker: &Rc<Worker>,
        crew: &Crew,
    ) -> Result<(), End> {
        if sequence != 0 {
            let fault = format!("its first frame has the sequence number {sequence} and not 0");
            return Err(End::Garbage(fault));
        }
        let first = frame::read_first(payload)
            .map_err(|fault| End::Garbage(format!("its first frame is none: {fault}")))?;
        let concurrency = first.map_err(End::Unready)?;
        self.ready = Some(Instant::now());
        worker.is_ready_for(concurrency);
        crew.welcome();
        Ok(())
    }
}

/// The pause after so many processes in a row that were of no use.
pub(crate) fn pause(useless: u32) -> Duration {
    match useless {
        0 | 1 => Duration::ZERO,
        more => RESTART_PAUSE_MIN.saturating_mul(1 << (more - 2).min(8)).min(RESTART_PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_no_use_is_followed_at_once_and_the_pause_then_grows_up_to_a_second() {
        let pauses: Vec<_> = (0..7).map(|useless| pause(useless).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 200, 400, 800, 1000, 1000]);
        assert_eq!(pause(u32::MAX), RESTART_PAUSE_MAX);
    }
}
