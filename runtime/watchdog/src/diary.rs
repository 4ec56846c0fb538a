//! What a child writes for the log, passed on line by line to our own standard error. A line
//! belongs to the execution that its child works on.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_runtime::Logger;
use tokio::net::unix::pipe::Receiver;
use tokio::task::{spawn_local, yield_now};
use tokio::time::Instant;

use crate::http::Roll;
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
    /// The last line that was not blank.
    last: String,
}

impl Diary {
    /// Passes on what comes until nobody can write any more. Must be called inside the runtime.
    pub(crate) fn keep(pipe: Receiver, owner: Option<Logger>) -> Rc<Self> {
        Self::keep_page(pipe, Page { owner, ..Page::default() })
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
        let mut page = self.page.borrow_mut();
        let mut piece = [0; PIECE_BYTES];
        let mut rest = LAST_WORDS_BYTES_MAX;
        // The pipe itself is asked: what tokio knows of it may be a moment old.
        while rest > 0
            && let Ok(read @ 1..) = rustix::io::read(&self.pipe, &mut piece)
        {
            page.take(&piece[..read]);
            rest = rest.saturating_sub(read);
        }
        if ends_line {
            page.end_line();
        }
    }

    /// Passes on what the event loop knows to have come, which costs nothing where that is none.
    pub(crate) fn glance(&self) {
        let mut page = self.page.borrow_mut();
        let mut piece = [0; PIECE_BYTES];
        let mut rest = LAST_WORDS_BYTES_MAX;
        while rest > 0
            && let Ok(read @ 1..) = self.pipe.try_read(&mut piece)
        {
            page.take(&piece[..read]);
            rest = rest.saturating_sub(read);
        }
    }

    /// The last line that was not blank; empty where there is none.
    pub(crate) fn last_line(&self) -> String {
        self.page.borrow().last.clone()
    }

    async fn follow(&self) {
        let mut piece = [0; PIECE_BYTES];
        while self.pipe.readable().await.is_ok() {
            match self.pipe.try_read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    self.page.borrow_mut().take(&piece[..read]);
                    // There may be no end to it, and neither reading nor waiting for what is
                    // there already gives way to others by itself.
                    yield_now().await;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        self.page.borrow_mut().end_line();
    }
}

impl Page {
    fn take(&mut self, mut text: &[u8]) {
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            self.append(&text[..end]);
            self.write_line();
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
            rest = more;
        }
        self.begun.extend_from_slice(rest);
    }

    fn end_line(&mut self) {
        if !self.begun.is_empty() {
            self.write_line();
        }
    }

    fn write_line(&mut self) {
        let line = String::from_utf8_lossy(&self.begun);
        let line = line.trim_end_matches('\r');
        if !line.contains("executionId") {
            self.spoke = Some(Instant::now());
        }
        let only = self.roll.as_ref().and_then(|roll| roll.only());
        match only.as_ref().or(self.owner.as_ref()) {
            // A child that names the execution itself, as JSON perhaps, knows best.
            Some(owner) if !line.contains(owner.execution_id()) => owner.log(line),
            Some(_) | None => log::line(line),
        }
        if !line.trim_ascii().is_empty() {
            line.trim_ascii().clone_into(&mut self.last);
        }
        self.begun.clear();
    }
}
