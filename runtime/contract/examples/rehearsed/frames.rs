//! Frames, by the crate that has both ends of them.

#![expect(clippy::disallowed_types, reason = "nothing here has to be fast")]

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::{Bytes as Shared, BytesMut};
use picofaas_contract::frame_wire::{Frame, flag, kind};
use picofaas_frames::{
    AnswerHead, CloseReason, DoneReason, Field, Fields, InstanceConnection, InstanceEvent, RequestHead,
    Sequence, Settings,
};

use crate::Bytes;
use crate::fault::Fault;
use crate::function::{self, Asked, Told};
use crate::program::Program;

/// Attempts at once.
const ATTEMPTS_MAX: u32 = 100;
/// Bytes of a frame before its payload.
const HEAD_BYTES: usize = 12;
/// Time after which the faulty instance closes what is idle, and gives up half a frame.
const HASTE_NS: u64 = 300_000_000;

/// Faults that look at frames as they come.
const FAULTS_OF_FRAMES: [Fault; 6] = [
    Fault::StrictAboutKinds,
    Fault::StrictAboutLate,
    Fault::IgnoresCancel,
    Fault::IgnoresWindow,
    Fault::RunsAfterGoAway,
    Fault::NoTurns,
];

/// A connection, and the attempts that are out on it.
struct Conversation<'a, S> {
    program: &'a Arc<Program>,
    stream: S,
    instance: InstanceConnection,
    input: BytesMut,
    /// Bytes that came and were not looked at by frames.
    raw: BytesMut,
    attempts: HashMap<Sequence, Out>,
    done: (Sender<End>, Receiver<End>),
    /// Bytes that came and are told to the protocol when all was written.
    late: Vec<u8>,
    /// Answers that wait for earlier ones.
    held: BTreeMap<u32, (Sequence, Told)>,
    next: u32,
    heard_ns: u64,
    is_closed: bool,
    key: u64,
}

/// The end of an attempt; without an answer where its caller went.
type End = (Sequence, Option<Told>);

/// An attempt that is out.
struct Out {
    asked: Asked,
    gone: Arc<AtomicBool>,
    pieces: usize,
}

/// Serves a connection after its `101`.
pub(crate) fn serve<S: Bytes>(program: &Arc<Program>, stream: S, read: &[u8], key: u64) {
    let mut settings = Settings { attempts_max: ATTEMPTS_MAX, ..Settings::default() };
    if program.has(Fault::Impatient) {
        settings.frame_ns = HASTE_NS;
        settings.ping_after_ns = HASTE_NS;
        settings.dead_after_ns = HASTE_NS;
    }
    Conversation {
        program,
        stream,
        instance: InstanceConnection::new(settings, now_ns(program)),
        input: BytesMut::new(),
        raw: BytesMut::from(read),
        attempts: HashMap::new(),
        done: channel(),
        late: Vec::new(),
        held: BTreeMap::new(),
        next: 1,
        heard_ns: now_ns(program),
        is_closed: false,
        key,
    }
    .converse();
}

fn now_ns(program: &Program) -> u64 {
    u64::try_from(program.now().as_nanos()).unwrap_or(u64::MAX)
}

impl<S: Bytes> Conversation<'_, S> {
    fn has(&self, fault: Fault) -> bool {
        self.program.has(fault)
    }

    fn converse(mut self) {
        let mut told = false;
        loop {
            self.pass_on();
            let now_ns = if self.has(Fault::Patient) { 0 } else { now_ns(self.program) };
            while let Some(event) = self.instance.poll_event(now_ns, &mut self.input) {
                self.take(event);
            }
            while let Ok((sequence, told)) = self.done.1.try_recv() {
                self.answer(sequence, told);
            }
            if self.program.is_stopping() && !std::mem::replace(&mut told, true) {
                self.go_away();
            }
            self.write();
            let late = std::mem::take(&mut self.late);
            self.input.extend_from_slice(&late);
            let is_idle = self.attempts.is_empty() && self.has(Fault::DropsIdle);
            if self.is_closed || self.instance.is_drained() || (is_idle && self.is_old()) {
                break;
            }
            if told && self.has(Fault::RunsAfterGoAway) && self.attempts.is_empty() && self.is_old() {
                break;
            }
            self.read();
        }
        for out in self.attempts.values() {
            out.gone.store(true, Ordering::SeqCst);
        }
    }

    fn is_old(&self) -> bool {
        now_ns(self.program) > self.heard_ns + HASTE_NS
    }

    fn go_away(&mut self) {
        if self.has(Fault::RunsAfterGoAway) {
            let frame = Frame::new(kind::GO_AWAY, self.next - 1, 0, [0, 0]);
            let _ = self.stream.write_all(&frame.bytes());
            self.heard_ns = now_ns(self.program);
        } else {
            self.instance.go_away("SIGTERM");
        }
    }

    fn read(&mut self) {
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.instance.disconnected(),
            Ok(count) => {
                self.heard_ns = now_ns(self.program);
                self.raw.extend_from_slice(&bytes[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.instance.disconnected(),
        }
    }

    /// Passes what came on to the protocol: as it came, or frame by frame as the fault has it.
    fn pass_on(&mut self) {
        if !FAULTS_OF_FRAMES.iter().any(|fault| self.has(*fault)) {
            let all = self.raw.split();
            self.input.extend_from_slice(&all);
            return;
        }
        while self.raw.len() >= HEAD_BYTES {
            let length = u32::from_le_bytes([self.raw[0], self.raw[1], self.raw[2], self.raw[3]]) as usize;
            if self.raw.len() < HEAD_BYTES + length {
                return;
            }
            let frame = self.raw.split_to(HEAD_BYTES + length);
            self.pass_frame_on(frame);
        }
    }

    fn pass_frame_on(&mut self, mut frame: BytesMut) {
        let sequence = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let is_head = frame[8] == kind::HEAD;
        if self.has(Fault::StrictAboutKinds) {
            frame[9] &= !flag::IGNORABLE;
        }
        let is_over = sequence > 0 && sequence < self.next && !self.is_out(sequence);
        if is_over && !is_head && self.has(Fault::StrictAboutLate) {
            self.is_closed = true;
        }
        if frame[8] == kind::CANCEL && self.has(Fault::IgnoresCancel) {
            return;
        }
        if frame[8] == kind::WINDOW && sequence == 2 && self.has(Fault::NoTurns) {
            self.late.extend_from_slice(&frame);
            return;
        }
        self.input.extend_from_slice(&frame);
        if is_head {
            self.next = sequence.wrapping_add(1);
            if self.has(Fault::IgnoresWindow) {
                self.input.extend_from_slice(&Frame::window(sequence, 1 << 20).bytes());
            }
        }
    }

    fn is_out(&self, sequence: u32) -> bool {
        self.attempts.keys().any(|out| out.get() == sequence)
    }

    fn take(&mut self, event: InstanceEvent) {
        match event {
            InstanceEvent::Invoked { sequence, head, fields, body, ends, .. } => {
                let mut asked = self.asked(&head, &fields);
                asked.body.extend_from_slice(&body);
                let out = Out { asked, gone: Arc::new(AtomicBool::new(false)), pieces: 0 };
                self.attempts.insert(sequence, out);
                if ends {
                    self.run(sequence);
                }
            }
            InstanceEvent::Data { sequence, bytes, ends } => {
                let forgets = self.has(Fault::ForgetsPiece);
                let Some(out) = self.attempts.get_mut(&sequence) else { return };
                out.pieces += 1;
                if !(forgets && out.pieces == 1 && !ends) {
                    out.asked.body.extend_from_slice(&bytes);
                }
                if !self.has(Fault::NeverWidens) {
                    self.instance.consume(sequence, bytes.len());
                }
                if ends || self.has(Fault::RunsHalfBodies) {
                    self.run(sequence);
                }
            }
            InstanceEvent::Cancelled { sequence, .. } => {
                if let Some(out) = self.attempts.remove(&sequence) {
                    out.gone.store(true, Ordering::SeqCst);
                }
                if !self.has(Fault::KeepsCancelled) {
                    self.instance.done(sequence, DoneReason::Cancelled);
                }
            }
            InstanceEvent::Lost { sequence } => {
                let out = self.attempts.remove(&sequence);
                if let Some(out) = out.filter(|_| !self.has(Fault::KeepsLost)) {
                    out.gone.store(true, Ordering::SeqCst);
                }
            }
            InstanceEvent::GoingAway { .. } => {}
            InstanceEvent::Closed { reason } => {
                if matches!(reason, CloseReason::Violation(_)) && self.has(Fault::DiesOfViolations) {
                    std::process::exit(9);
                }
                self.is_closed = true;
            }
        }
    }

    fn asked(&self, head: &RequestHead, fields: &Fields) -> Asked {
        let text = |id| {
            let value = fields.get(id).filter(|_| !self.has(Fault::LosesFields))?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let trace_id = hex(&head.trace_id);
        let parent = format!("00-{trace_id}-{}-{:02x}", hex(&head.parent_span_id), head.trace_flags);
        Asked {
            execution_id: hex(&head.execution_id),
            trace_id: Some(text(Field::TRACE_NAME).unwrap_or(trace_id)),
            traceparent: Some(text(Field::TRACEPARENT).unwrap_or(parent)),
            tracestate: text(Field::TRACESTATE),
            idempotency_key: text(Field::IDEMPOTENCY_KEY),
            attempt: head.attempt,
            deadline_ms: Some(head.deadline_ms),
            body: Vec::new(),
            connection: self.key,
        }
    }

    fn run(&self, sequence: Sequence) {
        let Some(out) = self.attempts.get(&sequence) else { return };
        let (program, asked, gone) = (self.program.clone(), out.asked.clone(), out.gone.clone());
        let done = self.done.0.clone();
        let run = move || {
            let told = function::run(&program, &asked, &gone);
            // The connection may be over.
            let _ = done.send((sequence, told));
        };
        if self.has(Fault::RunsHalfBodies) {
            // On a thread of its own it might begin when the row has finished. Here it has begun before the next frame
            // is answered.
            run();
        } else {
            std::thread::spawn(run);
        }
    }

    fn answer(&mut self, sequence: Sequence, told: Option<Told>) {
        let Some(told) = told else { return };
        if self.has(Fault::AnswersInOrder) {
            self.held.insert(sequence.get(), (sequence, told));
            while let Some(entry) = self.held.first_entry() {
                if self.attempts.keys().any(|out| out.get() < *entry.key()) {
                    break;
                }
                let (_, (sequence, told)) = self.held.pop_first().expect("it is there");
                self.send(sequence, &told);
            }
        } else if self.has(Fault::Swaps) && sequence.get() <= 2 {
            self.held.insert(sequence.get(), (sequence, told));
            if self.held.len() == 2 {
                let (_, (first, of_first)) = self.held.pop_first().expect("it is there");
                let (_, (second, of_second)) = self.held.pop_first().expect("it is there");
                self.send(first, &of_second);
                self.send(second, &of_first);
            }
        } else {
            self.send(sequence, &told);
        }
    }

    fn send(&mut self, sequence: Sequence, told: &Told) {
        self.attempts.remove(&sequence);
        let ms = self.program.cold_start_ms().map(u32::to_le_bytes);
        let fields: Vec<_> = ms.iter().map(|ms| Field { id: Field::COLD_START, value: ms }).collect();
        let body = Shared::copy_from_slice(&told.body);
        // It may be over meanwhile.
        let _ = self.instance.answer(sequence, AnswerHead { status: told.status }, &fields, &body);
    }

    /// Writes all that may be written, frame by frame, as the fault has it.
    fn write(&mut self) {
        loop {
            let mut bytes = self.instance.outgoing().to_vec();
            if bytes.is_empty() {
                return;
            }
            self.instance.written(bytes.len());
            let mut at = 0;
            while at < bytes.len() {
                let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
                let end = at + HEAD_BYTES + length;
                if self.spoils(&mut bytes[at..end]) {
                    bytes.drain(at..end);
                } else {
                    at = end;
                }
            }
            if self.stream.write_all(&bytes).is_err() {
                self.instance.disconnected();
                return;
            }
        }
    }

    /// Spoils a frame on its way out; whether it is left out.
    fn spoils(&self, frame: &mut [u8]) -> bool {
        match frame[8] {
            kind::HELLO if self.has(Fault::TakesFewer) => frame[16] += 1,
            kind::HELLO if self.has(Fault::TakesMore) => frame[16] -= 50,
            kind::PING => return frame[9] & flag::ACK != 0 && self.has(Fault::NoSignOfLife),
            kind::GO_AWAY if self.has(Fault::NoGoAway) => return true,
            kind::GO_AWAY if self.has(Fault::WrongCode) => frame[HEAD_BYTES] += 1,
            kind::GO_AWAY if self.has(Fault::WrongLast) => frame[4] = frame[4].saturating_sub(1),
            _ => {}
        }
        false
    }
}
