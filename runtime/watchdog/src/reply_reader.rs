//! The frames that a worker writes: the first, with which it is ready, then its replies.

use std::future::Future as _;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::Instant;

use crate::frame::{self, HEADER_BYTES};
use crate::limits::{FRAME_BYTES_BESIDES, FRAME_BYTES_RESERVED_MAX, PIPE_BYTES, READ_BYTES};
use crate::printed_text::printed_text;
use crate::reply_frame;
use crate::worker::{ReplyTiming, Worker};
use crate::worker_exit::WorkerExit;
use crate::worker_pool::WorkerPool;

/// Reads a worker's standard output.
pub(crate) struct ReplyReader {
    pipe: Receiver,
    /// Frames that are not whole yet; at most one of the longest, and a read.
    buffer: BytesMut,
    /// Time of the first frame.
    ready_since: Option<Instant>,
}

impl ReplyReader {
    pub(crate) fn new(pipe: Receiver) -> Self {
        Self { pipe, buffer: BytesMut::with_capacity(READ_BYTES), ready_since: None }
    }

    /// Time at which the worker became ready.
    pub(crate) fn ready_since(&self) -> Option<Instant> {
        self.ready_since
    }

    /// Takes frames as they come, until the pipe ends.
    pub(crate) fn poll_read(
        &mut self,
        worker: &Rc<Worker>,
        pool: &WorkerPool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WorkerExit>> {
        loop {
            self.buffer.reserve(READ_BYTES);
            let read = match pin!(self.pipe.read_buf(&mut self.buffer)).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => read,
            };
            match read {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => self.take_frames(worker, pool)?,
                Err(error) => return Poll::Ready(Err(WorkerExit::ProtocolViolation(error.to_string()))),
            }
        }
    }

    /// Takes the frames that are there without waiting for more. The pipe itself is asked: tokio's
    /// knowledge of it may be a moment old.
    pub(crate) fn read_rest(&mut self, worker: &Rc<Worker>, pool: &WorkerPool) -> Result<(), WorkerExit> {
        let mut piece = [0; HEADER_BYTES * 1024];
        let mut rest = 2 * PIPE_BYTES;
        while rest > 0
            && let Ok(read @ 1..) = rustix::io::read(&self.pipe, &mut piece)
        {
            self.buffer.extend_from_slice(&piece[..read]);
            self.take_frames(worker, pool)?;
            rest = rest.saturating_sub(read);
        }
        Ok(())
    }

    fn take_frames(&mut self, worker: &Rc<Worker>, pool: &WorkerPool) -> Result<(), WorkerExit> {
        let mut log_drained = false;
        let output_max = pool.output_max.get();
        let length_max = output_max + FRAME_BYTES_BESIDES;
        loop {
            let is_reply = |sequence: u32, payload: &[u8]| {
                worker.has_request(sequence) && reply_frame::may_be_reply(worker.form(), payload)
            };
            if let Some(text) = printed_text(&self.buffer, length_max, is_reply) {
                return Err(worker.printed(text));
            }
            let Some((length, sequence)) = frame::read_header(&self.buffer) else { break };
            if length > length_max {
                return Err(worker.frame_too_long(sequence, length, output_max));
            }
            let Some(payload) = frame::take_payload(&mut self.buffer, length) else {
                let missing = HEADER_BYTES + length - self.buffer.len();
                self.buffer.reserve(missing.min(FRAME_BYTES_RESERVED_MAX));
                break;
            };
            if self.ready_since.is_none() {
                self.take_ready(sequence, &payload, worker, pool)?;
                continue;
            }
            if !log_drained {
                worker.log.drain(worker.is_serial());
                log_drained = true;
            }
            match worker.take_reply(sequence, payload)? {
                ReplyTiming::InTime => {}
                ReplyTiming::Late => pool.counters.count_late_reply(),
            }
        }
        if log_drained {
            pool.dispatch();
            worker.update_log_owner();
        }
        Ok(())
    }

    fn take_ready(
        &mut self,
        sequence: u32,
        payload: &[u8],
        worker: &Rc<Worker>,
        pool: &WorkerPool,
    ) -> Result<(), WorkerExit> {
        if sequence != 0 {
            let fault = format!("its first frame has the sequence number {sequence} and not 0");
            return Err(WorkerExit::ProtocolViolation(fault));
        }
        let ready = reply_frame::read_ready(payload)
            .map_err(|fault| WorkerExit::ProtocolViolation(format!("its first frame is none: {fault}")))?;
        let readiness = ready.map_err(WorkerExit::NotReady)?;
        self.ready_since = Some(Instant::now());
        worker.set_ready(readiness);
        pool.worker_ready(readiness.form);
        Ok(())
    }
}
