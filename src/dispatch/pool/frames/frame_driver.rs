//! The socket of an open connection: one task reads and writes it, and tells what came of each attempt.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use picofaas_frames::{CloseReason, GatewayEvent};
use tokio::time::{Sleep, sleep};

use super::frame_connection::FrameConnection;
use super::frame_outcome::FrameOutcome;
use super::frame_state::FrameState;
use super::offer::OfferEnd;
use super::opening::{OpenedStream, READ_BYTES_MIN};
use crate::clock::{Clock, NANOS_PER_MS, Nanos};
use crate::dispatch::pool::instance_stream::InstanceStream;
use crate::store::executions::Executions;

/// Reads in one turn, each of them of a buffer at most; then others have theirs.
const READS_PER_TURN: usize = 4;

/// The socket of a connection, and the time.
#[derive(Debug)]
pub(crate) struct FrameDriver {
    connection: Rc<FrameConnection>,
    stream: InstanceStream,
    input: BytesMut,
    clock: Clock,
    /// Largest output, in bytes.
    output_max: usize,
    /// Time at which the protocol is asked again whatever comes. It may be too early: then it is set anew.
    alarm: Option<(Nanos, Pin<Box<Sleep>>)>,
    /// Time of the last read, or of the alarm after a read that gave nothing. Silence is judged by it, so that bytes
    /// that wait here count however late this thread comes to read them.
    now: Nanos,
    reads_left: usize,
}

impl FrameDriver {
    /// The driver of a connection, and what it shares with those who begin attempts. Outputs have at most `output_max`
    /// bytes.
    pub(crate) fn new(opened: OpenedStream, clock: Clock, output_max: usize) -> (Self, Rc<FrameConnection>) {
        let OpenedStream { stream, input } = opened;
        stream.watch_peer();
        let now = clock.now();
        let connection = FrameConnection::new(now);
        let driver = Self {
            connection: connection.clone(),
            stream,
            input,
            clock,
            output_max,
            alarm: None,
            now,
            reads_left: READS_PER_TURN,
        };
        (driver, connection)
    }

    /// One turn: `apply` is told all that has come, in order, and answers whether the scheduler has been told of it;
    /// then `poke` runs where it was; then what was begun until then is written.
    ///
    /// Ready when the connection is over.
    pub(crate) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        executions: &Executions,
        mut apply: impl FnMut(FrameOutcome) -> bool,
        poke: impl FnOnce(),
    ) -> Poll<OfferEnd> {
        self.connection.turn_begins(cx.waker());
        self.reads_left = READS_PER_TURN;
        let mut told = false;
        let end = loop {
            match self.poll_outcome(cx) {
                Poll::Ready(Ok(outcome)) => told |= apply(outcome),
                Poll::Ready(Err(end)) => break Some(end),
                Poll::Pending => break None,
            }
        };
        if told {
            poke();
        }
        if let Some(end) = end {
            // The last word of a connection that is closed; nobody waits for it.
            let _ = self.poll_write(cx);
            self.connection.turn_ends();
            return Poll::Ready(end);
        }
        self.flush(cx, executions);
        self.connection.turn_ends();
        if self.reads_left == 0 {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The next thing that came of an attempt. `Err` when there is nothing more to come of any.
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<FrameOutcome, OfferEnd>> {
        loop {
            let event = self.connection.state.borrow_mut().frames.poll_event(self.now, &mut self.input);
            match event {
                Some(GatewayEvent::Closed { reason }) => {
                    let is_accused = self.connection.state.borrow().is_accused;
                    return Poll::Ready(Err(closed(reason, is_accused)));
                }
                Some(event) => {
                    let mut state = self.connection.state.borrow_mut();
                    if let Some(outcome) =
                        state.outcome_of(&self.connection, event, self.now, self.output_max)
                    {
                        return Poll::Ready(Ok(outcome));
                    }
                }
                None if self.connection.is_done() => self.connection.state.borrow_mut().frames.close(),
                None => ready!(self.poll_more(cx)),
            }
        }
    }

    /// Waits for more bytes, or for the time at which the protocol wants to be asked.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reads_left > 0 {
            self.input.reserve(READ_BYTES_MIN);
            if let Poll::Ready(read) = self.stream.poll_read(cx, &mut self.input) {
                self.reads_left -= 1;
                self.now = self.clock.now();
                match read {
                    Ok(0) => self.break_off(&io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                    Err(error) => self.break_off(&error),
                }
                return Poll::Ready(());
            }
        }
        self.poll_alarm(cx)
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.connection.state.borrow().frames.next_deadline_ns();
        let Some(deadline) = deadline else {
            // The alarm that is set, if one is, finds nothing to do.
            return Poll::Pending;
        };
        if self.alarm.as_ref().is_none_or(|(at, _)| deadline < *at) {
            // From this moment: the last read may be long ago.
            let wait = deadline.saturating_sub(self.clock.now());
            // Rounded up, lest it goes off before the time.
            let wait = Duration::from_millis(wait.div_ceil(NANOS_PER_MS));
            self.alarm = Some((deadline, Box::pin(sleep(wait))));
        }
        let Some((_, alarm)) = &mut self.alarm else { return Poll::Pending };
        ready!(alarm.as_mut().poll(cx));
        self.alarm = None;
        self.now = self.clock.now();
        Poll::Ready(())
    }

    fn break_off(&self, error: &io::Error) {
        self.connection.state.borrow_mut().break_off(error.kind());
    }

    /// Writes what waits, as far as the socket takes it, and takes note of the attempts that it began.
    fn flush(&mut self, cx: &mut Context<'_>, executions: &Executions) {
        if let Err(error) = self.poll_write(cx) {
            self.break_off(&error);
            cx.waker().wake_by_ref();
            return;
        }
        let FrameState { frames, unwritten, .. } = &mut *self.connection.state.borrow_mut();
        if unwritten.is_empty() || frames.has_outgoing() {
            return;
        }
        let written = self.clock.now();
        let mut executions = executions.borrow_mut();
        for (_, ticket, begun) in unwritten.drain(..) {
            executions.written(ticket, begun, written);
        }
    }

    /// Writes until nothing is left, or the socket takes no more and will wake the task.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let frames = &mut self.connection.state.borrow_mut().frames;
        loop {
            let bytes = frames.outgoing();
            if bytes.is_empty() {
                return Ok(());
            }
            match self.stream.poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => frames.written(written),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
    }
}

/// The end of a connection, for the next offer: an instance that breaks the protocol, or finds that this end does
/// (`is_accused`), is not asked again.
fn closed(reason: CloseReason, is_accused: bool) -> OfferEnd {
    match reason {
        CloseReason::Violation(violation) => OfferEnd::Broken(violation),
        // Also of one that accuses: its attempts go to others only where the scheduler knows.
        CloseReason::Silent => OfferEnd::Silent,
        CloseReason::HalfFrame | CloseReason::Disconnected | CloseReason::Closed if is_accused => {
            OfferEnd::Declined
        }
        CloseReason::HalfFrame | CloseReason::Disconnected | CloseReason::Closed => OfferEnd::Lost,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use picofaas_frames::{InstanceConnection, RequestHead, Settings};
    use tokio::net::UnixStream;
    use tokio::time::Instant;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_sign_of_life_is_asked_for_in_time_also_after_an_idle_hour() {
        let (stream, _peer) = UnixStream::pair().unwrap();
        let mut instance = InstanceConnection::new(Settings::default(), 0);
        // It greets in the same write as its `101`, so that nothing was ever waited for.
        let opened = OpenedStream { stream: InstanceStream::Unix(stream), input: instance.outgoing().into() };
        let (mut driver, connection) = FrameDriver::new(opened, Clock::start(), 0);
        turn(&mut driver).await;
        driver.clock = driver.clock.ahead(HOUR);
        let head = RequestHead {
            execution_id: [1; 20],
            trace_id: [2; 16],
            parent_span_id: [3; 8],
            trace_flags: 0,
            attempt: 1,
            deadline_ms: 30_000,
        };
        let ping_after = Duration::from_nanos(Settings::default().ping_after_ns);
        let asked_by = Instant::now() + ping_after;
        let now = driver.clock.now();
        connection.state.borrow_mut().frames.begin(now, &head, &[], &Bytes::new()).unwrap();
        turn(&mut driver).await;
        let (_, alarm) = driver.alarm.as_ref().unwrap();
        let wait = alarm.deadline() - Instant::now();
        assert!(alarm.deadline() >= asked_by, "it is asked after {wait:?} already");
        assert!(wait < HOUR, "it is asked after {wait:?} only");
    }

    #[test]
    fn an_instance_that_accuses_is_not_asked_again_and_one_that_falls_silent_is_told_of_in_any_case() {
        for is_accused in [false, true] {
            assert!(matches!(closed(CloseReason::Silent, is_accused), OfferEnd::Silent));
            let lost = closed(CloseReason::Disconnected, is_accused);
            assert_eq!(matches!(lost, OfferEnd::Declined), is_accused, "{lost:?}");
        }
    }

    /// A turn in which nothing comes of any attempt.
    async fn turn(driver: &mut FrameDriver) {
        poll_fn(|cx| {
            assert!(driver.poll_outcome(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
}
