//! One finding.

use serde::Serialize;
use serde_json::Value;

/// The verdict of a finding, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Fit for low latency.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It costs latency, or will under load.
    Warning,
    /// It makes low latency impossible, or `serve` would not start.
    Problem,
}

impl Verdict {
    /// The verdict as it is printed.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Unknown => "unknown",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        }
    }
}

/// A fault, and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) verdict: Verdict,
    /// A sentence or two that say what to do.
    pub(super) remedy: String,
}

impl Complaint {
    pub(super) fn problem(remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, remedy: remedy.into() }
    }

    pub(super) fn warning(remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, remedy: remedy.into() }
    }

    pub(super) fn unknown(remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, remedy: remedy.into() }
    }
}

/// A finding.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// Name, which stays the same over versions.
    pub(crate) name: &'static str,
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// A line for people that says what is there.
    pub(crate) seen: String,
    /// A sentence that says why it matters.
    pub(crate) why: &'static str,
    /// Remedies; `None` where nothing is to be done.
    pub(crate) advice: Option<String>,
    /// The same as `seen` for programs: numbers with their units last, and `null` for what is not known.
    pub(crate) data: Value,
    /// More lines for people.
    #[serde(skip)]
    pub(crate) details: Vec<String>,
}

impl Finding {
    /// A finding without a fault.
    pub(super) fn new(name: &'static str, why: &'static str, seen: impl Into<String>, data: Value) -> Self {
        Self { name, verdict: Verdict::Ok, seen: seen.into(), why, advice: None, data, details: Vec::new() }
    }

    /// A finding about something that could not be looked at.
    pub(super) fn not_looked_at(name: &'static str, why: &'static str, reason: &str, remedy: &str) -> Self {
        Self::new(name, why, format!("not looked at: {reason}"), Value::Null)
            .with([Complaint::unknown(remedy)])
    }

    /// The finding with its faults: the worst is its verdict.
    #[must_use]
    pub(super) fn with(mut self, complaints: impl IntoIterator<Item = Complaint>) -> Self {
        let mut remedies: Vec<String> = self.advice.take().into_iter().collect();
        for complaint in complaints {
            self.verdict = self.verdict.max(complaint.verdict);
            remedies.push(complaint.remedy);
        }
        self.advice = Some(remedies.join(" ")).filter(|advice| !advice.is_empty());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_fault_is_the_verdict_and_every_remedy_is_told() {
        let sound = Finding::new("a", "why", "seen", Value::Null);
        assert_eq!((sound.verdict, &sound.advice), (Verdict::Ok, &None));
        let faulty = sound.with([
            Complaint::unknown("Look."),
            Complaint::problem("Mend it."),
            Complaint::warning("Mend that."),
        ]);
        assert_eq!(faulty.verdict, Verdict::Problem);
        assert_eq!(faulty.advice.as_deref(), Some("Look. Mend it. Mend that."));
    }
}
