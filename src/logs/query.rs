//! The query of a reader of lines: `?tail=&since=&follow=`, and the form of the answer.

use std::time::Duration;

use hyper::header::{ACCEPT, HeaderMap};
use percent_encoding::percent_decode_str;

use crate::api::query::{OF_LOGS, parameters, unknown_parameter};
use crate::clock::{Clock, parse_rfc3339};
use crate::error::{ApiError, ErrorCode};

/// The most lines that `tail` can ask for.
const TAIL_MAX: usize = 1_000_000;

/// In which form lines are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `time stream instance text`.
    Text,
    /// One JSON object a line.
    Json,
}

/// The lines that a reader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogQuery {
    /// Only so many of the last lines; `None` for all that are kept.
    pub tail: Option<usize>,
    /// Only lines from this time on, since the Unix epoch.
    pub since: Option<Duration>,
    /// And those that are still to come.
    pub follow: bool,
    /// See [`Form`].
    pub form: Form,
}

impl LogQuery {
    /// Reads a request's parameters and its `Accept`.
    ///
    /// # Errors
    /// `BAD_REQUEST` with the parameter and what it may be.
    pub(crate) fn read(query: Option<&str>, headers: &HeaderMap, clock: &Clock) -> Result<Self, ApiError> {
        let mut wanted = Self { tail: None, since: None, follow: false, form: form(headers) };
        for (name, value) in parameters(query) {
            // A `+` stays one: a time has it before its offset.
            let value = &*percent_decode_str(value).decode_utf8_lossy();
            let wrong = |may_be: String| {
                let message = format!("{name}={value} is not what it may be: {may_be}");
                ApiError::new(ErrorCode::BadRequest, message)
            };
            match name {
                "tail" => {
                    let lines = value.parse().ok().filter(|lines| *lines <= TAIL_MAX);
                    let may_be = || wrong(format!("a number of lines, 0 … {TAIL_MAX}"));
                    wanted.tail = Some(lines.ok_or_else(may_be)?);
                }
                "since" => {
                    let forms = "a duration until now such as 30s, 5m or 2h, or a time such as 2026-01-31T12:00:00Z (RFC 3339)";
                    wanted.since = Some(since(value, clock).ok_or_else(|| wrong(forms.to_owned()))?);
                }
                "follow" => {
                    wanted.follow = match value {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(wrong("true or false".to_owned())),
                    };
                }
                _ => return Err(unknown_parameter(name, OF_LOGS)),
            }
        }
        Ok(wanted)
    }
}

/// JSON where the client names it. A preference among several is not weighed.
fn form(headers: &HeaderMap) -> Form {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let names_json =
        |value: &str| value.contains("application/x-ndjson") || value.contains("application/json");
    if accepted.any(names_json) { Form::Json } else { Form::Text }
}

/// The time that `since` names.
fn since(value: &str, clock: &Clock) -> Option<Duration> {
    if let Some(unix) = parse_rfc3339(value) {
        return Some(unix);
    }
    let unit = value.chars().next_back()?;
    let seconds_per_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    let digits =
        value.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let ago = Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(seconds_per_unit)?);
    // Longer ago than 1970 is before everything.
    Some(clock.unix(clock.now()).saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(query: &str) -> Result<LogQuery, ApiError> {
        LogQuery::read(Some(query), &HeaderMap::new(), &Clock::start())
    }

    #[test]
    fn what_is_left_out_means_every_line_as_text_and_no_following() {
        let all = LogQuery { tail: None, since: None, follow: false, form: Form::Text };
        assert_eq!(read("").unwrap(), all);
        assert_eq!(read("tail=3&follow=1").unwrap(), LogQuery { tail: Some(3), follow: true, ..all });
        assert_eq!(read("follow=false&tail=0").unwrap(), LogQuery { tail: Some(0), ..all });
        let started = Clock::start().unix(0);
        let ago = started.saturating_sub(read("since=2h").unwrap().since.unwrap());
        assert!(ago.as_secs().abs_diff(7200) <= 60, "also before the clock was started: {ago:?}");
        assert_eq!(read("since=900000h").unwrap().since, Some(Duration::ZERO), "before 1970");
        let later = read("since=2199-01-31T12%3A00%3a00%2B01:00").unwrap().since;
        assert_eq!(read("since=2199-01-31T12:00:00+01:00").unwrap().since, later);
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_name_and_what_it_may_be() {
        for (query, part) in [
            ("tail=-1", "0 … 1000000"),
            ("tail=1000001", "0 … 1000000"),
            ("tail=", "0 … 1000000"),
            ("since=yesterday", "RFC 3339"),
            ("since=5", "30s"),
            ("since=s", "30s"),
            ("since=%zz", "30s"),
            ("since=+5s", "30s"),
            ("since=99999999999999999999s", "30s"),
            ("follow=yes", "true or false"),
            ("follow", "true or false"),
            ("lines=5", "`tail`, `since` and `follow`"),
        ] {
            let error = read(query).expect_err(query);
            let name = query.split('=').next().unwrap();
            assert_eq!(error.code, ErrorCode::BadRequest, "{query}");
            assert!(error.message.contains(part) && error.message.contains(name), "{}", error.message);
        }
    }

    #[test]
    fn json_is_answered_to_who_names_it() {
        for (accept, wanted) in [
            ("application/x-ndjson", Form::Json),
            ("text/html, application/json;q=0.9", Form::Json),
            ("*/*", Form::Text),
            ("text/plain", Form::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(form(&headers), wanted, "{accept}");
        }
    }
}
