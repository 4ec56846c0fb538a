//! What a child writes for the log, passed on line by line to our own standard error. A line
//! belongs to the execution that its child works on.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_child::line::execution_id;
use picofaas_runtime::{Context, Logger};
use tokio::net::unix::pipe::Receiver;
use tokio::task::{spawn_local, yield_now};
use tokio::time::Instant;

use crate::http::Roll;
use crate::last_line::{LastLine, LastLines, Read};
use crate::limits::{AHEAD_AFTER_LINE, LAST_WORDS_BYTES_MAX, LINE_BYTES_MAX};
use crate::log;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 8192;

/// The log of one child.
pub(crate) struct Diary {
    pipe: Receiver,
    page: RefCell<Page>,
}

#[derive(Default)]
struct Page {
    /// A line without its end yet, at most [`LINE_BYTES_MAX`].
    begun: Vec<u8>,
    /// Whose the lines are.
    owner: Option<Logger>,
    /// Where they are anybody's who is on it.
    roll: Option<Rc<Roll>>,
    /// When there was a line that did not say itself whose it is.
    spoke: Option<Instant>,
    /// How the line without its end yet was read.
    read: Read,
    /// It is the rest of one that was too long.
    is_rest: bool,
    /// What may be told of them in errors.
    last: LastLines,
}

impl Diary {
    /// Passes on what comes until nobody can write any more. Must be called inside the runtime.
    pub(crate) fn keep(pipe: Receiver) -> Rc<Self> {
        Self::keep_page(pipe, Page::default())
    }

    /// The same for a child that has been started for one attempt: all that it writes is of that.
    pub(crate) fn keep_for_one(pipe: Receiver, key: u32, context: &Context) -> Rc<Self> {
        let mut page = Page { owner: Some(context.logger()), ..Page::default() };
        page.last.begin(key, context.execution_id());
        Self::keep_page(pipe, page)
    }

    /// The same for a child that works for all who are on a roll: while there is only one of
    /// them, the lines are of that one.
    pub(crate) fn keep_for(pipe: Receiver, roll: Rc<Roll>) -> Rc<Self> {
        Self::keep_page(pipe, Page { roll: Some(roll), ..Page::default() })
    }

    fn keep_page(pipe: Receiver, page: Page) -> Rc<Self> {
        let diary = Rc::new(Self { pipe, page: RefCell::new(page) });
        let kept = Rc::clone(&diary);
        spawn_local(async move { kept.follow().await });
        diary
    }

    /// Whose lines are those that come from now on.
    pub(crate) fn belongs_to(&self, owner: Option<Logger>) {
        self.page.borrow_mut().owner = owner;
    }

    /// Whether there was a line a moment ago that did not say itself whose it is.
    pub(crate) fn spoke_lately(&self) -> bool {
        self.page.borrow().spoke.is_some_and(|at| at.elapsed() < AHEAD_AFTER_LINE)
    }

    /// Passes on what the child has written so far without waiting for more, a line without an
    /// end included where its owner has none to come.
    pub(crate) fn catch_up(&self, ends_line: bool) {
        // The pipe itself is asked: what tokio knows of it may be a moment old.
        self.pass_on(LAST_WORDS_BYTES_MAX, |piece| rustix::io::read(&self.pipe, piece).ok());
        if ends_line {
            self.page.borrow_mut().end_line();
        }
    }

    /// Passes on what the event loop knows to have come, which costs nothing where that is none.
    pub(crate) fn glance(&self) {
        self.pass_on(LAST_WORDS_BYTES_MAX, |piece| self.pipe.try_read(piece).ok());
    }

    /// Passes on what `read` finds, until that is nothing or about `rest` bytes. What lies beyond
    /// stays in the pipe.
    fn pass_on(&self, mut rest: usize, read: impl Fn(&mut [u8]) -> Option<usize>) {
        let mut page = self.page.borrow_mut();
        let mut piece = [0; PIECE_BYTES];
        while rest > 0
            && let Some(read @ 1..) = read(&mut piece)
        {
            page.take(&piece[..read]);
            rest = rest.saturating_sub(read);
        }
    }

    /// The child has another attempt from now on, under a key of its own.
    pub(crate) fn begin(&self, key: u32, execution: &str) {
        if self.page.borrow().last.had_nobodys() {
            // What it has written is of its start.
            self.catch_up(false);
        }
        let mut page = self.page.borrow_mut();
        if !page.begun.is_empty() {
            page.read = Read::BegunBefore;
        }
        page.last.begin(key, execution);
    }

    /// The child has an attempt no more.
    pub(crate) fn end(&self, key: u32) {
        self.page.borrow_mut().last.end(key);
    }

    /// What an attempt may be told of the child's last lines.
    pub(crate) fn last_line(&self, key: u32) -> LastLine {
        self.page.borrow().last.of(key)
    }

    /// What everybody may be told of them, where the child never had an attempt.
    pub(crate) fn last_line_at_start(&self) -> LastLine {
        self.page.borrow().last.at_start()
    }

    async fn follow(&self) {
        let mut piece = [0; PIECE_BYTES];
        let mut again = false;
        while self.pipe.readable().await.is_ok() {
            match self.pipe.try_read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    self.page.borrow_mut().take(&piece[..read]);
                    // A pipe that is never empty makes nobody wait, so who writes without an end
                    // would have this thread for itself.
                    if again {
                        yield_now().await;
                    }
                    again = true;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => again = false,
                Err(_) => break,
            }
        }
        self.page.borrow_mut().end_line();
    }
}

impl Page {
    /// Takes what was read at once.
    fn take(&mut self, mut text: &[u8]) {
        if !self.begun.is_empty() && !text.starts_with(b"\n") {
            self.read = self.read.max(Read::InParts);
        }
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            self.append(&text[..end]);
            self.write_line();
            self.is_rest = false;
            text = &text[end + 1..];
        }
        self.append(text);
    }

    fn append(&mut self, text: &[u8]) {
        let mut rest = text;
        while self.begun.len() + rest.len() > LINE_BYTES_MAX {
            let (fits, more) = rest.split_at(LINE_BYTES_MAX - self.begun.len());
            self.begun.extend_from_slice(fits);
            self.write_line();
            self.is_rest = true;
            rest = more;
        }
        self.begun.extend_from_slice(rest);
    }

    fn end_line(&mut self) {
        if !self.begun.is_empty() {
            self.write_line();
        }
        self.is_rest = false;
    }

    fn write_line(&mut self) {
        let line = String::from_utf8_lossy(&self.begun);
        let line = line.trim_end_matches('\r');
        if !line.contains("executionId") {
            self.spoke = Some(Instant::now());
        }
        if !self.is_rest {
            self.last.take(line, self.read);
        }
        let only = self.roll.as_ref().and_then(|roll| roll.only());
        // A child that says itself whose line it is knows best: what it writes late may be of another execution
        // than the one that it has now.
        let named = if self.is_rest { None } else { execution_id(line).filter(|id| !id.is_empty()) };
        let says =
            |owner: &Logger| named.is_some_and(|id| id == owner.execution_id() || self.last.had_several());
        match only.as_ref().or(self.owner.as_ref()) {
            Some(owner) if !says(owner) => owner.log(line),
            Some(_) | None => log::line(line),
        }
        self.read = Read::Whole;
        self.begun.clear();
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

    /// A diary that `begin` makes of a pipe with numbered lines, and the child's end of the pipe.
    fn with_lines(begin: impl FnOnce(Receiver) -> Rc<Diary>) -> (Rc<Diary>, pipe::Sender) {
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
            let (diary, _child) = with_lines(Diary::keep);
            while diary.last_line_at_start() == LastLine::Nothing {
                yield_now().await;
            }
            let left = ioctl_fionread(&diary.pipe).unwrap();
            assert!(left >= (WRITTEN - 2 * PIECE_BYTES) as u64, "only {left} bytes were left");
        });
    }

    #[test]
    fn what_is_not_passed_on_yet_stays_in_the_pipe() {
        inside(async {
            let page = RefCell::new(Page::default());
            let (diary, _child) = with_lines(|pipe| Rc::new(Diary { pipe, page }));
            let read = |piece: &mut [u8]| rustix::io::read(&diary.pipe, piece).ok();
            diary.pass_on(PIECE_BYTES, read);
            let LastLine::Told(last) = diary.last_line_at_start() else { panic!("nothing was read") };
            let last: usize = last.parse().unwrap();
            let mut next = [0; 64];
            assert_eq!(read(&mut next), Some(64));
            assert_eq!(str::from_utf8(&next).unwrap().trim(), (last + 1).to_string());
        });
    }
}
