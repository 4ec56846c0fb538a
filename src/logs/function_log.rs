//! The lines of one function, oldest first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::output::{Line, OutputStream};
use crate::clock::Nanos;
use crate::id::ExecutionId;

use super::rate_limiter::RateLimiter;

/// A line that is kept.
#[derive(Debug)]
pub struct LogLine {
    /// Time at which it was written, as far as that is known, else read: nanoseconds since the Unix
    /// epoch.
    pub unix_ns: u64,
    /// Stream that it was written to.
    pub stream: OutputStream,
    /// Instance that wrote it.
    pub instance: Rc<str>,
    /// The execution it belongs to, where that is known.
    pub execution: Option<ExecutionId>,
    /// Without its end.
    pub text: Box<str>,
}

/// A time since the Unix epoch in nanoseconds, of which 584 years fit.
#[must_use]
pub(crate) fn in_ns(unix: Duration) -> u64 {
    u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX)
}

impl LogLine {
    /// Bytes that it counts against the limits: an empty line takes memory, too, and a queue that
    /// grows has twice the places it needs.
    fn cost(&self) -> usize {
        self.text.len() + 2 * size_of::<Self>()
    }
}

/// The lines of a name, over all versions of its function.
#[derive(Debug)]
pub struct FunctionLog {
    /// The function's name.
    pub name: Rc<str>,
    lines: RefCell<VecDeque<LogLine>>,
    /// The number of the oldest line that is kept. Lines are numbered from 0 and no number is given
    /// twice, so a reader knows what it has missed.
    first: Cell<u64>,
    bytes: Cell<usize>,
    /// Number of times that a function of this name was created; `None` while there is none.
    life: Cell<Option<u32>>,
    lives: Cell<u32>,
    /// The number of the first line since the function was created last.
    begins: Cell<u64>,
    /// Time of its last change.
    pub touched: Cell<Nanos>,
    /// Limit of the lines that go to this process's own log.
    pub limiter: RateLimiter,
    /// Readers that wait for the next line, by their places.
    wakers: RefCell<Vec<(usize, Waker)>>,
}

impl FunctionLog {
    /// Makes the log of a name that is not a function's yet.
    #[must_use]
    pub fn new(name: Rc<str>) -> Self {
        Self {
            name,
            lines: RefCell::default(),
            first: Cell::new(0),
            bytes: Cell::new(0),
            life: Cell::new(None),
            lives: Cell::new(0),
            begins: Cell::new(0),
            touched: Cell::new(0),
            limiter: RateLimiter::default(),
            wakers: RefCell::default(),
        }
    }

    /// A function of the name was created: it begins with no line of the one before. What was read before
    /// the first one was known is of pods that outlived the process before this one.
    pub fn begin(&self) {
        if self.lives.get() > 0 {
            self.begins.set(self.end());
        }
        self.lives.set(self.lives.get().wrapping_add(1));
        self.life.set(Some(self.lives.get()));
        self.wake();
    }

    /// The function was deleted. Its lines stay for those who read an execution.
    pub fn delete(&self) {
        self.life.set(None);
        self.wake();
    }

    /// Number of the function of this name that there is now; `None` where there is none.
    #[must_use]
    pub fn life(&self) -> Option<u32> {
        self.life.get()
    }

    /// The number of the first line of the function that there is now.
    #[must_use]
    pub fn begins(&self) -> u64 {
        self.begins.get().max(self.first.get())
    }

    /// The number of the oldest line.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first.get()
    }

    /// The number that the next line will have.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first.get() + self.lines.borrow().len() as u64
    }

    /// Bytes that its lines count against the limits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Keeps a line; what it counts, in bytes.
    pub fn push(&self, now: Nanos, unix: Duration, line: &Line<'_>) -> usize {
        let kept = LogLine {
            unix_ns: in_ns(unix),
            stream: line.writer.stream,
            instance: line.writer.instance.clone(),
            execution: line.execution,
            text: line.text.into(),
        };
        let cost = kept.cost();
        self.bytes.set(self.bytes.get() + cost);
        self.lines.borrow_mut().push_back(kept);
        self.touched.set(now);
        self.wake();
        cost
    }

    /// Drops the oldest lines until the others count `bytes` at the most; what those counted.
    pub fn cut_to(&self, bytes: usize) -> usize {
        let mut lines = self.lines.borrow_mut();
        let mut cut = 0;
        while self.bytes.get() - cut > bytes
            && let Some(oldest) = lines.pop_front()
        {
            cut += oldest.cost();
            self.first.set(self.first.get() + 1);
        }
        self.bytes.set(self.bytes.get() - cut);
        cut
    }

    /// Looks at the lines from a number on until `look` says that it is enough; the number that comes
    /// next.
    pub fn read(&self, from: u64, mut look: impl FnMut(&LogLine) -> bool) -> u64 {
        let lines = self.lines.borrow();
        let first = self.first.get();
        let mut at = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX).min(lines.len());
        while let Some(line) = lines.get(at) {
            at += 1;
            if !look(line) {
                break;
            }
        }
        first + at as u64
    }

    /// The number, not below `from`, of the line from which on there are `count` that match.
    #[must_use]
    pub fn tail(&self, from: u64, count: usize, matches: impl Fn(&LogLine) -> bool) -> u64 {
        let lines = self.lines.borrow();
        let first = self.first.get();
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX).min(lines.len());
        let Some(further) = count.checked_sub(1) else { return first + lines.len() as u64 };
        let matching = lines.iter().enumerate().skip(skipped).rev().filter(|(_, line)| matches(line));
        matching.map(|(at, _)| first + at as u64).nth(further).unwrap_or(first + skipped as u64)
    }

    /// Has the task of the reader in this place woken when the next line comes, or the function
    /// changes.
    pub fn wake_me(&self, place: usize, cx: &Context<'_>) {
        let mut wakers = self.wakers.borrow_mut();
        match wakers.iter_mut().find(|(known, _)| *known == place) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => wakers.push((place, cx.waker().clone())),
        }
    }

    /// The reader in this place has gone: what would wake it would keep its task.
    pub fn forget(&self, place: usize) {
        self.wakers.borrow_mut().retain(|(known, _)| *known != place);
    }

    /// Number of readers that wait.
    #[cfg(test)]
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.wakers.borrow().len()
    }

    /// Wakes every reader.
    pub fn wake(&self) {
        for (_, waker) in self.wakers.take() {
            waker.wake();
        }
    }
}
