//! Rights of the control plane in its cluster.

use serde_json::{Value, json};

use super::finding::{Complaint, Finding};
use crate::config::{BackendKind, ServeArgs};
use crate::kubernetes::access::Access;
use crate::kubernetes::permissions::ask;

const NAME: &str = "permissions";
const WHY: &str =
    "Without one of its rights the control plane does not see or cannot make what functions run in.";

/// Asks the API server, where one is known.
pub(super) async fn examine(flags: &ServeArgs) -> Finding {
    if flags.backend == BackendKind::Local {
        let remedy = "Say --backend kubernetes to look at a cluster.";
        return Finding::not_looked_at(NAME, WHY, "--backend local needs no cluster", remedy);
    }
    judge(ask(flags).await, flags.backend.runs_in_cluster())
}

/// `is_needed` is whether `serve` with these flags would run its functions in the cluster.
fn judge(access: Access, is_needed: bool) -> Finding {
    let fault = |remedy: String| {
        if is_needed { Complaint::problem(remedy) } else { Complaint::warning(remedy) }
    };
    match access {
        Access::NoCluster { reason, remedy } if is_needed => {
            let seen = format!("`serve` would not start: {reason}");
            Finding::new(NAME, WHY, seen, json!({ "refusal": reason })).with([Complaint::problem(remedy)])
        }
        Access::NoCluster { reason, .. } => {
            let remedy = "Nothing, where functions run on this machine.";
            Finding::not_looked_at(NAME, WHY, &reason, remedy)
        }
        Access::Unanswered { namespace, reason } => {
            let seen = format!("not known in namespace {namespace}: {reason}");
            let remedy = "Look at the address of the API server and at the credentials.".to_owned();
            let complaint = if is_needed { Complaint::problem(remedy) } else { Complaint::unknown(remedy) };
            Finding::new(NAME, WHY, seen, data(Some(&namespace), None, None, None)).with([complaint])
        }
        Access::Answered { namespace, rights, missing } => {
            let seen = if missing.is_empty() {
                format!("all {rights} rights in namespace {namespace}")
            } else {
                let count = missing.len();
                format!("{count} of {rights} rights missing in namespace {namespace}: {}", missing.join(", "))
            };
            let data = data(Some(&namespace), Some(rights), Some(&missing), None);
            let complaint = (!missing.is_empty()).then(|| {
                fault(format!(
                    "Grant them: kubectl apply -f k8s/20-rbac.yaml, with {namespace} as the namespace of its Role."
                ))
            });
            Finding::new(NAME, WHY, seen, data).with(complaint)
        }
    }
}

fn data(
    namespace: Option<&str>,
    rights: Option<usize>,
    missing: Option<&[String]>,
    refusal: Option<&str>,
) -> Value {
    json!({ "namespace": namespace, "rights": rights, "missing": missing, "refusal": refusal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    fn answered(missing: &[&str]) -> Access {
        let missing = missing.iter().map(|right| (*right).to_owned()).collect();
        Access::Answered { namespace: "n".to_owned(), rights: 26, missing }
    }

    #[test]
    fn a_missing_right_is_named_and_is_a_problem_where_serve_would_need_it() {
        assert_eq!(judge(answered(&[]), true).verdict, Verdict::Ok);
        let missing = judge(answered(&["patch functions/status"]), true);
        assert_eq!(missing.verdict, Verdict::Problem);
        assert!(missing.seen.ends_with("1 of 26 rights missing in namespace n: patch functions/status"));
        assert_eq!(judge(answered(&["patch functions/status"]), false).verdict, Verdict::Warning);
    }

    #[test]
    fn without_a_cluster_or_an_answer_the_reason_is_told_and_is_a_problem_only_where_serve_needs_it() {
        let none =
            || Access::NoCluster { reason: "no cluster is known".to_owned(), remedy: "Say which cluster." };
        let alone = judge(none(), false);
        assert_eq!(alone.verdict, Verdict::Unknown);
        assert_eq!(alone.seen, "not looked at: no cluster is known");
        assert_eq!(judge(none(), true).verdict, Verdict::Problem);
        let away =
            || Access::Unanswered { namespace: "n".to_owned(), reason: "connection refused".to_owned() };
        assert_eq!(judge(away(), false).verdict, Verdict::Unknown);
        assert_eq!(judge(away(), true).verdict, Verdict::Problem);
    }
}
