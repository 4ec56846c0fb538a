//! The log of a child: the pipe of its standard output or error, passed on line by line to our own
//! standard error.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_runtime::{Context, Logger};
use tokio::net::unix::pipe::Receiver;
use tokio::task::{spawn_local, yield_now};

use crate::http::InFlight;
use crate::last_line::{LastLine, TextReaders};
use crate::limits::LOG_DRAIN_BYTES_MAX;
use crate::line_buffer::LineBuffer;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 8192;

/// The log of one child.
pub(crate) struct LogPipe {
    pipe: Receiver,
    lines: RefCell<LineBuffer>,
}

impl LogPipe {
    /// Passes on lines as they come, until the pipe ends. Must be called inside the runtime.
    pub(crate) fn forward(pipe: Receiver) -> Rc<Self> {
        Self::forward_to(pipe, LineBuffer::default())
    }

    /// The same for a child that was started for one attempt, which owns every line.
    pub(crate) fn forward_for_attempt(pipe: Receiver, key: u32, context: &Context) -> Rc<Self> {
        Self::forward_to(pipe, LineBuffer::of_attempt(key, context))
    }

    /// The same for a server: while one execution alone is in flight, it owns the lines.
    pub(crate) fn forward_for_server(pipe: Receiver, in_flight: Rc<InFlight>) -> Rc<Self> {
        Self::forward_to(pipe, LineBuffer::of_server(in_flight))
    }

    fn forward_to(pipe: Receiver, lines: LineBuffer) -> Rc<Self> {
        let log = Rc::new(Self { pipe, lines: RefCell::new(lines) });
        let forwarded = Rc::clone(&log);
        spawn_local(async move { forwarded.run().await });
        log
    }

    /// Sets the owner of the lines that come from now on.
    pub(crate) fn set_owner(&self, owner: Option<Logger>) {
        self.lines.borrow_mut().set_owner(owner);
    }

    /// Whether a line without an execution's id came a moment ago.
    pub(crate) fn had_unattributed_line_recently(&self) -> bool {
        self.lines.borrow().had_unattributed_line_recently()
    }

    /// Passes on everything that the child has written so far without waiting for more; with
    /// `ends_line` also a line without an end, where its owner has none to come.
    pub(crate) fn drain(&self, ends_line: bool) {
        // The pipe itself is asked: tokio's knowledge of it may be a moment old.
        self.read_with(LOG_DRAIN_BYTES_MAX, |piece| rustix::io::read(&self.pipe, piece).ok());
        if ends_line {
            self.lines.borrow_mut().end_line();
        }
    }

    /// Passes on the bytes that the event loop knows to have come, which costs nothing where it
    /// knows of none.
    pub(crate) fn drain_ready(&self) {
        self.read_with(LOG_DRAIN_BYTES_MAX, |piece| self.pipe.try_read(piece).ok());
    }

    /// Passes on the bytes that `read` finds, until it finds nothing or about `rest` bytes are read.
    /// The others stay in the pipe.
    fn read_with(&self, mut rest: usize, read: impl Fn(&mut [u8]) -> Option<usize>) {
        let mut lines = self.lines.borrow_mut();
        let mut piece = [0; PIECE_BYTES];
        while rest > 0
            && let Some(read @ 1..) = read(&mut piece)
        {
            lines.take(&piece[..read]);
            rest = rest.saturating_sub(read);
        }
    }

    /// Begins another attempt of the child, under a key of its own.
    pub(crate) fn begin_attempt(&self, key: u32, execution: &str) {
        if self.lines.borrow().is_of_start() {
            // Lines that are in the pipe already are of its start.
            self.drain(false);
        }
        self.lines.borrow_mut().begin_attempt(key, execution);
    }

    /// Ends an attempt of the child.
    pub(crate) fn end_attempt(&self, key: u32) {
        self.lines.borrow_mut().end_attempt(key);
    }

    /// The child's last line as the caller of an attempt may read it.
    pub(crate) fn last_line(&self, key: u32) -> LastLine {
        self.lines.borrow().last_line(key)
    }

    /// The last line of its start, which every caller may read, where the child never had an attempt.
    pub(crate) fn start_line(&self) -> LastLine {
        self.lines.borrow().start_line()
    }

    /// Readers of a text that the child wrote elsewhere than in its log.
    pub(crate) fn readers(&self) -> TextReaders {
        self.lines.borrow().readers()
    }

    async fn run(&self) {
        let mut piece = [0; PIECE_BYTES];
        let mut again = false;
        while self.pipe.readable().await.is_ok() {
            match self.pipe.try_read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    self.lines.borrow_mut().take(&piece[..read]);
                    // A pipe that is never empty makes nobody wait, so a child that writes without an
                    // end would have this thread for itself.
                    if again {
                        yield_now().await;
                    }
                    again = true;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => again = false,
                Err(_) => break,
            }
        }
        self.lines.borrow_mut().end_line();
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::ioctl_fionread;
    use tokio::net::unix::pipe;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    /// In a pipe before anybody reads: eight pieces.
    const WRITTEN: usize = 8 * PIECE_BYTES;

    /// A log that `begin` makes of a pipe with numbered lines, and the child's end of the pipe.
    fn with_lines(begin: impl FnOnce(Receiver) -> Rc<LogPipe>) -> (Rc<LogPipe>, pipe::Sender) {
        let (sender, receiver) = pipe::pipe().unwrap();
        let lines: String = (0..WRITTEN / 64).map(|number| format!("{number:>63}\n")).collect();
        assert_eq!(rustix::io::write(&sender, lines.as_bytes()).unwrap(), WRITTEN);
        (begin(receiver), sender)
    }

    fn inside(test: impl Future<Output = ()>) {
        Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap()
            .block_on(test);
    }

    #[test]
    fn who_writes_without_an_end_has_the_thread_for_a_few_pieces_at_a_time() {
        inside(async {
            let (log, _child) = with_lines(LogPipe::forward);
            while log.start_line() == LastLine::Nothing {
                yield_now().await;
            }
            let left = ioctl_fionread(&log.pipe).unwrap();
            assert!(left >= (WRITTEN - 2 * PIECE_BYTES) as u64, "only {left} bytes were left");
        });
    }

    #[test]
    fn what_is_not_passed_on_yet_stays_in_the_pipe() {
        inside(async {
            let lines = RefCell::new(LineBuffer::default());
            let (log, _child) = with_lines(|pipe| Rc::new(LogPipe { pipe, lines }));
            let read = |piece: &mut [u8]| rustix::io::read(&log.pipe, piece).ok();
            log.read_with(PIECE_BYTES, read);
            let LastLine::Shown(last) = log.start_line() else { panic!("nothing was read") };
            let last: usize = last.parse().unwrap();
            let mut next = [0; 64];
            assert_eq!(read(&mut next), Some(64));
            assert_eq!(str::from_utf8(&next).unwrap().trim(), (last + 1).to_string());
        });
    }
}
