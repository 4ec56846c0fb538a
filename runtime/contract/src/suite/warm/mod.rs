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
//! | `announce` | telling the control plane that it listens, as in Kubernetes |
//! | `warm_instance` | an instance, behind either kind of listener |

mod announce;
mod answers;
mod failures;
mod limits;
mod observe;
mod refusals;
mod start;
mod stop;
mod warm_instance;

use super::case::Case;

pub(crate) const CASES: &[Case] = &[
    Case { name: "healthy only when loaded", run: start::healthy_only_when_loaded },
    Case { name: "healthy over TCP", run: start::healthy_over_tcp },
    Case { name: "the socket wins over the port", run: start::socket_wins_over_port },
    Case { name: "a stale socket file is replaced", run: start::stale_socket_file_is_replaced },
    Case { name: "another file is left alone", run: start::other_file_is_left_alone },
    Case { name: "a missing function is named", run: start::missing_function_is_named },
    Case { name: "echo", run: answers::echo },
    Case { name: "echo over TCP", run: answers::echo_over_tcp },
    Case { name: "1 MiB in and out", run: answers::mebibyte },
    Case { name: "a body in pieces", run: answers::body_in_pieces },
    Case { name: "pipelined requests", run: answers::pipelined },
    Case { name: "keep-alive", run: answers::keep_alive },
    Case { name: "an output that is promised", run: answers::a_promised_output },
    Case { name: "context", run: answers::context },
    Case { name: "context without the optional", run: answers::context_without_the_optional },
    Case { name: "trace context", run: answers::trace_context },
    Case { name: "no X-Execution-Id", run: refusals::no_execution_id },
    Case { name: "broken JSON", run: refusals::broken_json },
    Case { name: "no input", run: refusals::no_input },
    Case { name: "unknown path and method", run: refusals::unknown_path_and_method },
    Case { name: "a web page", run: refusals::a_web_page },
    Case { name: "no host, or several", run: refusals::no_host },
    Case { name: "an open end", run: refusals::an_open_end },
    Case { name: "a body that is too large", run: refusals::body_too_large },
    Case { name: "an error with status and code", run: failures::error_with_status_and_code },
    Case { name: "an error that is final", run: failures::error_that_is_final },
    Case { name: "a panic", run: failures::panic },
    Case { name: "an exit", run: failures::exit },
    Case { name: "an exit that tells only its own lines", run: failures::exit_tells_only_its_own_lines },
    Case { name: "unserialisable output", run: failures::unserialisable },
    Case { name: "a number that is none", run: failures::a_number_that_is_none },
    Case { name: "output that is too large", run: limits::output_too_large },
    Case { name: "over its deadline", run: limits::over_its_deadline },
    Case { name: "never answering", run: limits::never_answering },
    Case { name: "a caller that goes away", run: limits::caller_goes_away },
    Case { name: "64 at once", run: limits::sixty_four_at_once },
    Case { name: "cold start", run: observe::cold_start },
    Case { name: "metrics", run: observe::metrics },
    Case { name: "log lines", run: observe::log_lines },
    Case { name: "log lines with ids in them", run: observe::lines_with_ids_in_them },
    Case { name: "long log lines", run: observe::long_lines },
    Case { name: "late log lines", run: observe::late_lines },
    Case { name: "last log lines, and text beyond ASCII", run: observe::last_lines },
    Case { name: "SIGTERM while idle", run: stop::idle },
    Case { name: "SIGTERM mid-request", run: stop::mid_request },
    Case { name: "SIGTERM while idle over TCP", run: stop::idle_over_tcp },
    Case { name: "SIGTERM mid-request over TCP", run: stop::mid_request_over_tcp },
    Case { name: "announced once healthy", run: announce::once_it_is_healthy },
    Case { name: "announced again until taken", run: announce::again_until_it_is_taken },
    Case { name: "announced to a later control plane", run: announce::to_one_that_comes_later },
    Case { name: "announced over IPv6", run: announce::over_ipv6 },
    Case { name: "an announcement that is not taken", run: announce::serves_though_it_is_not_taken },
    Case { name: "SIGTERM between announcements", run: announce::stops_between_two_tries },
    Case { name: "nothing to announce", run: announce::nothing_where_it_is_not_asked_to },
    Case { name: "a mistake in an announcement", run: announce::a_mistake_stops_nothing },
];
