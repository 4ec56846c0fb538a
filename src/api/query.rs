//! Parameters of a query string, and which of them a call has.

use super::call::Call;
use crate::error::{ApiError, ErrorCode};

/// Parameters of `GET /v1/executions/{id}`, and of its output.
pub(crate) const OF_READ: &[&str] = &["wait"];
/// Parameters of `GET /v1/executions`.
pub(crate) const OF_LIST: &[&str] = &["function", "status", "limit", "cursor", "slowest"];
/// Parameters of both calls that read lines.
pub(crate) const OF_LOGS: &[&str] = &["tail", "since", "follow"];

/// The parameters of a query string in their order, as they were sent: a name, and the value after the first
/// `=`, which may be empty. Values are not decoded.
pub(crate) fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Checks that a call has every parameter that it is given.
///
/// # Errors
/// `BAD_REQUEST` with the parameters that there are.
pub(crate) fn check_parameters(call: Call, query: Option<&str>) -> Result<(), ApiError> {
    if query.is_none() {
        return Ok(());
    }
    let known = call.parameters();
    let unknown = parameters(query).map(|(name, _)| name).find(|name| !known.contains(name));
    unknown.map_or(Ok(()), |name| Err(unknown_parameter(name, known)))
}

/// The error of a parameter that a call has not.
#[cold]
pub(crate) fn unknown_parameter(name: &str, known: &[&str]) -> ApiError {
    let there = match known {
        [] => "this call has none".to_owned(),
        [one] => format!("there is `{one}`"),
        [first @ .., last] => format!("there are `{}` and `{last}`", first.join("`, `")),
    };
    ApiError::new(ErrorCode::BadRequest, format!("unknown parameter {name:?}; {there}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::call::PathPart;

    #[test]
    fn a_parameter_that_a_call_has_not_is_refused_with_those_that_it_has() {
        let part = || PathPart::after("/", "a");
        let refused =
            |call, query| check_parameters(call, Some(query)).expect_err(query).message.into_owned();
        assert_eq!(refused(Call::Healthz, "verbose"), "unknown parameter \"verbose\"; this call has none");
        assert_eq!(
            refused(Call::ReadExecution(part()), "wait=1&timeout=2"),
            "unknown parameter \"timeout\"; there is `wait`"
        );
        assert_eq!(
            refused(Call::FunctionLogs(part()), "lines=3"),
            "unknown parameter \"lines\"; there are `tail`, `since` and `follow`"
        );
        for (call, query) in [
            (Call::Healthz, None),
            (Call::Healthz, Some("")),
            (Call::ListExecutions, Some("limit=1&function=a&&status=success&cursor=")),
            (Call::ExecutionLogs(part()), Some("tail=1&since=5m&follow")),
        ] {
            assert!(check_parameters(call, query).is_ok(), "{call:?} {query:?}");
        }
    }

    #[test]
    fn parameters_come_in_order_and_a_name_alone_has_an_empty_value() {
        let read = |query| parameters(query).collect::<Vec<_>>();
        assert_eq!(read(None), []);
        assert_eq!(read(Some("&&")), []);
        assert_eq!(
            read(Some("a=1&b&a=2=3&=4&c=%26+")),
            [("a", "1"), ("b", ""), ("a", "2=3"), ("", "4"), ("c", "%26+")]
        );
    }
}
