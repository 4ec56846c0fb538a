//! One answer made of lines, and the task that goes on with it.
//!
//! A reader has no queue of its own: it remembers the number of the line that comes next, and the
//! store is what it reads from. A client that takes its time falls behind, and is told how many
//! lines went meanwhile.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

use super::function_log::{FunctionLog, LogLine, in_ns};
use super::query::{Form, LogQuery};
use super::source::FollowGuard;
use super::store::LogStore;
use crate::api::response::body::Body;
use crate::channel::{AnswerReceiver, MessageSender, mpsc};
use crate::clock::rfc3339;
use crate::error::{ApiError, ErrorCode};
use crate::id::ExecutionId;
use crate::web_exchange::Piece;

/// About how large a piece of an answer becomes, in bytes.
const PIECE_BYTES: usize = 32 * 1024;
/// Pieces of a streamed answer that may wait for their client.
const PIECES_MAX: usize = 4;
/// Lines that are looked at before others have their turn.
const LOOKED_AT_MAX: usize = 4000;
/// Time for which lines of an execution that has ended are waited for: they come another way than its end.
const LATE_LINES: Duration = Duration::from_millis(250);
/// Time after which the answer of a client that takes nothing at all is broken off.
const STALLED: Duration = Duration::from_secs(60);

const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// The function or execution whose lines are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// A function's, as long as it is the same one.
    Function { life: Option<u32> },
    /// One execution's.
    Execution(ExecutionId),
}

impl Whose {
    fn matches(self, line: &LogLine) -> bool {
        match self {
            Whose::Function { .. } => true,
            Whose::Execution(id) => line.execution == Some(id),
        }
    }
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonLine<'a> {
    time: String,
    function: &'a str,
    execution_id: Option<String>,
    stream: &'static str,
    instance: &'a str,
    line: &'a str,
}

/// A line of JSON that tells of missed lines.
#[derive(Serialize)]
struct JsonGap<'a> {
    time: String,
    function: &'a str,
    skipped: u64,
}

/// A reader and its position.
#[derive(Debug)]
pub(crate) struct Reader {
    store: Rc<LogStore>,
    log: Rc<FunctionLog>,
    whose: Whose,
    /// Lines that were written before are passed over: those of pods come together, so that lines are not
    /// always in the order of their times.
    since_ns: u64,
    form: Form,
    follow: bool,
    /// The number of the line that comes next.
    next: u64,
    /// The number of the first line that is not to be read, where it does not follow.
    end: u64,
    /// The guard that makes lines come while it follows.
    interest: Option<FollowGuard>,
}

impl Reader {
    /// At the first of the lines that are asked for.
    #[must_use]
    pub(crate) fn new(store: Rc<LogStore>, log: Rc<FunctionLog>, whose: Whose, query: LogQuery) -> Self {
        let mut next = match whose {
            Whose::Function { .. } => log.begins(),
            Whose::Execution(_) => log.first(),
        };
        let since_ns = query.since.map_or(0, in_ns);
        if let Some(tail) = query.tail {
            next = log.tail(next, tail, |line| line.unix_ns >= since_ns && whose.matches(line));
        }
        let end = log.end();
        Self {
            store,
            log,
            whose,
            since_ns,
            form: query.form,
            follow: query.follow,
            next,
            end,
            interest: None,
        }
    }

    /// Makes lines come for as long as it follows.
    #[must_use]
    pub(crate) fn interested(mut self, interest: Option<FollowGuard>) -> Self {
        self.interest = interest;
        self
    }

    /// The answer: whole where it is short and complete, else in pieces. It is followed until `ended`
    /// says that nothing more comes, among other reasons.
    ///
    /// # Errors
    /// `LOG_READERS_FULL`.
    pub(crate) fn answer(mut self, ended: Option<AnswerReceiver<()>>) -> Result<Response<Body>, ApiError> {
        let content_type = match self.form {
            Form::Text => HeaderValue::from_static("text/plain; charset=utf-8"),
            Form::Json => HeaderValue::from_static("application/x-ndjson"),
        };
        let mut first = Vec::new();
        let caught_up = self.take(&mut first);
        let body = if caught_up && !self.follow {
            Body::from(Bytes::from(first))
        } else {
            let slot = self.store.take_slot().ok_or_else(|| {
                let message = "too many clients read lines at once already; try again, or without follow";
                ApiError::new(ErrorCode::LogReadersFull, message).retry_after(1)
            })?;
            let (sender, pieces) = mpsc::channel(PIECES_MAX);
            tokio::task::spawn_local(async move {
                let log = self.log.clone();
                self.send(first, sender, ended, slot.number).await;
                log.forget(slot.number);
                drop(slot);
            });
            Body::Streamed(pieces)
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        // A function's words are no page, whatever a browser thinks that they look like.
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }

    /// Sends piece by piece, to the end.
    async fn send(
        mut self,
        first: Vec<u8>,
        sender: MessageSender<Piece>,
        ended: Option<AnswerReceiver<()>>,
        place: usize,
    ) {
        let mut piece = first;
        let ended = async {
            match ended {
                Some(ended) => {
                    // No answer means that the gateway has stopped, and that is an end, too.
                    let _ = ended.await;
                    tokio::time::sleep(LATE_LINES).await;
                }
                None => std::future::pending().await,
            }
        };
        let mut ended = std::pin::pin!(ended);
        loop {
            if !piece.is_empty() {
                let bytes = Piece::Bytes(Bytes::from(std::mem::take(&mut piece)));
                match tokio::time::timeout(STALLED, sender.send(bytes)).await {
                    Ok(Ok(())) => {}
                    // It has gone, or takes nothing.
                    Ok(Err(_)) | Err(_) => return,
                }
            }
            // Other readers and writers of lines go on between two pieces.
            tokio::task::yield_now().await;
            if self.follow && self.is_over() {
                self.stop();
            }
            if !self.take(&mut piece) || !piece.is_empty() {
                continue;
            }
            if !self.follow {
                break;
            }
            tokio::select! {
                () = self.changed(place) => {}
                () = sender.closed() => return,
                () = &mut ended => self.stop(),
            }
        }
        // If it has gone there is nobody to tell that this was all.
        let _ = tokio::time::timeout(STALLED, sender.send(Piece::End(None))).await;
    }

    /// Whether nothing more is to be followed.
    fn is_over(&self) -> bool {
        self.store.is_finishing()
            || match self.whose {
                Whose::Function { life } => self.log.life() != life || life.is_none(),
                Whose::Execution(_) => false,
            }
    }

    /// Follows no line that comes from now on.
    fn stop(&mut self) {
        self.follow = false;
        self.end = self.log.end();
    }

    /// Returns when there are more lines, or when it may be over.
    async fn changed(&self, place: usize) {
        poll_fn(|cx| {
            if self.log.end() > self.next || self.is_over() {
                return Poll::Ready(());
            }
            self.log.wake_me(place, cx);
            Poll::Pending
        })
        .await;
    }

    /// Writes the next lines, as many as a piece has room for; whether those were all.
    fn take(&mut self, piece: &mut Vec<u8>) -> bool {
        let first = self.log.first();
        if self.next < first {
            self.write_gap(piece, first - self.next);
            self.next = first;
        }
        let mut looked_at = 0;
        let from = self.next;
        let follow_to = if self.follow { u64::MAX } else { self.end };
        if from >= follow_to {
            return true;
        }
        self.next = self.log.read(from, |line| {
            looked_at += 1;
            if line.unix_ns >= self.since_ns && self.whose.matches(line) {
                self.write_line(piece, line);
            }
            piece.len() < PIECE_BYTES && looked_at < LOOKED_AT_MAX && from + (looked_at as u64) < follow_to
        });
        self.next >= follow_to.min(self.log.end())
    }

    fn write_line(&self, piece: &mut Vec<u8>, line: &LogLine) {
        let time = rfc3339(Duration::from_nanos(line.unix_ns));
        match self.form {
            Form::Text => {
                let (stream, instance, text) = (line.stream.as_str(), &*line.instance, &*line.text);
                for part in [&*time, " ", stream, " ", instance, " ", text, "\n"] {
                    piece.extend_from_slice(part.as_bytes());
                }
            }
            Form::Json => write_json(
                piece,
                &JsonLine {
                    time,
                    function: &self.log.name,
                    execution_id: line.execution.map(|id| id.to_string()),
                    stream: line.stream.as_str(),
                    instance: &line.instance,
                    line: &line.text,
                },
            ),
        }
    }

    fn write_gap(&self, piece: &mut Vec<u8>, skipped: u64) {
        let time = self.store.clock.rfc3339(self.store.clock.now());
        match self.form {
            Form::Text => piece.extend_from_slice(
                format!(
                    "… {skipped} lines of {} skipped: they were dropped before this reader had taken them\n",
                    self.log.name
                )
                .as_bytes(),
            ),
            Form::Json => write_json(piece, &JsonGap { time, function: &self.log.name, skipped }),
        }
    }
}

fn write_json(piece: &mut Vec<u8>, line: &impl Serialize) {
    // Into memory, and of text and numbers only, it does not fail.
    let _ = serde_json::to_writer(&mut *piece, line);
    piece.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::logs::store::LogLimits;

    #[test]
    fn a_reader_that_has_gone_leaves_nothing_behind_though_no_line_ever_comes() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        let limits = LogLimits { function_bytes: 4096, bytes: 4096, retention: Duration::ZERO };
        let store = LogStore::new(Clock::start(), limits);
        store.created("silent");
        let log = store.get("silent").unwrap();
        let query = LogQuery { tail: None, since: None, follow: true, form: Form::Text };
        let read = || {
            let whose = Whose::Function { life: log.life() };
            Reader::new(store.clone(), log.clone(), whose, query).answer(None).unwrap()
        };
        runtime.block_on(async {
            for _ in 0..100 {
                let answers = [read(), read()];
                while log.waiting() < answers.len() {
                    tokio::task::yield_now().await;
                }
                drop(answers);
                while Rc::strong_count(&log) > 2 {
                    tokio::task::yield_now().await;
                }
                assert_eq!(log.waiting(), 0);
            }
        });
    }
}
