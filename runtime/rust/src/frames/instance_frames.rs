//! The task of a connection that carries many invocations.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use picofaas_frames::{
    AnswerHead, CloseReason, DoneReason, Field, InstanceConnection, InstanceEvent, NotAnswered, Sequence,
    Settings,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framed_invocation::{self, Asked, FramedAnswer, FramedInvocation};
use super::framed_web::{self, Outlet, WebAnswer, WebStep};
use super::gathered_body::GatheredBody;
use super::pulse::Pulse;
use crate::clock;
use crate::context::InvocationHead;
use crate::drain::Drain;
use crate::handler::Handler;
use crate::invocation::InvocationAnswer;
use crate::limits::{
    FRAMED_INVOCATIONS_MAX, FRAMED_WEB_BODY_BYTES_MAX, FRAMES_PLACES_SPARE_MAX, FRAMES_READ_BYTES_MIN,
    FRAMES_READS_PER_TURN, FRAMES_WINDOW_BYTES,
};
use crate::log;
use crate::server::Instance;
use crate::standby::ConnectionKey;

/// A connection, and the invocations that it carries: `F` runs one.
struct InstanceFrames<S, F> {
    stream: S,
    frames: InstanceConnection,
    input: BytesMut,
    /// Invocations that came in this turn, and have not had their first.
    begun: Vec<Begun<F>>,
    /// Places that are free.
    spare: Vec<Place<F>>,
    /// Invocations that have not ended with their first turn, stopped ones included.
    running: FuturesUnordered<Running<F>>,
    /// The part of them that was neither stopped nor answered.
    invocations: BTreeMap<Sequence, Rc<FramedInvocation>>,
    /// Answers that come piece by piece, on their way from their invocations.
    outlet: Rc<Outlet>,
    pulse: Option<Pulse>,
    /// Beginning of the protocol's time.
    began: Instant,
    /// Time of the last read, or of the alarm after a read that gave nothing. Silence is judged by it, so that bytes
    /// that wait here count however late this thread comes to read them.
    now: Instant,
    /// Time at which the protocol is asked again whatever comes. It may be too early: then it is set anew.
    alarm: Option<Pin<Box<Sleep>>>,
    reads_left: usize,
    /// Largest body, in bytes.
    body_max: usize,
}

/// An invocation before its first turn.
struct Begun<F> {
    sequence: Sequence,
    invocation: Rc<FramedInvocation>,
    work: Place<F>,
}

/// Memory for the work of an invocation. That is some kilobytes, which are used again and not allocated for each.
type Place<F> = Pin<Box<Option<F>>>;

/// The work of an invocation that has not ended.
struct Running<F>(Place<F>);

impl<F: Future> Future for Running<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().as_pin_mut().map_or(Poll::Pending, |work| work.poll(cx))
    }
}

/// Serves a connection after its `101`, of which `read` has come already.
pub(super) async fn serve<S, H, Args>(
    stream: S,
    read: Bytes,
    instance: Rc<Instance<H>>,
    key: ConnectionKey,
    drain: &Rc<Drain>,
) where
    S: AsyncRead + AsyncWrite + AsFd + Unpin,
    H: Handler<Args>,
{
    let began = clock::now();
    let settings = Settings {
        attempts_max: FRAMED_INVOCATIONS_MAX,
        window_bytes: FRAMES_WINDOW_BYTES,
        takes_web: true,
        ..Settings::default()
    };
    let outlet = Rc::new(Outlet::default());
    let mut connection = InstanceFrames {
        outlet: Rc::clone(&outlet),
        pulse: instance.pulses.watch(&stream),
        stream,
        frames: InstanceConnection::new(settings, 0),
        input: BytesMut::from(read),
        begun: Vec::new(),
        spare: Vec::new(),
        running: FuturesUnordered::new(),
        invocations: BTreeMap::new(),
        began,
        now: began,
        alarm: None,
        reads_left: 0,
        body_max: instance.sizes.body_max,
    };
    let begin = |invocation, sequence, asked, arrived| {
        let (instance, outlet) = (Rc::clone(&instance), Rc::clone(&outlet));
        framed_invocation::run(instance, invocation, key, sequence, asked, arrived, outlet)
    };
    let mut waiter = None;
    poll_fn(|cx| {
        if waiter.is_none() {
            waiter = Some(drain.register(cx.waker().clone()));
        }
        connection.poll_turn(cx, &begin, drain)
    })
    .await;
    // The pulse may have the socket for a moment longer. The other end may be gone.
    let _ = poll_fn(|cx| Pin::new(&mut connection.stream).poll_shutdown(cx)).await;
}

impl<S, F> InstanceFrames<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = (Sequence, Option<FramedAnswer>)>,
{
    /// Reads what there is, lets the invocations go on, and writes what came of them. Ready when the connection is
    /// over.
    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        begin: &impl Fn(Rc<FramedInvocation>, Sequence, Asked, Instant) -> F,
        drain: &Drain,
    ) -> Poll<()> {
        self.reads_left = FRAMES_READS_PER_TURN;
        let is_over = self.take_events(cx, begin);
        // Before the handlers have their turn, as one of them may keep it for long.
        if let Some(pulse) = &self.pulse {
            pulse.beat(self.frames.in_flight() > 0);
        }
        self.begin_all(cx);
        while let Poll::Ready(Some((sequence, answer))) = self.running.poll_next_unpin(cx) {
            self.invocations.remove(&sequence);
            self.answer(sequence, answer);
        }
        self.take_steps();
        if drain.started() && !is_over {
            self.frames.go_away("the instance is stopping");
        }
        let written = self.write(cx);
        while let Some(sequence) = self.frames.next_sent() {
            if let Some(invocation) = self.invocations.get(&sequence) {
                invocation.allow_piece();
            }
        }
        if is_over || self.frames.is_drained() {
            return Poll::Ready(());
        }
        if written.is_err() {
            self.frames.disconnected();
        }
        if written.is_err() || self.reads_left == 0 {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Takes all that has come, and answers whether the connection is over.
    fn take_events(
        &mut self,
        cx: &mut Context<'_>,
        begin: &impl Fn(Rc<FramedInvocation>, Sequence, Asked, Instant) -> F,
    ) -> bool {
        loop {
            match self.frames.poll_event(self.ns(self.now), &mut self.input) {
                Some(InstanceEvent::Closed { reason }) => {
                    if let CloseReason::Violation(violation) = reason {
                        log::line(&format!("warning a connection of frames was closed: {violation}"));
                    }
                    return true;
                }
                Some(event) => self.take_event(event, begin),
                None if self.poll_more(cx).is_pending() => return false,
                None => {}
            }
        }
    }

    fn take_event(
        &mut self,
        event: InstanceEvent,
        begin: &impl Fn(Rc<FramedInvocation>, Sequence, Asked, Instant) -> F,
    ) {
        match event {
            InstanceEvent::Invoked { sequence, head, fields, body_bytes, body, ends } => {
                let (asked, body_max) = match fields.web_head() {
                    None => (Asked::Call(InvocationHead::of_frame(&head, &fields, self.now)), self.body_max),
                    Some(web) => {
                        let request = framed_web::request(&head, &web, &fields);
                        (Asked::Web(request.map(Box::new)), FRAMED_WEB_BODY_BYTES_MAX)
                    }
                };
                let body = if ends {
                    GatheredBody::whole_at_once(body, body_max)
                } else {
                    GatheredBody::announced(body_bytes, body_max)
                };
                let invocation = FramedInvocation::new(body);
                let mut work = self.spare.pop().unwrap_or_else(|| Box::pin(None));
                work.set(Some(begin(Rc::clone(&invocation), sequence, asked, self.now)));
                self.begun.push(Begun { sequence, invocation, work });
            }
            InstanceEvent::Data { sequence, bytes, ends } => {
                let invocation = self.invocation(sequence);
                if invocation.is_some_and(|invocation| invocation.body.add(&bytes, ends)) {
                    self.frames.consume(sequence, bytes.len());
                }
            }
            InstanceEvent::Cancelled { sequence, .. } | InstanceEvent::Lost { sequence } => {
                if let Some(invocation) = self.invocation(sequence) {
                    invocation.stop();
                }
                self.invocations.remove(&sequence);
            }
            InstanceEvent::GoingAway { code, text } => {
                if code != 0 {
                    log::line(&format!("warning the gateway closes a connection of frames: {text} ({code})"));
                }
            }
            // The caller has looked for it.
            InstanceEvent::Closed { .. } => {}
        }
    }

    /// An invocation that was neither stopped nor answered.
    fn invocation(&self, sequence: Sequence) -> Option<&Rc<FramedInvocation>> {
        let begun = self.begun.iter().find(|begun| begun.sequence == sequence);
        begun.map(|begun| &begun.invocation).or_else(|| self.invocations.get(&sequence))
    }

    /// Gives those that came their first turn. Most end with it, and need no place among those that wait.
    fn begin_all(&mut self, cx: &mut Context<'_>) {
        let mut begun = std::mem::take(&mut self.begun);
        for Begun { sequence, invocation, work } in begun.drain(..) {
            let mut running = Running(work);
            match Pin::new(&mut running).poll(cx) {
                Poll::Ready((sequence, answer)) => {
                    self.answer(sequence, answer);
                    running.0.set(None);
                    if self.spare.len() < FRAMES_PLACES_SPARE_MAX {
                        self.spare.push(running.0);
                    }
                }
                Poll::Pending => {
                    if !invocation.is_stopped() {
                        self.invocations.insert(sequence, invocation);
                    }
                    self.running.push(running);
                }
            }
        }
        self.begun = begun;
    }

    fn answer(&mut self, sequence: Sequence, answer: Option<FramedAnswer>) {
        let InvocationAnswer { status, body, cold_start_ms } = match answer {
            Some(FramedAnswer::Call(answer)) => answer,
            Some(FramedAnswer::Web(WebAnswer { head, fields, body })) => {
                let answered = self.frames.answer_web(sequence, head, &fields, &body);
                self.check_answered(sequence, answered);
                return;
            }
            Some(FramedAnswer::Streamed) => return,
            None => {
                self.frames.done(sequence, DoneReason::Cancelled);
                return;
            }
        };
        let init_ms = cold_start_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX).to_le_bytes());
        let cold_start = init_ms.as_ref().map(|ms| Field { id: Field::COLD_START, value: ms });
        let head = AnswerHead { status: status.as_u16() };
        let answered = self.frames.answer(sequence, head, cold_start.as_slice(), &body);
        self.check_answered(sequence, answered);
    }

    /// Lets go of an attempt whose answer is none.
    fn check_answered(&mut self, sequence: Sequence, answered: Result<(), NotAnswered>) {
        if answered == Err(NotAnswered::Invalid) {
            log::line("error an answer is not sent: its status is not 200 … 599, or its head is too long");
            self.frames.done(sequence, DoneReason::Failed);
        }
    }

    /// Takes the parts of answers that come piece by piece.
    fn take_steps(&mut self) {
        for (sequence, step) in self.outlet.take() {
            match step {
                WebStep::Begin { head, fields, body_bytes } => {
                    let begun = self.frames.begin_answer(sequence, head, &fields, body_bytes);
                    self.check_answered(sequence, begun);
                }
                // One that is over meanwhile was stopped, or is not taken.
                WebStep::Piece { bytes, ends } => drop(self.frames.send(sequence, bytes, ends)),
                WebStep::BreakOff => drop(self.frames.break_off(sequence)),
            }
        }
    }

    /// Waits for more bytes, or for the time at which the protocol wants to be asked.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reads_left > 0 {
            self.input.reserve(FRAMES_READ_BYTES_MIN);
            if let Poll::Ready(read) = pin!(self.stream.read_buf(&mut self.input)).poll(cx) {
                self.reads_left -= 1;
                self.now = clock::now();
                if matches!(read, Ok(0) | Err(_)) {
                    // A gateway that goes away is its own business.
                    self.frames.disconnected();
                }
                return Poll::Ready(());
            }
        }
        let Some(deadline) = self.frames.next_deadline_ns() else { return Poll::Pending };
        // Rounded up, lest it goes off before the time.
        let deadline = self.began + Duration::from_nanos(deadline) + Duration::from_millis(1);
        if self.alarm.as_ref().is_none_or(|alarm| deadline < alarm.deadline()) {
            self.alarm = Some(Box::pin(sleep_until(deadline)));
        }
        let Some(alarm) = &mut self.alarm else { return Poll::Pending };
        ready!(alarm.as_mut().poll(cx));
        self.alarm = None;
        self.now = clock::now();
        Poll::Ready(())
    }

    /// Writes until nothing is left, or the socket takes no more and will wake the task.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.frames.has_outgoing() {
            return Ok(());
        }
        if let Some(pulse) = &self.pulse
            && !pulse.take_writer()?
        {
            cx.waker().wake_by_ref();
            return Ok(());
        }
        let written = loop {
            let bytes = self.frames.outgoing();
            if bytes.is_empty() {
                break Ok(());
            }
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => break Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => self.frames.written(written),
                Poll::Ready(Err(error)) => break Err(error),
                Poll::Pending => break Ok(()),
            }
        };
        if let Some(pulse) = &self.pulse {
            pulse.give_writer(!self.frames.has_outgoing());
        }
        written
    }

    /// A time as the protocol counts it.
    fn ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}
