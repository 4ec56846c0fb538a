//! The store: what it keeps and for how long, and the transitions of its executions.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Poll, Waker};

use arc_swap::ArcSwapOption;

use super::*;
use crate::attempt_end::AttemptEnd;
use crate::channel::oneshot;
use crate::clock::Clock;
use crate::error::ErrorCode;
use crate::function_version::FunctionVersion;
use crate::id::Token;
use crate::instance::InstanceKey;
use crate::metrics::MetricsByGateway;
use crate::queue::function_queue::FunctionQueue;
use crate::spec::parse_function;
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::Stage;
use crate::store::execution_error::ExecutionError;
use crate::store::running_attempt::RunningAttempt;
use crate::store::time_limit::TimeLimit;
use crate::store::waiters::CLIENT;
use crate::trace::Trace;

const RETENTION: Nanos = 1000;
const INSTANCE: InstanceKey = InstanceKey { version: 0, place: 0, generation: 1 };

fn limits(slots: usize, bytes_max: usize, reserved_output: usize) -> StoreLimits {
    StoreLimits { slots, bytes_max, reserved_output, retention: RETENTION }
}

fn entry() -> Rc<FunctionEntry> {
    entry_with("")
}

/// The same with more fields, each behind a comma.
fn entry_with(fields: &str) -> Rc<FunctionEntry> {
    let text = format!(r#"{{"name":"f","executionMode":"POOL","endpointUrl":"http://127.0.0.1:9"{fields}}}"#);
    let spec = parse_function(text.as_bytes()).expect("a function");
    let function = FunctionVersion {
        tags: Arc::default(),
        index: 0,
        queue: Arc::new(FunctionQueue::new(1)),
        addresses: Box::default(),
        endings: Box::default(),
        metrics: Arc::new(MetricsByGateway::new(1)),
        problem: Arc::new(ArcSwapOption::empty()),
        spec,
    };
    Rc::new(FunctionEntry::new(Arc::new(function), 0, Rc::new(Cell::new(0)), Arc::default()))
}

fn admission(entry: &Rc<FunctionEntry>, invocation: Invocation, key: Option<&str>) -> Admission {
    Admission {
        entry: entry.clone(),
        invocation,
        payload: Bytes::from_static(b"1"),
        trace: Trace::new(None, None, &mut TraceBits::new([1, 1])),
        idempotency_key: key
            .map(|key| Rc::new(IdempotencyKey { function: "f".into(), key: key.as_bytes().into() })),
        deadline: 1,
        time_limit: TimeLimit::new(30_000, None),
        run_budget: 0,
        admitted: 0,
        web: None,
    }
}

fn store(limits: StoreLimits) -> ExecutionStore {
    let signals = (0..limits.slots).map(|_| ExecutionSignals::default()).collect();
    ExecutionStore::new(0, 1, limits, signals)
}

/// The scheduler lets go of an execution, and its client has its answer.
fn release(store: &mut ExecutionStore, ticket: Ticket) {
    let execution = store.get(ticket).expect("the execution");
    if execution.invocation == Invocation::Sync {
        assert!(!store.waiter_left(ticket, CLIENT));
    }
    store.signals[ticket.slot()].release(ticket.generation());
}

/// Begins an attempt. Answers whether it was started.
fn begin(store: &mut ExecutionStore, ticket: Ticket, entry: &Rc<FunctionEntry>, nth: u8) -> bool {
    let mut has_started = false;
    let begun = store.begin_attempt(ticket, entry, nth, INSTANCE, 10, |id, execution| {
        has_started = true;
        assert_eq!((id.ticket, execution.attempt), (ticket, nth));
        RunningAttempt::Process {
            signal: oneshot::channel().0,
            token: Token { high: 1, low: nth.into() },
            posted_none: false,
        }
    });
    assert_eq!(begun, has_started);
    begun
}

fn insert(store: &mut ExecutionStore, admission: Admission) -> Result<Ticket, Full> {
    store.make_room(&admission).map(|room| store.insert(admission, room))
}

fn failure() -> ExecutionError {
    ExecutionError::new(ErrorCode::HandlerError, "it failed")
}

fn result(outcome: Outcome) -> AttemptResult {
    AttemptResult { answered: 20, ..AttemptResult::without_answer(outcome) }
}

fn output(bytes: usize) -> AttemptResult {
    result(Outcome::Output(vec![b'1'; bytes].into()))
}

/// Ends an execution with an output of so many bytes.
fn end(store: &mut ExecutionStore, ticket: Ticket, entry: &Rc<FunctionEntry>, bytes: usize) {
    assert!(begin(store, ticket, entry, 1));
    let completed = store.complete(ticket, output(bytes), 0).expect("it ran");
    assert_eq!(completed.how, AttemptEnd::Answered);
    release(store, ticket);
}

/// Numbers of executions: waiting, running, and ended and kept.
fn stages(store: &ExecutionStore) -> (usize, usize, usize) {
    let StoreCounts { queued, running, kept, .. } = store.counts();
    (queued, running, kept)
}

#[test]
fn one_pass_lets_go_of_no_more_than_its_bound_and_the_last_of_nothing_that_is_to_stay() {
    let mut store = store(limits(1024, 1 << 20, 0));
    let entry = entry();
    for invocation in [Invocation::Sync, Invocation::Async] {
        for _ in 0..EXPIRED_PER_PASS {
            let ticket = insert(&mut store, admission(&entry, invocation, None)).expect("there is room");
            end(&mut store, ticket, &entry, 1);
        }
    }
    let left = |store: &ExecutionStore| (store.counts().kept, store.counts().unread);
    assert!(!store.expire(RETENTION - 1));
    assert_eq!(left(&store), (2 * EXPIRED_PER_PASS, EXPIRED_PER_PASS));
    assert!(store.expire(RETENTION));
    assert_eq!(left(&store), (EXPIRED_PER_PASS, EXPIRED_PER_PASS));
    while store.expire(RETENTION) {}
    assert_eq!((left(&store), store.bytes), ((0, 0), 0));
    assert_eq!((store.executions.len(), entry.held(), store.promised_count), (0, 0, 0));
    assert_eq!(store.history().newest(), None);
}

#[test]
fn what_is_kept_without_a_reservation_is_promised_to_nobody() {
    let mut store = store(limits(64, 100, 10));
    let entry = entry();
    let [fits, does_not] = ["a", "b"].map(|key| {
        insert(&mut store, admission(&entry, Invocation::Sync, Some(key))).expect("there is room")
    });
    end(&mut store, fits, &entry, 10);
    end(&mut store, does_not, &entry, 200);
    assert_eq!(store.promise(fits), Ok(()));
    assert_eq!(store.counts().unread, 1);
    assert_eq!(store.promise(does_not), Err(Full::Retention));
    assert_eq!(store.counts().unread, 1);
}

#[test]
fn an_output_that_was_promised_and_finds_no_room_ends_its_execution_as_an_error() {
    let mut store = store(limits(64, 100, 10));
    let entry = entry();
    let ticket = insert(&mut store, admission(&entry, Invocation::Async, None)).expect("there is room");
    end(&mut store, ticket, &entry, 200);
    let execution = store.get(ticket).expect("it is kept");
    assert_eq!(execution.stage(), Stage::Ended(Status::Error));
    assert_eq!(execution.error.as_ref().expect("an error").code, ErrorCode::RetentionFull.as_str());
    assert_eq!((execution.output.len(), store.bytes, entry.held()), (0, 0, 0));
}

#[test]
fn an_execution_is_counted_at_each_step_of_its_way() {
    let mut store = store(limits(64, 1 << 10, 0));
    let entry = entry();
    let ticket = insert(&mut store, admission(&entry, Invocation::Async, None)).expect("there is room");
    assert!(store.enqueue(ticket, 5).is_some());
    assert_eq!(stages(&store), (1, 0, 0));
    assert!(begin(&mut store, ticket, &entry, 1));
    assert_eq!(stages(&store), (0, 1, 0));
    let completed = store.complete(ticket, result(Outcome::Failed(failure())), 30).expect("it ran");
    assert_eq!((completed.how, completed.wakers.is_some()), (AttemptEnd::Failed, false));
    assert_eq!(stages(&store), (1, 0, 0));
    assert!(begin(&mut store, ticket, &entry, 2));
    assert!(store.abort_attempt(ticket).is_some());
    assert_eq!(stages(&store), (1, 0, 0));
    assert!(begin(&mut store, ticket, &entry, 3));
    store.written(ticket, 12, 15);
    let completed = store.complete(ticket, output(3), 40).expect("it ran");
    assert_eq!((completed.how, completed.wakers.is_some()), (AttemptEnd::Answered, true));
    assert_eq!(stages(&store), (0, 0, 1));
    let execution = store.get(ticket).expect("it is kept");
    assert_eq!((execution.stage(), execution.attempt), (Stage::Ended(Status::Success), 3));
    assert!(execution.error.is_none(), "the error of an attempt before is kept");
    assert_eq!((execution.first_granted, execution.timestamps.written, execution.tokens.len()), (10, 15, 3));
    let metrics = entry.metrics();
    let counts = [&metrics.enqueued, &metrics.dispatched, &metrics.retries, &metrics.success, &metrics.error];
    assert_eq!(counts.map(crate::metrics::CounterCell::get), [1, 3, 2, 1, 0]);
}

#[test]
fn an_end_comes_once_and_what_comes_after_it_changes_nothing() {
    let mut store = store(limits(64, 1 << 10, 0));
    let entry = entry();
    let ticket = insert(&mut store, admission(&entry, Invocation::Async, None)).expect("there is room");
    assert!(begin(&mut store, ticket, &entry, 1));
    let ended = store.end(ticket, 30, |_| (Status::Cancelled, Some(Box::new(failure())))).expect("it ran");
    assert!(ended.attempt.is_some(), "nobody stops the attempt");
    let before = store.counts();
    assert!(store.complete(ticket, output(3), 40).is_none());
    assert_eq!(entry.metrics().late_results.get(), 1);
    assert!(store.abort_attempt(ticket).is_none());
    assert!(!begin(&mut store, ticket, &entry, 2));
    assert!(store.end(ticket, 50, |_| panic!("it has ended")).is_none());
    assert_eq!(store.counts(), before);
    let execution = store.get(ticket).expect("it is kept");
    assert_eq!((execution.stage(), execution.timestamps.ended), (Stage::Ended(Status::Cancelled), 30));
    assert_eq!((execution.output.len(), execution.attempt), (0, 1));
}

#[test]
fn a_result_after_the_attempt_was_stopped_is_late() {
    let mut store = store(limits(64, 1 << 10, 0));
    let entry = entry();
    let ticket = insert(&mut store, admission(&entry, Invocation::Async, None)).expect("there is room");
    assert!(store.complete(ticket, output(1), 5).is_none(), "a result before there was an attempt");
    assert!(begin(&mut store, ticket, &entry, 1));
    assert!(store.abort_attempt(ticket).is_some());
    assert!(store.complete(ticket, output(1), 20).is_none());
    assert_eq!((stages(&store), entry.metrics().late_results.get()), ((1, 0, 0), 2));
}

#[test]
#[should_panic(expected = "an attempt is granted to an execution that has one")]
fn an_execution_has_one_attempt_at_a_time() {
    let mut store = store(limits(64, 1 << 10, 0));
    let entry = entry();
    let ticket = insert(&mut store, admission(&entry, Invocation::Async, None)).expect("there is room");
    assert!(begin(&mut store, ticket, &entry, 1));
    begin(&mut store, ticket, &entry, 2);
}

#[test]
fn an_end_without_an_error_of_its_own_has_that_of_the_last_attempt() {
    let mut store = store(limits(64, 1 << 10, 0));
    let entry = entry();
    let ticket = insert(&mut store, admission(&entry, Invocation::Sync, Some("k"))).expect("there is room");
    assert!(begin(&mut store, ticket, &entry, 1));
    let completed = store.complete(ticket, result(Outcome::Failed(failure())), 20);
    assert!(completed.is_some());
    let ended = store.end(ticket, 30, |execution| {
        assert_eq!(execution.error.as_ref().expect("that of the attempt").message, "it failed");
        (Status::Error, None)
    });
    assert!(ended.is_some_and(|ended| ended.attempt.is_none()));
    let execution = store.get(ticket).expect("it is kept");
    assert_eq!(execution.error.as_ref().expect("that of the attempt").message, "it failed");
    let key = IdempotencyKey { function: "f".into(), key: b"k"[..].into() };
    assert_eq!(store.look_up_key(&key, b"1"), KeyLookup::Free, "the key of a failure is not freed");
}

#[test]
fn the_client_of_an_invoke_is_a_waiter_from_the_admission_until_its_reply() {
    let mut store = store(limits(64, 1 << 10, 0));
    let (entry, clock, waker) = (entry(), Clock::start(), Waker::noop());
    let ticket = insert(&mut store, admission(&entry, Invocation::Sync, None)).expect("there is room");
    let reply = |store: &mut ExecutionStore| {
        store.poll_reply(ticket, CLIENT, waker, &clock, |id, execution| (id.ticket, execution.stage()))
    };
    assert!(reply(&mut store).is_pending());
    let other = store.wait(ticket).expect("it is there");
    assert!(store.poll_end(ticket, other, waker).is_pending());
    assert!(begin(&mut store, ticket, &entry, 1));
    let completed = store.complete(ticket, output(1), 20).expect("it ran");
    completed.wakers.expect("it has ended").wake();
    store.signals[ticket.slot()].release(ticket.generation());
    assert!(store.poll_end(ticket, other, waker).is_ready());
    assert_eq!(reply(&mut store), Poll::Ready(Some((ticket, Stage::Ended(Status::Success)))));
    while store.expire(RETENTION + 20) {}
    assert!(store.get(ticket).is_some(), "an execution that is waited for has gone");
    assert!(!store.waiter_left(ticket, other));
    while store.expire(RETENTION + 20) {}
    assert!(store.get(ticket).is_none());
}

#[test]
fn a_queued_execution_is_abandoned_by_its_last_waiter_unless_it_was_promised() {
    let mut store = store(limits(64, 1 << 10, 0));
    let entry = entry();
    let [alone, keyed, waited_for, running] = [None, Some("k"), None, None]
        .map(|key| insert(&mut store, admission(&entry, Invocation::Sync, key)).expect("there is room"));
    let other = store.wait(waited_for).expect("it is there");
    assert!(begin(&mut store, running, &entry, 1));
    let abandoned = [alone, keyed, waited_for, running].map(|ticket| store.waiter_left(ticket, CLIENT));
    assert_eq!(abandoned, [true, false, false, false]);
    assert!(store.waiter_left(waited_for, other));
}

#[test]
fn an_attempt_on_another_version_takes_the_bytes_along() {
    let mut store = store(limits(64, 1 << 10, 0));
    let (old, new) = (entry(), entry());
    let ticket = insert(&mut store, admission(&old, Invocation::Async, None)).expect("there is room");
    assert_eq!((old.held(), new.held()), (1, 0));
    assert!(begin(&mut store, ticket, &new, 1));
    assert_eq!((old.held(), new.held()), (0, 1));
    assert!(store.complete(ticket, output(3), 20).is_some());
    assert_eq!((old.held(), new.held(), new.metrics().success.get()), (0, 3, 1));
}

/// The numbers of the store are those of its executions.
fn audit(store: &ExecutionStore, entry: &FunctionEntry) {
    let count = |matches: fn(&Execution) -> bool| {
        store.executions.iter().filter(|(_, execution)| matches(execution)).count()
    };
    let held: usize = store.executions.iter().map(|(_, execution)| execution.held).sum();
    let evictable = store.evictable.iter().filter_map(|(ticket, _)| store.get(*ticket));
    assert_eq!(store.queued, count(|execution| matches!(execution.state, State::Queued)));
    assert_eq!(store.running, count(|execution| matches!(execution.state, State::Running(_))));
    assert_eq!(store.unread, count(|it| it.invocation == Invocation::Async && !it.read));
    assert_eq!(store.promised_count, count(|it| it.retention == Retention::Promised));
    assert_eq!((store.bytes, entry.held()), (held, held));
    assert_eq!(store.evictable_bytes, evictable.map(|execution| execution.held).sum::<usize>());
}

#[test]
fn the_numbers_are_those_of_the_executions_over_random_transitions() {
    for seed in 1..=50_u64 {
        // xorshift64*, as in the history's test.
        let mut state = seed;
        let mut below = |bound: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
        };
        let mut store = store(limits(16, 200, 8));
        let entry = entry();
        let mut tickets: Vec<Ticket> = Vec::new();
        for now in 0..600_u64 {
            if tickets.is_empty() || below(4) == 0 {
                let invocation = [Invocation::Sync, Invocation::Async][below(2)];
                let key = [None, Some("a"), Some("b")][below(3)];
                if let Ok(ticket) = insert(&mut store, admission(&entry, invocation, key)) {
                    tickets.push(ticket);
                }
            } else {
                let ticket = tickets[below(tickets.len())];
                let stage = store.get(ticket).map(Execution::stage);
                match below(9) {
                    0 | 1 if stage != Some(Stage::Running) => {
                        assert_eq!(begin(&mut store, ticket, &entry, 1), stage == Some(Stage::Queued));
                    }
                    0..=2 => {
                        let outcome = match below(4) {
                            0 => Outcome::Failed(failure()),
                            1 => Outcome::Refused(failure()),
                            2 => Outcome::Unsent(failure()),
                            _ => Outcome::Output(vec![b'1'; below(60)].into()),
                        };
                        let completed = store.complete(ticket, result(outcome), now);
                        assert_eq!(completed.is_some(), stage == Some(Stage::Running));
                    }
                    3 => {
                        let attempt = store.abort_attempt(ticket);
                        assert_eq!(attempt.is_some(), stage == Some(Stage::Running));
                    }
                    4 => {
                        let ended = store.end(ticket, now, |_| (Status::Cancelled, None));
                        let lived = matches!(stage, Some(Stage::Queued | Stage::Running));
                        assert_eq!(ended.is_some(), lived);
                    }
                    5 => {
                        store.mark_read(ticket);
                    }
                    6 => {
                        let promised = store.promise(ticket);
                        assert!(stage.is_some() || promised.is_err());
                    }
                    7 if matches!(stage, Some(Stage::Ended(_))) => {
                        release(&mut store, ticket);
                        tickets.retain(|other| *other != ticket);
                    }
                    _ => {
                        store.expire(now);
                    }
                }
            }
            audit(&store, &entry);
        }
    }
}

#[test]
fn a_function_that_says_that_its_time_is_over_is_told_by_the_limit_when_that_is_so_and_by_its_own_word_before()
 {
    const MS: Nanos = 1_000_000;
    let (whole, both) = (entry(), entry_with(r#","attemptTimeoutMs":10000"#));
    let late = || ExecutionError::new(ErrorCode::HandlerTimeout, "its own word");
    let by_attempt = "the attempt took longer than 10000 ms (attemptTimeoutMs)";
    let (own, ended) = ("its own word", Stage::Ended(Status::Timeout));
    for (entry, answered_ms, code, message, stage) in [
        // Whole milliseconds are told, and the clock of another machine may be a little faster.
        (&whole, 29_998, "TIMEOUT", "it did not end within 30000 ms (timeoutMs)", ended),
        (&whole, 30_000, "TIMEOUT", "it did not end within 30000 ms (timeoutMs)", ended),
        (&whole, 29_000, "HANDLER_TIMEOUT", own, Stage::Queued),
        (&both, 9_999, "HANDLER_TIMEOUT", by_attempt, Stage::Queued),
        (&both, 5_000, "HANDLER_TIMEOUT", own, Stage::Queued),
    ] {
        let mut store = store(limits(64, 1000, 0));
        let admission = Admission { deadline: 30_000 * MS, ..admission(entry, Invocation::Sync, None) };
        let ticket = insert(&mut store, admission).expect("there is room");
        assert!(begin(&mut store, ticket, entry, 1));
        let result = AttemptResult { answered: answered_ms * MS, ..result(Outcome::Failed(late())) };
        let completed = store.complete(ticket, result, answered_ms * MS).expect("it ran");
        let has_ended = stage == ended;
        let how = match (has_ended, message == by_attempt) {
            (true, _) => AttemptEnd::Late,
            (false, true) => AttemptEnd::TimedOut,
            (false, false) => AttemptEnd::Failed,
        };
        assert_eq!(completed.how, how, "{answered_ms}");
        let execution = store.get(ticket).expect("the execution");
        let error = execution.error.as_ref().expect("an error");
        assert_eq!(
            (&*error.code, &*error.message, execution.stage()),
            (code, message, stage),
            "{answered_ms}"
        );
    }
}

#[test]
fn a_last_attempt_that_had_no_time_for_a_whole_one_ends_as_those_before_it_did() {
    const MS: Nanos = 1_000_000;
    let entry = entry_with(r#","attemptTimeoutMs":10000"#);
    let mut store = store(limits(64, 1000, 0));
    let admission = Admission { deadline: 15_000 * MS, ..admission(&entry, Invocation::Sync, None) };
    let ticket = insert(&mut store, admission).expect("there is room");
    assert!(begin(&mut store, ticket, &entry, 1));
    assert!(store.abort_attempt(ticket).is_some());
    let started = store.begin_attempt(ticket, &entry, 2, INSTANCE, 10_050 * MS, |_, _| {
        let (signal, token) = (oneshot::channel().0, Token { high: 1, low: 2 });
        RunningAttempt::Process { signal, token, posted_none: false }
    });
    assert!(started);
    let timeout = store.get(ticket).expect("the execution").timeout();
    assert!(timeout.is_none(), "the scheduler's end keeps the error: {timeout:?}");
    let late = ExecutionError::new(ErrorCode::HandlerTimeout, "its own word");
    let result = AttemptResult { answered: 15_000 * MS, ..result(Outcome::Failed(late)) };
    let completed = store.complete(ticket, result, 15_000 * MS).expect("it ran");
    assert_eq!(completed.how, AttemptEnd::Late);
    let execution = store.get(ticket).expect("the execution");
    let error = execution.error.as_ref().expect("an error");
    assert_eq!(error.message, "the attempt took longer than 10000 ms (attemptTimeoutMs)");
    assert_eq!(execution.stage(), Stage::Ended(Status::Timeout));
}

#[test]
fn an_error_of_the_function_s_own_is_an_answer_whatever_its_status() {
    for http in [400, 504] {
        let (mut store, entry) = (store(limits(64, 1000, 0)), entry());
        let ticket = insert(&mut store, admission(&entry, Invocation::Sync, None)).expect("there is room");
        assert!(begin(&mut store, ticket, &entry, 1));
        let refused = Outcome::Refused(ExecutionError { http, ..failure() });
        let completed = store.complete(ticket, result(refused), 20).expect("it ran");
        assert_eq!(completed.how, AttemptEnd::Answered, "{http}");
    }
}
