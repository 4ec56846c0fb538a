//! Web requests: HTTP as it is, at a `WARM` instance.
//!
//! | file | cases about |
//! |---|---|
//! | `requests` | what a function gets |
//! | `answers` | what its caller gets |
//! | `streams` | bodies that come piece by piece, without an end, or not to their end |
//! | `refusals` | requests that are not to be answered by a function, and functions that answer none |
//! | `life` | counting, stopping, a change of the protocol |
//! | `web_client` | requests of a caller |

mod answers;
mod life;
mod refusals;
mod requests;
mod streams;
mod web_client;

use super::case::Case;
use super::case::Run::{Plain, Upgrade, Web, WebBoth};
pub(crate) use life::upgrades_are_refused;
pub(crate) use refusals::{are_not_offered_in_frames, are_refused_once};

pub(crate) const CASES: &[Case] = &[
    Case { name: "method, path and query as sent", run: WebBoth(requests::line_as_sent) },
    Case { name: "the paths of an instance", run: Web(requests::paths_of_an_instance) },
    Case { name: "headers of a request", run: WebBoth(requests::headers) },
    Case { name: "any bytes in a body", run: WebBoth(requests::any_bytes) },
    Case { name: "any pieces of a body", run: Web(requests::any_pieces) },
    Case { name: "a body over MAX_BODY", run: Web(requests::over_max_body) },
    Case { name: "a body that is not read", run: Web(requests::not_read) },
    Case { name: "a body that breaks off", run: Web(requests::breaks_off) },
    Case { name: "100 Continue", run: Web(requests::continued) },
    Case { name: "web requests over TCP", run: Web(requests::over_tcp) },
    Case { name: "any status, with headers and a body", run: WebBoth(answers::any_status) },
    Case { name: "HEAD, 204 and 304", run: WebBoth(answers::without_a_body) },
    Case { name: "any bytes in an answer", run: WebBoth(answers::any_bytes) },
    Case { name: "one connection for many", run: Web(answers::one_connection) },
    Case { name: "piece by piece", run: WebBoth(streams::piece_by_piece) },
    Case { name: "both ways at once", run: Web(streams::both_ways) },
    Case { name: "a stream that nobody reads", run: WebBoth(streams::nobody_reads) },
    Case { name: "a stream that breaks off", run: WebBoth(streams::breaks_off) },
    Case { name: "a stream whose caller goes away", run: WebBoth(streams::caller_goes_away) },
    Case { name: "a web request without X-Execution-Id", run: Web(refusals::no_execution_id) },
    Case { name: "a function that takes JSON", run: Plain(refusals::a_function_that_takes_json) },
    Case { name: "metrics of web requests", run: WebBoth(life::metrics) },
    Case { name: "SIGTERM mid-stream", run: WebBoth(life::sigterm_mid_stream) },
    Case { name: "a change of the protocol", run: Upgrade(life::upgrade) },
    Case { name: "a change of the protocol whose caller goes away", run: Upgrade(life::upgrade_given_up) },
];
