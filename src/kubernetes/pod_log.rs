//! The log of one pod: how far it was read, and the lines that are made of it.
//!
//! Kubelet puts the time in front of each line. It is how reading goes on after a connection broke without
//! a line lost or doubled: it is begun again at the second of the newest line, and what was passed on is
//! recognised.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::LogParams;
use tokio::io::{AsyncRead, ReadBuf};

use super::Semaphore;
use super::template::CONTAINER;
use crate::clock::parse_rfc3339;
use crate::logs::output::{LineAssembler, LinePart, Lines, OutputStream, OwnExecution, Writer, read};
use crate::logs::tail::Tail;

/// Lines that are read of a pod whose log was not read before: more than a function's share of what is
/// kept, and a bound for one that wrote for days.
const FIRST_LINES_MAX: i64 = 10_000;

/// Extent to which a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadExtent {
    /// The lines that there are.
    Written,
    /// The same, and lines that are written from now on.
    Following,
}

/// The position in a pod's log up to which lines were passed on.
#[derive(Debug, Default)]
struct Position {
    /// The newest time of a line. Two streams of one container may write past each other.
    newest: Cell<Option<Duration>>,
    /// The last line: its time and a digest of its beginning.
    last: Cell<Option<(Duration, u64)>>,
}

/// The log of one pod.
#[derive(Debug)]
pub(super) struct PodLog {
    /// The pod's name.
    pub pod: Rc<str>,
    /// Its last lines.
    pub tail: Tail,
    /// One permit to read it, so that no line is passed on twice.
    pub reader: Semaphore,
    /// It is being followed.
    pub is_followed: Cell<bool>,
    /// The pod has ended, or has gone: what there is of its log is all there will be.
    pub is_over: Cell<bool>,
    writer: Writer,
    position: Position,
}

impl PodLog {
    /// Makes the log of a pod of which nothing was read yet.
    #[must_use]
    pub(super) fn new(pod: &str, function: Rc<str>, own: Option<OwnExecution>) -> Rc<Self> {
        let pod: Rc<str> = pod.into();
        let tail = Tail::default();
        if own.is_none() {
            tail.become_shared();
        }
        let execution = own.unwrap_or_default();
        let writer = Writer { function, instance: pod.clone(), stream: OutputStream::Output, execution };
        Rc::new(Self {
            pod,
            tail,
            reader: Semaphore::new(1),
            is_followed: Cell::new(false),
            is_over: Cell::new(false),
            writer,
            position: Position::default(),
        })
    }

    /// The parameters with which reading goes on.
    #[must_use]
    pub(super) fn params(&self, extent: ReadExtent) -> LogParams {
        let newest = self.position.newest.get();
        LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: extent == ReadExtent::Following,
            timestamps: true,
            // Whole seconds, never rounded up: what comes again is recognised, what does not come is lost.
            since_time: newest
                .and_then(|newest| Timestamp::from_second(i64::try_from(newest.as_secs()).ok()?).ok()),
            tail_lines: newest.is_none().then_some(FIRST_LINES_MAX),
            ..LogParams::default()
        }
    }

    /// The position up to which it was read; another value than before where there were new lines.
    #[must_use]
    pub(super) fn mark(&self) -> Option<(Duration, u64)> {
        self.position.last.get()
    }

    /// Reads an answer to its end and passes on what was not passed on before.
    ///
    /// # Errors
    /// The answer broke off before its end.
    pub(super) async fn take(
        &self,
        answer: impl futures_util::io::AsyncRead,
        lines: Lines,
    ) -> io::Result<()> {
        let mut stamped = Stamped {
            assembler: LineAssembler::new(self.writer.clone(), self.tail.clone(), lines),
            position: &self.position,
            is_caught_up: self.position.newest.get().is_none(),
            in_line: None,
        };
        read(Answered(Box::pin(answer)), |part| stamped.take(part)).await
    }
}

/// Makes lines of an answer in which the time is in front of each.
struct Stamped<'a> {
    assembler: LineAssembler,
    position: &'a Position,
    /// Lines from now on were not passed on before.
    is_caught_up: bool,
    /// The part before was broken off: when its line was written, and whether it was passed on.
    in_line: Option<(Option<Duration>, bool)>,
}

impl Stamped<'_> {
    fn take(&mut self, part: LinePart<'_>) {
        let (bytes, breaks) = match part {
            LinePart::Ended(bytes) => (bytes, false),
            LinePart::Broken(bytes) => (bytes, true),
        };
        let (bytes, written, is_new) = match self.in_line.take() {
            Some((written, is_new)) => (bytes, written, is_new),
            None => match stamp(bytes) {
                Some((written, text)) => (text, Some(written), self.is_new(written, text)),
                // Kubelet's own words, e.g. that a container has gone.
                None => (bytes, None, false),
            },
        };
        if breaks {
            self.in_line = Some((written, is_new));
        }
        if is_new {
            self.assembler
                .pass_on(if breaks { LinePart::Broken(bytes) } else { LinePart::Ended(bytes) }, written);
        }
    }

    fn is_new(&mut self, written: Duration, text: &[u8]) -> bool {
        let mut digest = DefaultHasher::new();
        text.hash(&mut digest);
        let line = (written, digest.finish());
        let newest = self.position.newest.get();
        if !self.is_caught_up {
            self.is_caught_up =
                self.position.last.get() == Some(line) || newest.is_none_or(|newest| written > newest);
            // The last one itself was passed on, and what stands before it, too.
            if newest.is_some_and(|newest| written <= newest) {
                return false;
            }
        }
        self.position.last.set(Some(line));
        self.position.newest.set(newest.max(Some(written)));
        true
    }
}

/// The time in front of a line, and the line.
fn stamp(bytes: &[u8]) -> Option<(Duration, &[u8])> {
    let end = bytes.iter().take(40).position(|byte| *byte == b' ')?;
    let written = parse_rfc3339(std::str::from_utf8(&bytes[..end]).ok()?)?;
    Some((written, &bytes[end + 1..]))
}

/// An answer's body, as it is read here.
struct Answered<S>(Pin<Box<S>>);

impl<S: futures_util::io::AsyncRead> AsyncRead for Answered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.get_mut().0.as_mut().poll_read(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn at(second: u32, nanos: u32) -> String {
        format!("2026-11-24T12:00:{second:02}.{nanos:09}Z")
    }

    /// The lines that come of answers that are read one after the other.
    fn lines_of(answers: &[String]) -> Vec<String> {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = seen.clone();
        let lines = Lines::to(move |line| sink.borrow_mut().push(line.text.to_owned()));
        let log = PodLog::new("pod", "f".into(), None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for answer in answers {
            runtime.block_on(log.take(answer.as_bytes(), lines.clone())).unwrap();
        }
        seen.take()
    }

    #[test]
    fn what_was_passed_on_is_recognised_when_it_comes_again() {
        let [a, b, c] = [at(1, 5) + " a\n", at(1, 9) + " b\n", at(1, 9) + " c\n"];
        assert_eq!(lines_of(&[a.clone() + &b, a.clone() + &b + &c]), ["a", "b", "c"]);
        assert_eq!(lines_of(&[a.clone() + &b + &c, a.clone() + &b + &c]), ["a", "b", "c"]);
        let d = at(2, 0) + " d\n";
        assert_eq!(lines_of(&[a + &b, d]), ["a", "b", "d"], "the last one is not there any more");
    }

    #[test]
    fn a_line_that_two_streams_wrote_past_each_other_is_neither_lost_nor_doubled() {
        let (late, early) = (at(1, 20) + " late\n", at(1, 10) + " early\n");
        let (older, newer) = (at(1, 15) + " older\n", at(1, 30) + " newer\n");
        let first = late + &early;
        let all = first.clone() + &older + &newer;
        assert_eq!(lines_of(&[first, all]), ["late", "early", "older", "newer"]);
    }

    #[test]
    fn the_words_of_kubelet_are_nobodys_lines_and_a_long_line_is_skipped_as_a_whole() {
        let own = "unable to retrieve container logs for containerd://12\n".to_owned();
        assert_eq!(lines_of(&[own]), Vec::<String>::new());
        let long = at(3, 1) + " " + &"x".repeat(40_000) + "\n";
        let once = lines_of(std::slice::from_ref(&long));
        assert_eq!(once.concat(), "x".repeat(40_000));
        let after = at(3, 2) + " after\n";
        let twice = lines_of(&[long.clone(), long + &after]);
        assert_eq!(twice, [once, vec!["after".to_owned()]].concat());
    }

    #[test]
    fn it_is_begun_again_at_the_whole_second_before() {
        let log = PodLog::new("pod", "f".into(), None);
        let first = log.params(ReadExtent::Following);
        assert_eq!((first.tail_lines, first.since_time), (Some(FIRST_LINES_MAX), None));
        log.position.newest.set(Some(Duration::from_millis(1_900)));
        let params = log.params(ReadExtent::Written);
        assert_eq!((params.tail_lines, params.since_time), (None, Timestamp::from_second(1).ok()));
    }
}
