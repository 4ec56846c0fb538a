//! `JOB`: a process that fetches one input and posts one result.
//!
//! | file | cases about |
//! |---|---|
//! | `results` | what is posted |
//! | `calls` | calls that go wrong, and being told to stop |

mod calls;
mod results;

use super::case::Case;
use super::case::Run::Plain;

pub(crate) const CASES: &[Case] = &[
    Case { name: "fetch, run, post", run: Plain(results::fetch_run_post) },
    Case { name: "an output that is promised", run: Plain(results::a_promised_output) },
    Case { name: "context", run: Plain(results::context) },
    Case { name: "trace context", run: Plain(results::trace_context) },
    Case { name: "1 MiB in and out", run: Plain(results::mebibyte) },
    Case { name: "broken JSON", run: Plain(results::broken_json) },
    Case { name: "an error with status and code", run: Plain(results::error_with_status_and_code) },
    Case { name: "an error that is final", run: Plain(results::error_that_is_final) },
    Case { name: "a panic", run: Plain(results::panic) },
    Case { name: "an exit", run: Plain(results::exit) },
    Case { name: "unserialisable output", run: Plain(results::unserialisable) },
    Case { name: "a number that is none", run: Plain(results::a_number_that_is_none) },
    Case { name: "output that is too large", run: Plain(results::output_too_large) },
    Case { name: "over its deadline", run: Plain(results::over_its_deadline) },
    Case { name: "log lines", run: Plain(results::log_lines) },
    Case { name: "last log lines, and text beyond ASCII", run: Plain(results::last_lines) },
    Case { name: "a missing function is named", run: Plain(results::missing_function_is_named) },
    Case { name: "a slow control plane", run: Plain(calls::slow_control_plane) },
    Case { name: "an input that is asked for again", run: Plain(calls::input_asked_for_again) },
    Case { name: "a result that is posted again", run: Plain(calls::result_posted_again) },
    Case { name: "a result that is refused", run: Plain(calls::result_refused) },
    Case { name: "a wrong token", run: Plain(calls::wrong_token) },
    Case { name: "superseded before it ran", run: Plain(calls::superseded_before) },
    Case { name: "superseded after it ran", run: Plain(calls::superseded_after) },
    Case { name: "SIGTERM mid-request", run: Plain(calls::sigterm) },
];
