//! `GET /healthz` and `GET /readyz`.

use std::time::Duration;

use hyper::Response;

use crate::api::response;
use crate::api::response::Body;
use crate::error::{ApiError, ErrorCode};

/// Longest time until the scheduler shows that it ticks.
const TICK_PATIENCE: Duration = Duration::from_secs(1);

/// Whether the process is ready for traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is.
    Ready,
    /// It is stopping.
    Draining,
    /// The registry is being loaded.
    Loading,
    /// These functions are being built for the first time, and the first build of those failed.
    Unbuilt { building: Vec<String>, failed: Vec<String> },
    /// The functions were not read from the Kubernetes API server yet, for this reason where one is known.
    Unread(Option<String>),
}

/// Answers `GET /healthz`. `ticked` wakes the scheduler and returns when it has ticked.
///
/// # Errors
/// The scheduler does not tick though it was woken.
pub(crate) async fn healthz(ticked: impl Future<Output = ()>) -> Result<Response<Body>, ApiError> {
    match tokio::time::timeout(TICK_PATIENCE, ticked).await {
        Ok(()) => Ok(response::json(200, "{\"status\":\"ok\"}")),
        Err(_) => Err(ApiError::new(
            ErrorCode::ShuttingDown,
            format!("the scheduler has not ticked for {} ms", TICK_PATIENCE.as_millis()),
        )),
    }
}

/// Answers `GET /readyz`.
///
/// # Errors
/// It is not ready; with the reason.
pub(crate) fn readyz(readiness: Readiness) -> Result<Response<Body>, ApiError> {
    let missing = match readiness {
        Readiness::Ready => return Ok(response::json(200, "{\"status\":\"ready\"}")),
        Readiness::Draining => {
            return Err(ApiError::new(ErrorCode::Draining, "the control plane is stopping"));
        }
        Readiness::Loading => "the registry is being loaded".to_owned(),
        Readiness::Unbuilt { building, failed } => [
            ("functions are being built for the first time", building),
            ("the first build of functions failed", failed),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect::<Vec<String>>()
        .join("; "),
        Readiness::Unread(why) => {
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            format!("the functions were not read from the Kubernetes API server yet{why}")
        }
    };
    Err(ApiError::new(ErrorCode::ControlBusy, missing).retry_after(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_not_to_be_ready_is_told_with_what_is_known_of_it() {
        assert_eq!(readyz(Readiness::Ready).expect("it is ready").status(), 200);
        let told = |readiness| {
            let error = readyz(readiness).expect_err("not ready");
            (error.code, error.message.into_owned())
        };
        assert_eq!(
            told(Readiness::Draining),
            (ErrorCode::Draining, "the control plane is stopping".to_owned())
        );
        let loading = "the registry is being loaded".to_owned();
        assert_eq!(told(Readiness::Loading), (ErrorCode::ControlBusy, loading));
        let building = "functions are being built for the first time: a, b";
        let failing = "the first build of functions failed: c";
        for (names, failed, text) in [
            (&["a", "b"][..], &[][..], building.to_owned()),
            (&[], &["c"], failing.to_owned()),
            (&["a", "b"], &["c"], format!("{building}; {failing}")),
        ] {
            let [building, failed] =
                [names, failed].map(|names| names.iter().map(ToString::to_string).collect());
            assert_eq!(told(Readiness::Unbuilt { building, failed }), (ErrorCode::ControlBusy, text));
        }
        let unread = "the functions were not read from the Kubernetes API server yet".to_owned();
        let why = Some("another control plane is at work".to_owned());
        assert_eq!(
            told(Readiness::Unread(why)),
            (ErrorCode::ControlBusy, format!("{unread}: another control plane is at work"))
        );
        assert_eq!(told(Readiness::Unread(None)), (ErrorCode::ControlBusy, unread));
    }
}
