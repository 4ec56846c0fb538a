//! Logs of functions in pods, read through the API server.
//!
//! The pods of a `WARM` function are followed. The pod of a `JOB` is read once, when its attempt has ended:
//! most live shorter than it takes to begin to follow them. Who reads lines while it runs makes it be read
//! once more, and who follows them makes it be followed. Everything waits in line for its turn, and has
//! connections of its own, so that no Job waits for a log.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};

use super::Semaphore;
use super::calls::CALL_TIMEOUT;
use super::cluster::call;
use super::failure::{CallFailure, of_error};
use super::function_container;
use super::pod_log::{PodLog, ReadExtent};
use super::template::FUNCTION;
use crate::backoff::ExponentialBackoff;
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, oneshot};
use crate::id::ExecutionId;
use crate::logs::output::{Lines, OwnExecution};
use crate::logs::source::LogSelector;
use crate::logs::tail::Tail;

/// Pods that are followed at once; each holds a connection to the API server.
const FOLLOWED_MAX: usize = 64;
/// Logs that are read to their end at once.
const READ_MAX: usize = 8;
/// Ended attempts whose log may wait to be read.
const UNREAD_MAX: usize = 4096;
/// Ended attempts of which it is remembered whose they were.
const ENDED_MAX: usize = 4096;
/// Longest time in which a log is read to its end.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// Time for which a pod is followed before it is asked for anew: a connection that died silently is noticed.
const FOLLOW_PERIOD: Duration = Duration::from_secs(120);
/// Time for which a pod is followed while another waits. A turn is not cut short by one that comes meanwhile, so
/// each is as long.
const FOLLOW_TURN: Duration = Duration::from_secs(5);
/// The first pause before a pod is asked for again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Time for which it is tried to read the log of an attempt that has ended, while the API server is away.
const LATE_PATIENCE: Duration = Duration::from_secs(300);

/// The logs of pods.
pub struct PodLogs {
    pub(super) pods: Api<Pod>,
    lines: Lines,
    /// Permits to follow a pod.
    follows: Semaphore,
    /// Pods that wait for such a permit.
    follows_waiting: Cell<usize>,
    /// Permits to read a log to its end.
    pub(super) reads: Semaphore,
    /// Logs of the pods of `WARM` functions, by the pod's name.
    warm: RefCell<HashMap<String, Rc<PodLog>>>,
    /// Running attempts, by the name of their Job.
    attempts: RefCell<HashMap<String, RunningJob>>,
    /// The lines of `JOB` functions that are followed, by the number of their reader.
    readers: RefCell<Vec<(u64, LogSelector)>>,
    readers_counted: Cell<u64>,
    /// Attempts that have ended, the latest last, and their functions.
    ended: RefCell<VecDeque<(ExecutionId, Rc<str>)>>,
    unread: Cell<usize>,
}

/// The Job of a running attempt.
struct RunningJob {
    function: Rc<str>,
    /// Known from its start on, or from when it is given one.
    execution: OwnExecution,
    /// The log of its pod, once that is there.
    log: Option<Rc<PodLog>>,
}

impl RunningJob {
    fn is_wanted(&self, wanted: &LogSelector) -> bool {
        wanted.function == self.function && wanted.execution.is_none_or(|id| Some(id) == self.execution.get())
    }
}

impl std::fmt::Debug for PodLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodLogs")
            .field("warm", &self.warm.borrow().len())
            .field("attempts", &self.attempts.borrow().len())
            .field("unread", &self.unread.get())
            .finish_non_exhaustive()
    }
}

/// The outcome of reading a log.
pub(super) enum LogRead {
    /// It was read to its end, or until its time was over.
    Complete,
    /// There is none, and there will be none.
    NoLog,
    /// It could not be read now.
    Retry,
}

impl PodLogs {
    /// Makes the logs of the pods that `pods` reaches, by connections that nobody else needs. Lines go to `lines`.
    #[must_use]
    pub fn new(pods: Api<Pod>, lines: Lines) -> Rc<Self> {
        Rc::new(Self {
            pods,
            lines,
            follows: Semaphore::new(FOLLOWED_MAX),
            follows_waiting: Cell::new(0),
            reads: Semaphore::new(READ_MAX),
            warm: RefCell::default(),
            attempts: RefCell::default(),
            readers: RefCell::default(),
            readers_counted: Cell::new(0),
            ended: RefCell::default(),
            unread: Cell::new(0),
        })
    }

    /// A Job is about to be made, for an execution or for one that it will be given.
    pub fn expect(&self, job: &str, function: &str, execution: Option<ExecutionId>) {
        let execution = OwnExecution::of(execution);
        let attempt = RunningJob { function: function.into(), execution, log: None };
        self.attempts.borrow_mut().insert(job.to_owned(), attempt);
    }

    /// A pod is there, or is another than it was.
    pub fn pod_changed(self: &Rc<Self>, pod: &Pod, job: Option<&str>) {
        if !has_started(pod) {
            return;
        }
        let name = pod.name_any();
        if let Some(job) = job {
            let mut attempts = self.attempts.borrow_mut();
            let Some(attempt) = attempts.get_mut(job) else { return };
            let log = attempt.log.get_or_insert_with(|| {
                PodLog::new(&name, attempt.function.clone(), Some(attempt.execution.clone()))
            });
            let log = log.clone();
            if self.readers.borrow().iter().any(|(_, wanted)| attempt.is_wanted(wanted)) {
                self.begin_to_follow(log);
            }
            return;
        }
        let Some(function) = pod.labels().get(FUNCTION) else { return };
        if !self.warm.borrow().contains_key(&name) {
            let log = PodLog::new(&name, function.as_str().into(), None);
            self.warm.borrow_mut().insert(name, log.clone());
            self.begin_to_follow(log);
        }
    }

    /// A Job that was made without an execution was given one, at this time since the Unix epoch.
    pub fn assign(&self, job: &str, execution: ExecutionId, since: Duration) {
        if let Some(attempt) = self.attempts.borrow().get(job) {
            attempt.execution.set(execution, since);
        }
    }

    /// The pod of this name is gone.
    pub fn pod_gone(&self, name: &str) {
        if let Some(log) = self.warm.borrow_mut().remove(name) {
            log.is_over.set(true);
        }
    }

    /// These are all pods there are.
    pub fn pods_listed(&self, names: &BTreeSet<String>) {
        self.warm.borrow_mut().retain(|name, log| {
            let is_there = names.contains(name);
            log.is_over.set(!is_there);
            is_there
        });
    }

    /// The pod of an attempt is about to be deleted. What it writes at its end is read then, if it still can
    /// be.
    pub fn read_before_deletion(self: &Rc<Self>, job: &str) {
        let log = self.attempts.borrow().get(job).and_then(|attempt| attempt.log.clone());
        if let Some(log) = log.filter(|log| !log.is_followed.get()) {
            drop(self.read_now(log));
        }
    }

    /// An attempt has ended: its log is read to its end. Its last lines are answered, where there is a log.
    pub fn read_ended(self: &Rc<Self>, job: &str) -> Option<AnswerReceiver<Tail>> {
        let attempt = self.attempts.borrow_mut().remove(job)?;
        let log = attempt.log?;
        log.is_over.set(true);
        let mut ended = self.ended.borrow_mut();
        if ended.len() == ENDED_MAX {
            ended.pop_front();
        }
        if let Some(execution) = attempt.execution.get() {
            ended.push_back((execution, attempt.function));
        }
        if self.unread.get() >= UNREAD_MAX {
            tracing::warn!(pod = &*log.pod, "the lines of a JOB were not read, too many wait for it");
            return None;
        }
        self.unread.set(self.unread.get() + 1);
        let (answer, tail) = oneshot::channel();
        let logs = self.clone();
        tokio::task::spawn_local(async move {
            let read = logs.read_late(&log, answer);
            if tokio::time::timeout(LATE_PATIENCE, read).await.is_err() {
                tracing::warn!(pod = &*log.pod, "the lines of a JOB could not be read");
            }
            logs.unread.set(logs.unread.get() - 1);
        });
        Some(tail)
    }

    /// The function of an attempt that has ended.
    pub(super) fn function_of_ended(&self, execution: ExecutionId) -> Option<Rc<str>> {
        let ended = self.ended.borrow();
        ended.iter().rev().find(|(id, _)| *id == execution).map(|(_, function)| function.clone())
    }

    /// The logs of running attempts whose lines are wanted.
    pub(super) fn running(&self, wanted: &LogSelector) -> Vec<Rc<PodLog>> {
        let attempts = self.attempts.borrow();
        let wanted = attempts.values().filter(|attempt| attempt.is_wanted(wanted));
        wanted.filter_map(|attempt| attempt.log.clone()).collect()
    }

    /// Has attempts followed whose pods come to be there, for a reader. Returns the reader's number.
    pub(super) fn add_reader(&self, wanted: LogSelector) -> u64 {
        let number = self.readers_counted.get();
        self.readers_counted.set(number + 1);
        self.readers.borrow_mut().push((number, wanted));
        number
    }

    /// Forgets a reader.
    pub(super) fn remove_reader(&self, number: u64) {
        self.readers.borrow_mut().retain(|(known, _)| *known != number);
    }

    /// Reads what there is, in a task of its own, and says when it was read.
    pub(super) fn read_now(self: &Rc<Self>, log: Rc<PodLog>) -> AnswerReceiver<()> {
        let (answer, read) = oneshot::channel();
        let logs = self.clone();
        tokio::task::spawn_local(async move {
            let _reader = log.reader.acquire().await;
            let _permit = logs.reads.acquire().await;
            logs.ask(&log, ReadExtent::Written, logs.lines.clone()).await;
            channel::answer(answer, ());
        });
        read
    }

    /// Reads the rest of a log, again and again while the API server is away.
    async fn read_late(&self, log: &PodLog, answer: AnswerSender<Tail>) {
        let _reader = log.reader.acquire().await;
        let mut pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
        loop {
            let outcome = {
                let _permit = self.reads.acquire().await;
                self.ask(log, ReadExtent::Written, self.lines.clone()).await
            };
            match outcome {
                LogRead::Complete => return channel::answer(answer, log.tail.clone()),
                LogRead::NoLog => return,
                LogRead::Retry => pauses.pause().await,
            }
        }
    }

    pub(super) fn begin_to_follow(self: &Rc<Self>, log: Rc<PodLog>) {
        if !log.is_followed.replace(true) {
            let logs = self.clone();
            tokio::task::spawn_local(async move { logs.keep_following(&log).await });
        }
    }

    /// Follows a log until its pod is over.
    async fn keep_following(&self, log: &PodLog) {
        let mut pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
        // A first turn without lines is followed by the second pause.
        pauses.next_pause();
        while !log.is_over.get() {
            let before = log.mark();
            {
                self.follows_waiting.set(self.follows_waiting.get() + 1);
                let _permit = self.follows.acquire().await;
                self.follows_waiting.set(self.follows_waiting.get() - 1);
                let _reader = log.reader.acquire().await;
                if log.is_over.get() {
                    return;
                }
                tokio::select! {
                    outcome = self.ask(log, ReadExtent::Following, self.lines.clone()) => {
                        if matches!(outcome, LogRead::NoLog) {
                            return;
                        }
                    }
                    () = self.turn_is_over() => {}
                }
            }
            // A container that has ended, and is not there again, is not asked for all the time.
            if log.mark() != before {
                pauses.reset();
            }
            if !log.is_over.get() {
                pauses.pause().await;
            }
        }
    }

    /// Returns when a pod has been followed long enough, which is sooner where others wait.
    async fn turn_is_over(&self) {
        let mut followed = Duration::ZERO;
        while followed < FOLLOW_PERIOD {
            tokio::time::sleep(FOLLOW_TURN).await;
            followed += FOLLOW_TURN;
            if self.follows_waiting.get() > 0 {
                return;
            }
        }
    }

    pub(super) async fn ask(&self, log: &PodLog, extent: ReadExtent, lines: Lines) -> LogRead {
        let params = log.params(extent);
        let read = async {
            let begin = self.pods.log_stream(&log.pod, &params);
            // The answer to who follows begins with the first line.
            let answer = match extent {
                ReadExtent::Following => begin.await.map_err(of_error),
                ReadExtent::Written => call(begin).await,
            };
            match answer {
                Ok(answer) => match log.take(answer, lines).await {
                    Ok(()) => LogRead::Complete,
                    Err(error) => {
                        tracing::debug!(pod = &*log.pod, %error, "a log broke off and is read on");
                        LogRead::Retry
                    }
                },
                Err(CallFailure::NotFound) => LogRead::NoLog,
                // An answer of 400 says that no container was started yet; of a pod that has ended it stays so.
                Err(CallFailure::Permanent(_) | CallFailure::AlreadyExists) if log.is_over.get() => {
                    LogRead::NoLog
                }
                Err(failed) => {
                    tracing::debug!(pod = &*log.pod, "a log cannot be read now: {failed}");
                    LogRead::Retry
                }
            }
        };
        match extent {
            ReadExtent::Following => read.await,
            ReadExtent::Written => {
                tokio::time::timeout(READ_PATIENCE + CALL_TIMEOUT, read).await.unwrap_or(LogRead::Retry)
            }
        }
    }
}

/// Whether the function's container runs, or ran, so that it may have written.
fn has_started(pod: &Pod) -> bool {
    let container = function_container::in_status(pod);
    let states = container.into_iter().flat_map(|container| [&container.state, &container.last_state]);
    states.flatten().any(|state| state.running.is_some() || state.terminated.is_some())
}
