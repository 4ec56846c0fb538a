//! Signs of life of a connection while a handler holds up its thread.
//!
//! Handlers run on the thread that reads and writes the connection. One that computes for seconds would keep the
//! `PING`s of the gateway without an answer, and all that is out on the connection would be lost. Another thread looks
//! in a fixed period whether the connection has had a turn; where it has not, it sends a `PING` in its place.

#![expect(
    clippy::disallowed_types,
    reason = "a thread beside the invocations is told of each new connection"
)]

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

use picofaas_frames::SIGN_OF_LIFE;

use crate::limits::{PULSE_PERIOD, PULSE_STACK_BYTES};
use crate::log;

const LENGTH: usize = SIGN_OF_LIFE.len();

/// Nobody writes, and the last frame was written to its end.
const FREE: u8 = 0;
/// The connection writes, or has written a part of a frame.
const CONNECTION: u8 = 1;
/// The pulse writes.
const PULSE: u8 = 2;
/// The pulse has written a part of a frame: nothing can follow.
const BROKEN: u8 = 3;

/// The state that both threads see.
#[derive(Debug)]
struct PulseState {
    /// Turns of the connection. Written by the connection alone.
    turns: AtomicU32,
    /// Whether invocations are out, so that silence would be noticed. Written by the connection alone.
    is_busy: AtomicBool,
    /// One of the constants above. Each side takes it with `Acquire` and gives it back with `Release`, so that one
    /// side's bytes are in the socket before the other writes.
    writer: AtomicU8,
    is_over: AtomicBool,
    /// The same socket, by a descriptor of its own: it is valid until the pulse is done with it.
    socket: File,
}

/// The pulse of one connection, which ends with it.
#[derive(Debug)]
pub(super) struct Pulse(Arc<PulseState>);

/// The thread that looks after all connections of a process; it begins with the first of them.
#[derive(Debug, Default)]
pub(crate) struct PulseThread(OnceCell<Option<Sender<Arc<PulseState>>>>);

impl PulseThread {
    /// Looks after a connection from now on. Where that cannot be, which is told, the connection is as good as its
    /// handlers let it be.
    pub(super) fn watch(&self, stream: &impl AsFd) -> Option<Pulse> {
        let watched = stream.as_fd().try_clone_to_owned().map(|socket| {
            let state = Arc::new(PulseState {
                turns: AtomicU32::new(0),
                is_busy: AtomicBool::new(false),
                writer: AtomicU8::new(FREE),
                is_over: AtomicBool::new(false),
                socket: socket.into(),
            });
            let thread = self.0.get_or_init(|| begin().inspect_err(|error| log::line(&failed(error))).ok());
            // Without a thread that was told; one that is there takes everything.
            let taken = thread.as_ref().is_some_and(|thread| thread.send(Arc::clone(&state)).is_ok());
            taken.then_some(Pulse(state))
        });
        watched.unwrap_or_else(|error| {
            log::line(&failed(&error));
            None
        })
    }
}

fn failed(error: &io::Error) -> String {
    format!("warning connections have no signs of life beside their own: {error}")
}

fn begin() -> io::Result<Sender<Arc<PulseState>>> {
    let (sender, connections) = mpsc::channel();
    let builder = thread::Builder::new().name("pulse".to_owned()).stack_size(PULSE_STACK_BYTES);
    builder.spawn(move || watch_all(&connections))?;
    Ok(sender)
}

/// Looks at every connection once in a period. Sleeps while there is none, and ends with the instance.
fn watch_all(new: &Receiver<Arc<PulseState>>) {
    let mut connections: Vec<(Arc<PulseState>, u32)> = Vec::new();
    loop {
        if connections.is_empty() {
            let Ok(first) = new.recv() else { return };
            connections.push((first, 0));
        }
        thread::park_timeout(PULSE_PERIOD);
        loop {
            match new.try_recv() {
                Ok(connection) => connections.push((connection, 0)),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        connections.retain_mut(|(connection, seen)| connection.look(seen));
    }
}

impl Pulse {
    /// The connection has a turn.
    pub(super) fn beat(&self, is_busy: bool) {
        let turns = self.0.turns.load(Ordering::Relaxed);
        self.0.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
        self.0.is_busy.store(is_busy, Ordering::Relaxed);
    }

    /// Whether the connection may write; where not, the other thread is about to be done.
    ///
    /// # Errors
    /// Nothing can be written any more.
    pub(super) fn take_writer(&self) -> io::Result<bool> {
        match self.0.writer.compare_exchange(FREE, CONNECTION, Ordering::Acquire, Ordering::Relaxed) {
            // Otherwise a part of a frame was written before.
            Ok(_) | Err(CONNECTION) => Ok(true),
            Err(BROKEN) => Err(io::ErrorKind::WriteZero.into()),
            Err(_) => Ok(false),
        }
    }

    /// The connection has written; `is_whole`: to the end of a frame.
    pub(super) fn give_writer(&self, is_whole: bool) {
        if is_whole {
            self.0.writer.store(FREE, Ordering::Release);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl PulseState {
    /// Sends a sign of life where the connection has had no turn since the last look. Answers whether it is still
    /// there.
    fn look(&self, seen: &mut u32) -> bool {
        let turns = self.turns.load(Ordering::Relaxed);
        if turns == *seen && self.is_busy.load(Ordering::Relaxed) {
            self.send();
        }
        *seen = turns;
        !self.is_over.load(Ordering::Relaxed)
    }

    fn send(&self) {
        if self.writer.compare_exchange(FREE, PULSE, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // The socket does not block. It takes all of so few bytes or none, unless it is nearly full. Where it is full
        // or of no use any more, the connection's own thread will see that.
        let is_cut = matches!((&self.socket).write(&SIGN_OF_LIFE), Ok(1..LENGTH));
        self.writer.store(if is_cut { BROKEN } else { FREE }, Ordering::Release);
    }
}
