//! A gateway's end of frames that blocks: attempts are begun and their ends waited for.
//!
//! A thread of its own keeps the connection alive, so that a test may wait for something else while attempts are
//! out.

#![expect(clippy::disallowed_types, reason = "a test may wait for its own thread")]

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use picofaas_frames::{
    AnswerHead, CancelReason, CloseReason, DoneReason, Fields, GatewayConnection, GatewayEvent, Refused,
    Sequence, Settings,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::frame_wire::{assert_opens, opening};
use crate::invocation::Invocation;
use crate::patience::{Stopwatch, patience};
use crate::wire::{Answer, Connection};

/// An attempt of a client, in the order in which they were begun, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AttemptNumber(u32);

/// The end of an attempt.
#[derive(Debug)]
pub enum AttemptEnd {
    Answered(Answer),
    /// Let go without an answer, or in the middle of one.
    Failed(DoneReason),
    /// The instance cannot have begun it, or goes away and it was not even sent.
    Unsent,
    /// The connection was lost.
    Lost,
    /// Cancelled, and let go.
    Released,
}

/// A connection that speaks frames. Dropped, it breaks off without a word.
pub struct FramesClient {
    commands: Option<Sender<Command>>,
    /// Wakes the thread.
    bell: UnixStream,
    reports: Receiver<Report>,
    /// Ends that were not asked for yet, as they came.
    ends: VecDeque<(AttemptNumber, AttemptEnd)>,
    begun: u32,
    go_away: Option<(u16, String)>,
    closed: Option<CloseReason>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Begin(AttemptNumber, Invocation),
    Cancel(AttemptNumber, CancelReason),
    Close,
}

enum Report {
    Ended(AttemptNumber, AttemptEnd),
    GoingAway(u16, String),
    Closed(CloseReason),
}

impl FramesClient {
    /// Asks for frames over a fresh connection.
    ///
    /// # Panics
    /// Where the instance does not answer with frames.
    #[track_caller]
    pub fn open<S>(mut connection: Connection<S>) -> Self
    where
        S: Read + Write + AsFd + Send + 'static,
    {
        connection.send(opening(""));
        assert_opens(&connection.receive());
        let (stream, read) = connection.into_stream();
        rustix::io::ioctl_fionbio(&stream, true).unwrap();
        let (bell, rung) = UnixStream::pair().unwrap();
        rung.set_nonblocking(true).unwrap();
        let (commands, taken) = channel();
        let (reporting, reports) = channel();
        let driver = Driver {
            stream,
            rung,
            commands: taken,
            reports: reporting,
            gateway: GatewayConnection::new(Settings::default(), 0),
            input: BytesMut::from(&read[..]),
            watch: Stopwatch::start(),
            waiting: VecDeque::new(),
            out: HashMap::new(),
            is_over: false,
        };
        let thread = std::thread::spawn(move || driver.run());
        Self {
            commands: Some(commands),
            bell,
            reports,
            ends: VecDeque::new(),
            begun: 0,
            go_away: None,
            closed: None,
            thread: Some(thread),
        }
    }

    /// Begins an attempt, as soon as the instance takes one more.
    pub fn begin(&mut self, invocation: &Invocation) -> AttemptNumber {
        self.begun += 1;
        let number = AttemptNumber(self.begun);
        self.command(Command::Begin(number, invocation.clone()));
        number
    }

    /// Cancels an attempt.
    pub fn cancel(&mut self, number: AttemptNumber, reason: CancelReason) {
        self.command(Command::Cancel(number, reason));
    }

    /// Says goodbye and closes; all attempts that are out are lost.
    pub fn close(&mut self) {
        self.command(Command::Close);
    }

    /// Waits for the end of an attempt.
    #[track_caller]
    pub fn end_of(&mut self, number: AttemptNumber) -> AttemptEnd {
        loop {
            let place = self.ends.iter().position(|(ended, _)| *ended == number);
            if let Some((_, end)) = place.and_then(|place| self.ends.remove(place)) {
                return end;
            }
            self.wait();
        }
    }

    /// Waits for the end of whichever attempt ends next, and was not asked for.
    #[track_caller]
    pub fn next_end(&mut self) -> (AttemptNumber, AttemptEnd) {
        loop {
            if let Some(first) = self.ends.pop_front() {
                return first;
            }
            self.wait();
        }
    }

    /// Waits for the answer to an attempt.
    #[track_caller]
    pub fn answer_to(&mut self, number: AttemptNumber) -> Answer {
        let end = self.end_of(number);
        let AttemptEnd::Answered(answer) = end else { panic!("{number:?} is not answered: {end:?}") };
        answer
    }

    /// Begins an attempt and waits for its answer.
    #[track_caller]
    pub fn invoke(&mut self, invocation: &Invocation) -> Answer {
        let number = self.begin(invocation);
        self.answer_to(number)
    }

    /// Waits until the instance goes away: its code and words.
    #[track_caller]
    pub fn going_away(&mut self) -> (u16, String) {
        loop {
            if let Some(said) = &self.go_away {
                return said.clone();
            }
            self.wait();
        }
    }

    /// Waits for the end of the connection.
    #[track_caller]
    pub fn close_reason(&mut self) -> CloseReason {
        loop {
            if let Some(reason) = self.closed {
                return reason;
            }
            self.wait();
        }
    }

    fn command(&self, command: Command) {
        let commands = self.commands.as_ref().expect("it is there until it is dropped");
        // The thread has ended where the connection has; whoever waits is told so.
        let _ = commands.send(command);
        let _ = (&self.bell).write_all(b"!");
    }

    /// Takes the next report.
    #[track_caller]
    fn wait(&mut self) {
        let closed = self.closed;
        match self.reports.recv_timeout(patience()) {
            Ok(Report::Ended(number, end)) => self.ends.push_back((number, end)),
            Ok(Report::GoingAway(code, text)) => self.go_away = Some((code, text)),
            Ok(Report::Closed(reason)) => self.closed = Some(reason),
            Err(error) => panic!("the instance does nothing ({error}; the connection's end: {closed:?})"),
        }
    }
}

impl Drop for FramesClient {
    fn drop(&mut self) {
        self.commands = None;
        let _ = (&self.bell).write_all(b"!");
        if let Some(thread) = self.thread.take() {
            // Its panic was told on its own.
            let _ = thread.join();
        }
    }
}

/// The thread of a client.
struct Driver<S> {
    stream: S,
    rung: UnixStream,
    commands: Receiver<Command>,
    reports: Sender<Report>,
    gateway: GatewayConnection,
    input: BytesMut,
    watch: Stopwatch,
    /// Attempts for which there was no room yet.
    waiting: VecDeque<(AttemptNumber, Invocation)>,
    out: HashMap<Sequence, Attempt>,
    /// Whether the end of the connection was told.
    is_over: bool,
}

/// An attempt that is out, and what came of its answer.
struct Attempt {
    number: AttemptNumber,
    head: Option<(AnswerHead, Fields)>,
    body: Vec<u8>,
}

impl<S: Read + Write + AsFd> Driver<S> {
    fn run(mut self) {
        loop {
            if !self.take_commands() {
                return;
            }
            self.poll_events();
            self.begin_waiting();
            self.write();
            if self.is_over {
                return;
            }
            self.sleep();
            self.read();
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.watch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes what the client wants; whether there is still one.
    fn take_commands(&mut self) -> bool {
        use std::sync::mpsc::TryRecvError;
        loop {
            match self.commands.try_recv() {
                Ok(Command::Begin(number, invocation)) => self.waiting.push_back((number, invocation)),
                Ok(Command::Cancel(number, reason)) => self.cancel(number, reason),
                Ok(Command::Close) => self.gateway.close(),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn cancel(&mut self, number: AttemptNumber, reason: CancelReason) {
        // One that waits is begun before it is cancelled.
        self.begin_waiting();
        let now_ns = self.now_ns();
        if let Some((sequence, _)) = self.out.iter().find(|(_, attempt)| attempt.number == number) {
            self.gateway.cancel(now_ns, *sequence, reason);
        }
    }

    fn begin_waiting(&mut self) {
        while let Some((number, invocation)) = self.waiting.pop_front() {
            let now_ns = self.now_ns();
            let body = Bytes::from(invocation.body.clone());
            match self.gateway.begin(now_ns, &invocation.head(), &invocation.fields(), &body) {
                Ok(sequence) => {
                    self.out.insert(sequence, Attempt { number, head: None, body: Vec::new() });
                }
                Err(Refused::NotOpen | Refused::Full) => {
                    self.waiting.push_front((number, invocation));
                    return;
                }
                Err(Refused::GoingAway | Refused::Closed) => self.tell(number, AttemptEnd::Unsent),
                Err(refused @ (Refused::UsedUp | Refused::TooLong | Refused::NotTaken)) => {
                    panic!("{number:?} cannot begin: {refused:?}")
                }
            }
        }
    }

    fn poll_events(&mut self) {
        loop {
            let now_ns = self.now_ns();
            let Some(event) = self.gateway.poll_event(now_ns, &mut self.input) else { return };
            match event {
                GatewayEvent::Open { attempts_max } => {
                    assert!(attempts_max > 0, "the instance takes no attempts");
                }
                GatewayEvent::Answer { sequence, head, fields, body, ends, .. } => {
                    self.out.get_mut(&sequence).expect("it is out").head = Some((head, fields));
                    self.body(sequence, &body, ends);
                }
                GatewayEvent::Data { sequence, bytes, ends } => self.body(sequence, &bytes, ends),
                GatewayEvent::Failed { sequence, reason } => self.end(sequence, AttemptEnd::Failed(reason)),
                GatewayEvent::Unsent { sequence } => self.end(sequence, AttemptEnd::Unsent),
                GatewayEvent::Lost { sequence } => self.end(sequence, AttemptEnd::Lost),
                GatewayEvent::Released { sequence } => self.end(sequence, AttemptEnd::Released),
                GatewayEvent::Stuck { .. } => {}
                GatewayEvent::GoingAway { code, text } => self.report(Report::GoingAway(code, text)),
                GatewayEvent::Closed { reason } => {
                    self.is_over = true;
                    self.report(Report::Closed(reason));
                }
            }
        }
    }

    /// Takes a piece of an answer.
    fn body(&mut self, sequence: Sequence, bytes: &Bytes, ends: bool) {
        let attempt = self.out.get_mut(&sequence).expect("it is out");
        attempt.body.extend_from_slice(bytes);
        if !ends {
            self.gateway.consume(sequence, bytes.len());
            return;
        }
        let (head, fields) = attempt.head.take().expect("a body comes after its head");
        let answer = Answer::new(head.status, headers(&fields), std::mem::take(&mut attempt.body));
        self.end(sequence, AttemptEnd::Answered(answer));
    }

    fn end(&mut self, sequence: Sequence, end: AttemptEnd) {
        let attempt = self.out.remove(&sequence).expect("it is out");
        self.tell(attempt.number, end);
    }

    fn tell(&self, number: AttemptNumber, end: AttemptEnd) {
        self.report(Report::Ended(number, end));
    }

    fn report(&self, report: Report) {
        // The client may be gone, which is seen with the next command.
        let _ = self.reports.send(report);
    }

    /// Writes what can be written.
    fn write(&mut self) {
        while self.gateway.has_outgoing() {
            let bytes = self.gateway.outgoing();
            if bytes.is_empty() {
                return;
            }
            match self.stream.write(bytes) {
                Ok(written) => self.gateway.written(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Bytes that came before are read first.
                Err(_) => return,
            }
        }
    }

    /// Waits for bytes, room for bytes, a command, or the time.
    fn sleep(&mut self) {
        let deadline_ns = self.gateway.next_deadline_ns();
        let timeout = deadline_ns.map(|at| Duration::from_nanos(at.saturating_sub(self.now_ns())));
        let timeout = timeout.map(|time| Timespec::try_from(time).expect("it is short"));
        let mut wanted = PollFlags::IN;
        if self.gateway.has_outgoing() {
            wanted |= PollFlags::OUT;
        }
        let stream: BorrowedFd<'_> = self.stream.as_fd();
        let mut fds = [PollFd::from_borrowed_fd(stream, wanted), PollFd::new(&self.rung, PollFlags::IN)];
        // A signal ends it early, which does no harm.
        let _ = poll(&mut fds, timeout.as_ref());
        let mut rings = [0; 64];
        while matches!(self.rung.read(&mut rings), Ok(1..)) {}
    }

    fn read(&mut self) {
        let mut bytes = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.poll_events();
        self.gateway.disconnected();
    }
}

/// Headers of HTTP/1.1 that say the same as the fields of an answer.
fn headers(fields: &Fields) -> Vec<(String, String)> {
    let kind = fields.get(picofaas_frames::Field::ANSWER_CONTENT_TYPE);
    let kind = kind.map_or("application/json".into(), |kind| String::from_utf8_lossy(kind).into_owned());
    let mut headers = vec![("content-type".to_owned(), kind)];
    if let Some(ms) = fields.cold_start_ms() {
        headers.push(("x-cold-start".to_owned(), "true".to_owned()));
        headers.push(("x-init-duration-ms".to_owned(), ms.to_string()));
    }
    headers
}
