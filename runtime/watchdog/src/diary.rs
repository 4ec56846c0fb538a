//! What a child writes for the log, passed on line by line to our own standard error. A line
//! belongs to the execution that its child works on.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_runtime::Logger;
use tokio::net::unix::pipe::Receiver;
use tokio::task::spawn_local;

use crate::http::Roll;
use crate::limits::{LAST_WORDS_BYTES_MAX, LINE_BYTES_MAX};
use crate::log;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 8192;

/// The log of one child.
pub(crate) struct Diary {
    pipe: Receiver,
    page: RefCell<Page>,
}

/// Whose the lines of a child are.
pub(crate) enum Owner {
    /// The execution that the child was started for.
    One(Logger),
    /// The execution that is under way, if only one is.
    Only(Rc<Roll>),
}

struct Page {
    /// A line without its end yet, at most [`LINE_BYTES_MAX`].
    begun: Vec<u8>,
    owner: Owner,
    /// The last line that was not blank.
    last: String,
}

impl Diary {
    /// Passes on what comes until nobody can write any more. Must be called inside the runtime.
    pub(crate) fn keep(pipe: Receiver, owner: Owner) -> Rc<Self> {
        let page = Page { begun: Vec::new(), owner, last: String::new() };
        let diary = Rc::new(Self { pipe, page: RefCell::new(page) });
        let kept = Rc::clone(&diary);
        spawn_local(async move { kept.follow().await });
        diary
    }

    /// Passes on what the child has written so far without waiting for more, a line without an
    /// end included.
    pub(crate) fn catch_up(&self) {
        let mut page = self.page.borrow_mut();
        let mut piece = [0; PIECE_BYTES];
        let mut rest = LAST_WORDS_BYTES_MAX;
        // The pipe itself is asked: what tokio knows of it may be a moment old.
        while let Ok(read @ 1..) = rustix::io::read(&self.pipe, &mut piece)
            && rest > 0
        {
            page.take(&piece[..read]);
            rest = rest.saturating_sub(read);
        }
        page.end_line();
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
                Ok(read) => self.page.borrow_mut().take(&piece[..read]),
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
        let owner = match &self.owner {
            Owner::One(logger) => Some(logger.clone()),
            Owner::Only(roll) => roll.only(),
        };
        match owner {
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
