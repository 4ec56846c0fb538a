//! `JOB`: a process that fetches one input and posts one result.
//!
//! | file | cases about |
//! |---|---|
//! | `results` | what is posted |
//! | `calls` | calls that go wrong, and being told to stop |

mod calls;
mod results;

use super::case::Case;

pub(crate) const CASES: &[Case] = &[
    Case { name: "fetch, run, post", run: results::fetch_run_post },
    Case { name: "an output that is promised", run: results::a_promised_output },
    Case { name: "context", run: results::context },
    Case { name: "trace context", run: results::trace_context },
    Case { name: "1 MiB in and out", run: results::mebibyte },
    Case { name: "broken JSON", run: results::broken_json },
    Case { name: "an error with status and code", run: results::error_with_status_and_code },
    Case { name: "an error that is final", run: results::error_that_is_final },
    Case { name: "a panic", run: results::panic },
    Case { name: "an exit", run: results::exit },
    Case { name: "unserialisable output", run: results::unserialisable },
    Case { name: "a number that is none", run: results::a_number_that_is_none },
    Case { name: "output that is too large", run: results::output_too_large },
    Case { name: "over its deadline", run: results::over_its_deadline },
    Case { name: "log lines", run: results::log_lines },
    Case { name: "last log lines, and text beyond ASCII", run: results::last_lines },
    Case { name: "a missing function is named", run: results::missing_function_is_named },
    Case { name: "a slow control plane", run: calls::slow_control_plane },
    Case { name: "an input that is asked for again", run: calls::input_asked_for_again },
    Case { name: "a result that is posted again", run: calls::result_posted_again },
    Case { name: "a result that is refused", run: calls::result_refused },
    Case { name: "a wrong token", run: calls::wrong_token },
    Case { name: "superseded before it ran", run: calls::superseded_before },
    Case { name: "superseded after it ran", run: calls::superseded_after },
    Case { name: "SIGTERM mid-request", run: calls::sigterm },
];
