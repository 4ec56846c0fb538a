//! SCHEDULER: decides which execution runs next and where, and when it is tried again or ends. It sees tickets, never
//! payloads.
//!
//! | file | holds |
//! |---|---|
//! | `tick` | the tick, and in its folder how versions are served, retries, lines, credits, commands |
//! | `scheduled_version` | a version of a function in the scheduler; its instances |
//! | `deadline_gate` | whether an execution can still end in time, and how fast a line moves |
//! | `service_times` | what attempts of a version have taken lately |
//! | `scheduled_execution` | the scheduler's half of an execution; wait lists |
//! | `wait_line`, `deadline_heap` | the line of a version: which of those that wait is next |
//! | `wheel` | timers |
//! | `message` | the messages between scheduler, gateways and control |
//! | `rings` | every ring but those of functions, which are in [`queue`](crate::queue); the idle scheduler |
//! | `command_sender` | commands of control; keeps those that the ring has no room for |
//! | `thread` | the scheduler's thread: spin, park, pin |
//! | `simulation`, `loom_tests` | the seeded simulation, and models for loom (tests) |
//!
//! An execution crosses this folder as a [`Ticket`](crate::ticket::Ticket), a single machine word. Its gateway pushes the
//! ticket on its function's [`FunctionQueue`](crate::queue::function_queue::FunctionQueue); [`tick::Scheduler::tick`] turns
//! it into a [`scheduled_execution::ScheduledExecution`], puts it in the line of its
//! [`scheduled_version::ScheduledVersion`], and answers with [`message::GatewayCommand`]s; the
//! gateway answers each `Run` with one [`message::GatewayEvent::AttemptEnded`].
//! Payloads and results stay with the gateway. All other rings are in [`rings::Rings`],
//! with their capacities.
//!
//! # Stages
//! Upper bounds: the most work that one call of each stage does. Where a stage awaits, only the task of that one request waits.
//!
//! | stage | thread | touches | may block | bound of work |
//! |---|---|---|---|---|
//! | admit | gateway | request, credits, store, signals | no; awaits the body for `--body-timeout-ms` | one body of `--max-body` bytes, parsed once; looks at 16 kept executions for each one it evicts |
//! | enqueue | gateway | the function's queue, `ready`, doorbell | no | one push, at most one announcement and one wake; or the ticks there are, where gateways tick |
//! | tick | the scheduler's owner | every ring, scheduled executions, versions, wheel | no | 64 commands, 512 events, 128 queues × 64 tickets, 512 steps of the wheel, 128 versions × 64 grants; see below |
//! | dispatch | gateway | commands, store, pools, a connection | no; awaits connect (2 s) and write | one task per `Run` |
//! | complete | gateway, then tick | store, `gateway_events`; scheduled execution, version | no; awaits the answer until the scheduler ends it | one answer of `--max-output` bytes, parsed once; one event |
//! | reply | gateway | store, the client's connection | no | one answer; its output is copied into it |
//!
//! One that comes into a line, leaves it or is the next of it takes at most 5 steps of the list and 5 log₂(n + 1) of the
//! heap where n wait, whatever their deadlines are: 80 where 65,535 do (`wait_line`).
//!
//! Four things in a tick are bounded by a function's own limits instead: a grant looks at each
//! place of its version (`replicas.max`, or the number of endpoints), `SchedulerCommand::Close`
//! empties the function's queue (`queueSize`), `SchedulerCommand::Succeed` moves the whole line of
//! the version that is replaced, and a deletion looks at every execution for those that pause
//! between attempts. The last three happen once per change of a function.
//!
//! # Ownership
//! One thread at a time owns the scheduler: its own thread while that is awake, or a gateway that
//! has taken it out of `Rings::idle_scheduler` to tick.
//!
//! | field | writer | readers | published by |
//! |---|---|---|---|
//! | scheduled executions, wait lists, wheel, versions, active list | the scheduler's owner | the same | `Rings::idle_scheduler` |
//! | `Rings::idle_scheduler` | scheduler thread before it parks; a gateway that ticks | the same | `AtomicCell` |
//! | `Rings::wakes_at` | the scheduler's owner | scheduler thread, after it has fallen asleep | the doorbell's fences |
//! | `FunctionQueue` ring | gateways push | tick pops | the ring |
//! | `FunctionQueue` announced flag | gateways set; tick clears, and sets at its bound | both | `SeqCst` |
//! | `FunctionQueue` credits | gateways take, and give back where the store is full; tick gives back, and takes for those that come from a replaced version | both | nothing: the number guards itself |
//! | `FunctionQueue::{waiting, in_flight, ready}` | tick | scrapes, reads of a function, `Retry-After`, control for `headroom` and `scaleAhead` | nothing: gauges |
//! | `FunctionQueue::{pace_ns, last_due_ns}` | tick | gateways at admit | nothing: gauges |
//! | `ExecutionSignals` deadline, run budget | gateway at admit | tick at accept | the push of the ticket |
//! | `ExecutionSignals` cancelled | gateway | tick at accept | `SeqCst`, and the `GatewayEvent::Cancelled` that follows |
//! | `ExecutionSignals` released | tick | gateway before it uses the slot again | `Release` |
//! | `ready`, `gateway_events` | gateways push; tick pushes `ready` again at its bound | tick pops | the rings |
//! | `GatewayRings::commands` | tick pushes | its gateway pops | the ring |
//! | `scheduler_commands` | control pushes | tick pops | the ring |
//! | `Rings::commands_handled` | tick | control | `SeqCst` |
//! | `Rings::commands_awaited` | control | tick | `SeqCst` |
//! | `scheduler_events` | tick pushes | control pops | the ring |
//! | `Doorbell` asleep | its owner; the producer that takes over its waking | producers | the two fences |
//! | `GatewayRings::gauges` | its gateway | control | nothing: gauges |
//! | `FunctionVersion::addresses` | control | gateways at a grant | `ArcSwapOption`, before `SchedulerCommand::Ready` |
//!
//! # Orderings
//! Everything else is relaxed and guards nothing but itself, except the cells of `ArcSwap` and `Rings::registry_unread`
//! (`Release` and `Acquire`, for names that a gateway does not know).
//!
//! | store | load | what becomes visible |
//! |---|---|---|
//! | push in `FunctionQueue::push` | pop in `FunctionQueue::pop` | the ticket, and what `ExecutionSignals::write` wrote before |
//! | `Announced::set`: swap | `Announced::clear`: store, then pop | either the scheduler clears after the swap and then sees the ticket, or the swap sees the cleared flag and its caller announces the version |
//! | publish, then the fence of `Doorbell::must_wake` or `is_asleep` | `Doorbell::fall_asleep`: store, fence, then a look at every ring | either the owner sees the message, or the producer sees that it sleeps |
//! | `ExecutionSignals::cancel`, before `GatewayEvent::Cancelled` is pushed | `ExecutionSignals::is_cancelled` in `accept` | a cancel whose event was drained before its ticket came |
//! | `ExecutionSignals::release`: `Release` | `ExecutionSignals::is_released`: `Acquire` | the scheduler's last use of the slot is over |
//! | `Rings::commands_handled` | `CommandSender::handled` and `look` | what the commands have changed, e.g. the credits of a version that replaces another |
//! | `commands_awaited` in `CommandSender::handled`, then a look at `commands_handled` | `commands_handled` in `take_commands`, then a look at `commands_awaited` | either control sees its commands handled, or the scheduler sees that it waits and wakes it |
//! | `Rings::idle_scheduler.store` | `Rings::idle_scheduler.take` | the whole scheduler, as the last tick left it |
//! | `wakes_at` in `wake_or_tick`, then its wake | `wakes_at` in `thread::sleep`, after `fall_asleep` | a timer that a gateway's tick set sooner |
//! | `stop`: `Release`, then an unpark | the loop of `thread::run`: `Acquire` | that the scheduler is to end |
//!
//! `loom_tests` models the doorbell, the announced flag and the idle scheduler; `simulation`
//! drives the real scheduler over the real rings on one thread.
pub(crate) mod command_sender;
pub(crate) mod deadline_gate;
mod deadline_heap;
#[cfg(all(test, feature = "loom"))]
mod loom_tests;
pub(crate) mod message;
pub(crate) mod rings;
pub(crate) mod scheduled_execution;
pub(crate) mod scheduled_version;
mod service_times;
#[cfg(test)]
mod simulation;
pub(crate) mod thread;
pub(crate) mod tick;
pub(crate) mod wait_line;
pub(crate) mod wheel;
