//! `WARM`: an instance that listens.
//!
//! | file | cases about |
//! |---|---|
//! | `start` | being healthy, where it listens, a function that is not there |
//! | `answers` | what goes in and comes out |
//! | `refusals` | requests that are not to be run |
//! | `failures` | functions that fail |
//! | `limits` | deadlines, callers that go away, sizes, many at once |
//! | `observe` | what can be seen from outside |
//! | `stop` | SIGTERM |
//! | `expect` | the `100 Continue` that says that a handler is run |
//! | `ages` | how old an instance says that it is |
//! | `standby` | an instance that takes one invocation and ends |
//! | `announce` | telling the control plane that it listens, as in Kubernetes |
//! | `frames` | frames themselves: opening, flow, cancelling, signs of life, violations |
//! | `warm_instance` | an instance, behind either kind of listener |
//! | `client` | a connection that invokes, over either transport |
//! | `sleepers` | invocations that are out together |

mod ages;
mod announce;
mod answers;
mod client;
mod expect;
mod failures;
mod frames;
mod limits;
mod observe;
mod refusals;
mod sleepers;
mod standby;
mod start;
mod stop;
mod warm_instance;

use frames::{cancel, flow, life, opening, violations};

use super::case::Case;
use super::case::Run::{Both, Frames, Plain};
pub(crate) use limits::IN_FLIGHT;
pub(crate) use opening::are_declined as frames_are_declined;
pub(crate) use warm_instance::{ListenerKind, Stream, WarmInstance};

pub(crate) const CASES: &[Case] = &[
    Case { name: "healthy only when loaded", run: Plain(start::healthy_only_when_loaded) },
    Case { name: "healthy over TCP", run: Plain(start::healthy_over_tcp) },
    Case { name: "the socket wins over the port", run: Plain(start::socket_wins_over_port) },
    Case { name: "a stale socket file is replaced", run: Plain(start::stale_socket_file_is_replaced) },
    Case { name: "another file is left alone", run: Plain(start::other_file_is_left_alone) },
    Case { name: "a missing function is named", run: Plain(start::missing_function_is_named) },
    Case { name: "echo", run: Both(answers::echo) },
    Case { name: "echo over TCP", run: Both(answers::echo_over_tcp) },
    Case { name: "1 MiB in and out", run: Both(answers::mebibyte) },
    Case { name: "a body in pieces", run: Plain(answers::body_in_pieces) },
    Case { name: "pipelined requests", run: Plain(answers::pipelined) },
    Case { name: "keep-alive", run: Plain(answers::keep_alive) },
    Case { name: "an output that is promised", run: Both(answers::a_promised_output) },
    Case { name: "context", run: Both(answers::context) },
    Case { name: "context without the optional", run: Both(answers::context_without_the_optional) },
    Case { name: "trace context", run: Both(answers::trace_context) },
    Case { name: "no X-Execution-Id", run: Plain(refusals::no_execution_id) },
    Case { name: "broken JSON", run: Both(refusals::broken_json) },
    Case { name: "no input", run: Both(refusals::no_input) },
    Case { name: "unknown path and method", run: Plain(refusals::unknown_path_and_method) },
    Case { name: "a web page", run: Plain(refusals::a_web_page) },
    Case { name: "no host, or several", run: Plain(refusals::no_host) },
    Case { name: "an open end", run: Plain(refusals::an_open_end) },
    Case { name: "a body that is too large", run: Both(refusals::body_too_large) },
    Case { name: "an error with status and code", run: Both(failures::error_with_status_and_code) },
    Case { name: "an error that is final", run: Both(failures::error_that_is_final) },
    Case { name: "a panic", run: Both(failures::panic) },
    Case { name: "an exit", run: Both(failures::exit) },
    Case { name: "an exit that tells only its own lines", run: Both(failures::exit_tells_own_lines) },
    Case { name: "unserialisable output", run: Both(failures::unserialisable) },
    Case { name: "a number that is none", run: Both(failures::a_number_that_is_none) },
    Case { name: "output that is too large", run: Both(limits::output_too_large) },
    Case { name: "over its deadline", run: Both(limits::over_its_deadline) },
    Case { name: "never answering", run: Both(limits::never_answering) },
    Case { name: "a caller that goes away", run: Both(limits::caller_goes_away) },
    Case { name: "64 at once", run: Both(limits::sixty_four_at_once) },
    Case { name: "cold start", run: Both(observe::cold_start) },
    Case { name: "metrics", run: Both(observe::metrics) },
    Case { name: "log lines", run: Both(observe::log_lines) },
    Case { name: "log lines with ids in them", run: Both(observe::lines_with_ids_in_them) },
    Case { name: "long log lines", run: Both(observe::long_lines) },
    Case { name: "late log lines", run: Both(observe::late_lines) },
    Case { name: "last log lines, and text beyond ASCII", run: Both(observe::last_lines) },
    Case { name: "100 Continue before the handler", run: Plain(expect::before_the_handler) },
    Case { name: "no 100 Continue unasked", run: Plain(expect::not_unasked) },
    Case { name: "healthy with its ages", run: Plain(ages::of_a_healthy_instance) },
    Case { name: "a standby serves one", run: Both(standby::serves_one) },
    Case { name: "a standby ends after its one", run: Both(standby::ends_after_its_one) },
    Case { name: "a standby ends while its caller stays", run: Both(standby::ends_while_its_caller_stays) },
    Case { name: "a standby whose caller goes away", run: Both(standby::whose_caller_goes_away) },
    Case { name: "a standby that is not said with 1", run: Plain(standby::not_said_with_one) },
    Case { name: "SIGTERM while idle", run: Both(stop::idle) },
    Case { name: "SIGTERM mid-request", run: Both(stop::mid_request) },
    Case { name: "SIGTERM while idle over TCP", run: Both(stop::idle_over_tcp) },
    Case { name: "SIGTERM mid-request over TCP", run: Both(stop::mid_request_over_tcp) },
    Case { name: "opened", run: Frames(opening::opened) },
    Case { name: "opened for a web page", run: Frames(opening::a_web_page) },
    Case { name: "opened without a host", run: Frames(opening::no_host) },
    Case { name: "another protocol", run: Frames(opening::another_protocol) },
    Case { name: "HTTP/1.1 beside frames", run: Frames(opening::http_beside_frames) },
    Case { name: "two connections at once", run: Frames(opening::two_connections) },
    Case { name: "a body in any pieces", run: Frames(flow::body_in_any_pieces) },
    Case { name: "frames in pieces", run: Frames(flow::frames_in_pieces) },
    Case { name: "frames that may be skipped", run: Frames(flow::skipped) },
    Case { name: "answers out of order", run: Frames(flow::out_of_order) },
    Case { name: "1,000 attempts", run: Frames(flow::a_thousand) },
    Case { name: "the window of the gateway", run: Frames(flow::window_of_the_gateway) },
    Case { name: "the window of the instance", run: Frames(flow::window_of_the_instance) },
    Case { name: "large answers in turns", run: Frames(flow::large_answers_in_turns) },
    Case { name: "a caller that cancels", run: Frames(cancel::a_caller_that_cancels) },
    Case { name: "a cancelled answer", run: Frames(cancel::mid_answer) },
    Case { name: "a cancelled body", run: Frames(cancel::mid_body) },
    Case { name: "frames for what is over", run: Frames(cancel::after_the_end) },
    Case { name: "PING while a handler runs", run: Frames(life::ping_while_a_handler_runs) },
    Case { name: "a gateway that falls silent", run: Frames(life::silent_gateway) },
    Case { name: "half a frame", run: Frames(life::half_a_frame) },
    Case { name: "no HELLO", run: Frames(life::no_hello) },
    Case { name: "GOAWAY at SIGTERM", run: Frames(life::go_away_at_sigterm) },
    Case { name: "violations", run: Frames(violations::each_has_its_code) },
    Case { name: "more attempts than it takes", run: Frames(violations::too_many_attempts) },
    Case { name: "announced once healthy", run: Plain(announce::once_it_is_healthy) },
    Case { name: "announced with its ages", run: Plain(announce::with_its_ages) },
    Case { name: "announced again until taken", run: Plain(announce::again_until_it_is_taken) },
    Case { name: "announced to a later control plane", run: Plain(announce::to_one_that_comes_later) },
    Case { name: "announced over IPv6", run: Plain(announce::over_ipv6) },
    Case { name: "an announcement that is not taken", run: Plain(announce::serves_though_it_is_not_taken) },
    Case { name: "SIGTERM between announcements", run: Plain(announce::stops_between_two_tries) },
    Case { name: "nothing to announce", run: Plain(announce::nothing_where_it_is_not_asked_to) },
    Case { name: "a mistake in an announcement", run: Plain(announce::a_mistake_stops_nothing) },
];
