//! The time until a function that was deployed is served, with what its status says meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::client_error::ClientError;
use crate::function_calls;
use crate::function_view::FunctionView;
use crate::output;
use crate::printable::printable;
use crate::resource::FunctionName;
use crate::server_client::ServerClient;
use crate::target::Target;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// How long an instance on this machine may go on failing: it is started again and again, in vain.
const LOCAL_FAILING_MAX: Duration = Duration::from_secs(3);

/// The same in a cluster, where nodes come and quotas are freed.
#[cfg(feature = "cluster")]
const CLUSTER_FAILING_MAX: Duration = Duration::from_secs(20);

/// How far a function is.
#[derive(Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    /// It starts.
    Starting(String),
    /// An instance did not start; another try may.
    Failing(String),
    /// It never will.
    Invalid(String),
}

/// Waits until a function is served as it was put last. Each change of its state is told.
///
/// # Errors
/// It goes on failing, or the time is over.
pub(crate) async fn wait(
    client: &mut ServerClient,
    name: &FunctionName,
    limit: Duration,
) -> Result<(), ClientError> {
    let failing_max = match client.target() {
        Target::Http(_) => LOCAL_FAILING_MAX,
        #[cfg(feature = "cluster")]
        Target::Cluster(_) => CLUSTER_FAILING_MAX,
    };
    let flags = client.target().flags();
    let end = Instant::now() + limit;
    let (mut told, mut failing_until) = (String::new(), None);
    loop {
        let readiness = match function_calls::read_current(client, name).await? {
            Some(answer) => readiness_of(&client.read::<FunctionView>(&answer)?),
            None => Readiness::Starting("the control plane has not taken it up yet".to_owned()),
        };
        let not_ready = |why: &str, within| {
            let (name, why, flags) = (name.to_string(), why.to_owned(), flags.clone());
            Err(ClientError::NotReady { name, why, flags, within })
        };
        let now = Instant::now();
        let why = match &readiness {
            Readiness::Ready => return Ok(()),
            Readiness::Invalid(why) => return not_ready(why, None),
            Readiness::Failing(why) => {
                if now >= *failing_until.get_or_insert(now + failing_max) {
                    return not_ready(why, None);
                }
                why
            }
            // Between two failures it starts again, which is no progress.
            Readiness::Starting(why) => why,
        };
        if now >= end {
            return not_ready(why, Some(limit));
        }
        if told != *why {
            output::say(&format!("waiting for {name}: {}", printable(why)));
            told.clone_from(why);
        }
        sleep(LOOK).await;
    }
}

fn readiness_of(function: &FunctionView) -> Readiness {
    let condition = |kind: &str, status: &str| {
        let mut all = function.status.conditions.iter();
        all.find(|condition| condition.r#type == kind && condition.status == status)
    };
    let told = |reason: &str, message: &str| {
        if message.is_empty() { reason.to_owned() } else { format!("{message} ({reason})") }
    };
    if let Some(invalid) = condition("Valid", "False") {
        return Readiness::Invalid(told(&invalid.reason, &invalid.message));
    }
    let rolling = condition("Progressing", "True");
    let is_on_demand = function.replicas.as_ref().is_some_and(|replicas| replicas.min == 0);
    let is_ready = condition("Ready", "True").is_some() || is_on_demand;
    match condition("Degraded", "True") {
        Some(failed) if rolling.is_some() || !is_ready => {
            Readiness::Failing(told(&failed.reason, &failed.message))
        }
        Some(_) | None if rolling.is_some() => {
            Readiness::Starting("its new version starts, the one before is served meanwhile".to_owned())
        }
        Some(_) | None if is_ready => Readiness::Ready,
        Some(_) | None => Readiness::Starting("no instance of it is ready yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness(conditions: &[(&str, &str, &str)], min: u64) -> Readiness {
        let condition = |(kind, status, message): &(&str, &str, &str)| {
            format!(r#"{{"type":"{kind}","status":"{status}","reason":"R","message":"{message}"}}"#)
        };
        let conditions: Vec<String> = conditions.iter().map(condition).collect();
        let text = format!(
            r#"{{"name":"a","executionMode":"WARM","timeoutMs":1,"concurrency":1,"queueSize":1,"maxRetries":0,
            "replicas":{{"min":{min},"max":4}},"status":{{"conditions":[{}]}}}}"#,
            conditions.join(",")
        );
        readiness_of(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_function_is_ready_when_its_last_version_is() {
        let (ready, unready) = (("Ready", "True", ""), ("Ready", "False", ""));
        let (rolling, failed) = (("Progressing", "True", ""), ("Degraded", "True", "it crashed"));
        assert_eq!(readiness(&[ready], 1), Readiness::Ready);
        assert!(matches!(readiness(&[unready], 1), Readiness::Starting(_)));
        assert!(matches!(readiness(&[], 1), Readiness::Starting(_)));
        // None is kept, so none is waited for.
        assert_eq!(readiness(&[unready], 0), Readiness::Ready);
        assert!(matches!(readiness(&[ready, rolling], 1), Readiness::Starting(_)));
        let failing = Readiness::Failing("it crashed (R)".to_owned());
        assert_eq!(readiness(&[ready, rolling, failed], 1), failing);
        assert_eq!(readiness(&[unready, failed], 1), failing);
        // Another instance of it serves.
        assert_eq!(readiness(&[ready, failed], 1), Readiness::Ready);
        let invalid = Readiness::Invalid("no (R)".to_owned());
        assert_eq!(readiness(&[ready, ("Valid", "False", "no")], 1), invalid);
    }
}
