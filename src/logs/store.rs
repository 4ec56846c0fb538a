//! The lines of all functions, within limits.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::output::{Line, Lines};
use crate::clock::{Clock, Nanos};
use crate::config::Settings;

use super::function_log::FunctionLog;
use super::rate_limiter::{PER_FUNCTION, RateLimiter, TOTAL};

/// Part of all bytes that is made free when they are used up, so that the search for the fullest
/// functions is seldom.
const FREED_PART: usize = 64;
/// Period at which old logs are dropped, and at which withheld lines are told (ns).
const SWEEP_PERIOD: Nanos = 1_000_000_000;

/// Limits of the lines that are kept.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Limit of one function, in bytes.
    pub function_bytes: usize,
    /// Over all, in bytes.
    pub bytes: usize,
    /// After the deletion of the function.
    pub retention: Duration,
}

impl LogLimits {
    /// Reads the limits from the flags.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let flags = &settings.flags;
        Self {
            function_bytes: flags.log_bytes_per_function,
            bytes: flags.log_bytes,
            retention: settings.retention(),
        }
    }
}

/// The lines of all functions. It lives on the control thread.
#[derive(Debug)]
pub struct LogStore {
    /// Time.
    pub clock: Clock,
    limits: LogLimits,
    bytes: Cell<usize>,
    logs: RefCell<HashMap<Rc<str>, Rc<FunctionLog>>>,
    /// A bit for each slot that is taken.
    readers: Cell<u64>,
    finishing: Cell<bool>,
    swept: Cell<Nanos>,
    limiter: RateLimiter,
}

/// A slot of a reader, free again when this is dropped.
#[derive(Debug)]
pub struct ReaderSlot {
    store: Rc<LogStore>,
    /// Number of the slot, which no other reader has.
    pub number: usize,
}

impl LogStore {
    /// With no line yet.
    #[must_use]
    pub fn new(clock: Clock, limits: LogLimits) -> Rc<Self> {
        Rc::new(Self {
            clock,
            limits,
            bytes: Cell::new(0),
            logs: RefCell::default(),
            readers: Cell::new(0),
            finishing: Cell::new(false),
            swept: Cell::new(0),
            limiter: RateLimiter::default(),
        })
    }

    /// The limits of the lines that are kept.
    #[must_use]
    pub fn limits(&self) -> LogLimits {
        self.limits
    }

    /// Lines that are kept here and go nowhere else.
    #[must_use]
    pub fn keeping_only(self: &Rc<Self>) -> Lines {
        let store = self.clone();
        Lines::to(move |line| {
            store.keep(store.clock.now(), line);
        })
    }

    /// Lines that are kept here and go on to `on`, as far as it is allowed.
    #[must_use]
    pub fn keeping(self: &Rc<Self>, on: Lines) -> Lines {
        let store = self.clone();
        Lines::to(move |line| {
            let now = store.clock.now();
            let log = store.keep(now, line);
            let bytes = line.text.len();
            if log.limiter.allows(now, bytes, PER_FUNCTION) && store.limiter.allows(now, bytes, TOTAL) {
                on.write(line);
            } else {
                log.limiter.withhold();
            }
        })
    }

    fn keep(&self, now: Nanos, line: &Line<'_>) -> Rc<FunctionLog> {
        let log = self.log_of(&line.writer.function);
        let unix = line.written.unwrap_or_else(|| self.clock.unix(now));
        let added = log.push(now, unix, line);
        let cut = log.cut_to(self.limits.function_bytes);
        self.bytes.set(self.bytes.get() + added - cut);
        if self.bytes.get() > self.limits.bytes {
            self.make_room();
        }
        log
    }

    /// The log of a name, which is made where there is none.
    pub fn log_of(&self, name: &Rc<str>) -> Rc<FunctionLog> {
        let mut logs = self.logs.borrow_mut();
        if let Some(log) = logs.get(name) {
            return log.clone();
        }
        let log = Rc::new(FunctionLog::new(name.clone()));
        logs.insert(name.clone(), log.clone());
        log
    }

    /// Cuts the fullest down to one level, such that enough is free.
    fn make_room(&self) {
        let wanted = self.limits.bytes - self.limits.bytes / FREED_PART;
        let Some(surplus) = self.bytes.get().checked_sub(wanted) else { return };
        let mut fullest: Vec<Rc<FunctionLog>> = self.logs.borrow().values().cloned().collect();
        fullest.sort_unstable_by_key(|log| Reverse(log.bytes()));
        let mut held = 0;
        for (at, log) in fullest.iter().enumerate() {
            held += log.bytes();
            let next = fullest.get(at + 1).map_or(0, |next| next.bytes());
            if held - next * (at + 1) >= surplus {
                let level = (held - surplus) / (at + 1);
                let cut: usize = fullest[..=at].iter().map(|log| log.cut_to(level)).sum();
                self.bytes.set(self.bytes.get() - cut);
                return;
            }
        }
    }

    /// A function of the name was created.
    pub fn created(&self, name: &str) {
        self.log_of(&name.into()).begin();
    }

    /// It was deleted.
    pub fn deleted(&self, name: &str) {
        if let Some(log) = self.get(name) {
            log.touched.set(self.clock.now());
            log.delete();
        }
    }

    /// The log of a name, where there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Rc<FunctionLog>> {
        self.logs.borrow().get(name).cloned()
    }

    /// Drops the logs of deleted functions whose time is over, and tells what was withheld from the
    /// log of this process. To be called now and then.
    pub fn sweep(&self, now: Nanos) {
        if now.saturating_sub(self.swept.get()) < SWEEP_PERIOD {
            return;
        }
        self.swept.set(now);
        let retention = u64::try_from(self.limits.retention.as_nanos()).unwrap_or(u64::MAX);
        self.logs.borrow_mut().retain(|_, log| {
            tell_withheld(log);
            // One that is being read stays, so that its reader sees what comes.
            let is_read = Rc::strong_count(log) > 1;
            let old = now.saturating_sub(log.touched.get()) > retention;
            let over = old && !is_read && log.life().is_none();
            if over {
                self.bytes.set(self.bytes.get() - log.cut_to(0));
            }
            !over
        });
    }

    /// Ends following, now and from now on.
    pub fn finish(&self) {
        self.finishing.set(true);
        for log in self.logs.borrow().values() {
            tell_withheld(log);
            log.wake();
        }
    }

    /// Whether nobody is to follow any more.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        self.finishing.get()
    }

    /// Takes one of the 64 slots for answers that are being streamed at once, over all functions: each holds
    /// a connection and some pieces. `None` where all are taken.
    #[must_use]
    pub fn take_slot(self: &Rc<Self>) -> Option<ReaderSlot> {
        let number = (!self.readers.get()).trailing_zeros();
        self.readers.set(self.readers.get() | 1_u64.checked_shl(number)?);
        Some(ReaderSlot { store: self.clone(), number: number as usize })
    }
}

fn tell_withheld(log: &FunctionLog) {
    if let Some(lines) = log.limiter.withheld() {
        let function = &*log.name;
        tracing::warn!(
            function,
            lines,
            "lines were not passed on to this log, too many in a second; GET /v1/functions/{function}/logs has those that are kept"
        );
    }
}

impl Drop for ReaderSlot {
    fn drop(&mut self) {
        self.store.readers.set(self.store.readers.get() & !(1 << self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::output::{OutputStream, OwnExecution, Writer};

    fn store(function_bytes: usize, bytes: usize) -> Rc<LogStore> {
        LogStore::new(Clock::start(), LogLimits { function_bytes, bytes, retention: Duration::ZERO })
    }

    fn write(store: &LogStore, function: &str, text: &str) {
        let writer = Writer {
            function: function.into(),
            instance: "1".into(),
            stream: OutputStream::Stdout,
            execution: OwnExecution::default(),
        };
        store.keep(0, &Line { writer: &writer, execution: None, text, written: None });
    }

    fn texts(store: &LogStore, function: &str) -> Vec<String> {
        let mut texts = Vec::new();
        if let Some(log) = store.get(function) {
            log.read(0, |line| {
                texts.push(line.text.to_string());
                true
            });
        }
        texts
    }

    #[test]
    fn a_function_keeps_its_newest_lines_within_its_bytes() {
        let store = store(4000, 1 << 20);
        for n in 0..1000 {
            write(&store, "f", &format!("line {n:03}"));
        }
        let log = store.get("f").unwrap();
        assert!(log.bytes() <= 4000 && log.bytes() == store.bytes.get(), "{}", log.bytes());
        let kept = texts(&store, "f");
        assert_eq!((kept.last().unwrap().as_str(), log.end()), ("line 999", 1000));
        assert_eq!(kept[0], format!("line {:03}", log.first()), "the oldest went first");
        assert!(kept.len() > 10, "it keeps what there is room for: {}", kept.len());
        for n in 0..100 {
            write(&store, "f", &" ".repeat(n % 2));
        }
        assert!(log.bytes() <= 4000, "lines without a text count, too: {}", log.bytes());
    }

    #[test]
    fn where_all_is_full_the_fullest_function_pays_and_a_quiet_one_keeps_its_lines() {
        let store = store(1 << 20, 64_000);
        write(&store, "quiet", "the only line");
        for n in 0..2000 {
            write(&store, "loud", &format!("{n}"));
            if n % 2 == 0 {
                write(&store, "less loud", &format!("{n}"));
            }
            assert!(store.bytes.get() <= 64_000, "{} at {n}", store.bytes.get());
        }
        assert_eq!(texts(&store, "quiet"), ["the only line"]);
        let [loud, less] = ["loud", "less loud"].map(|name| store.get(name).unwrap().bytes());
        assert_eq!(store.bytes.get(), loud + less + store.get("quiet").unwrap().bytes());
        assert!(loud.abs_diff(less) < 4000 && loud + less > 60_000, "{loud} and {less}");
    }

    #[test]
    fn a_function_that_is_created_again_begins_afresh_and_a_deleted_one_is_dropped_in_the_end() {
        let store = store(1 << 20, 1 << 20);
        let second = SWEEP_PERIOD;
        store.created("f");
        write(&store, "f", "of the first");
        let log = store.get("f").unwrap();
        let life = log.life();
        store.deleted("f");
        assert_eq!(log.life(), None);
        store.created("f");
        assert_ne!(log.life(), life);
        write(&store, "f", "of the second");
        assert_eq!((log.first(), log.begins(), log.end()), (0, 1, 2));
        store.sweep(100 * second);
        assert!(store.get("f").is_some(), "it is registered");
        store.deleted("f");
        store.sweep(200 * second);
        assert!(store.get("f").is_some(), "it is being read");
        drop(log);
        store.sweep(300 * second);
        assert!(store.get("f").is_none() && store.bytes.get() == 0);
    }

    #[test]
    fn a_pod_that_is_older_than_this_process_is_read_before_its_function_is_known() {
        let store = store(1 << 20, 1 << 20);
        write(&store, "f", "of a pod that was there");
        store.created("f");
        assert_eq!(store.get("f").unwrap().begins(), 0);
    }

    #[test]
    fn the_tail_counts_matching_lines_from_the_end() {
        let store = store(1 << 20, 1 << 20);
        for n in 0..6 {
            write(&store, "f", ["even", "odd"][n % 2]);
        }
        let log = store.get("f").unwrap();
        let tail = |from, count| log.tail(from, count, |line| &*line.text == "even");
        assert_eq!([tail(0, 0), tail(0, 1), tail(0, 2), tail(0, 3), tail(0, 9)], [6, 4, 2, 0, 0]);
        assert_eq!((tail(3, 2), tail(9, 1)), (3, 6), "what is too old does not count");
    }
}
