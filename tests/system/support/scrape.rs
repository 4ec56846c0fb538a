//! One scrape of `/metrics`.

use super::client::Client;

/// One scrape.
pub(crate) struct Scrape(String);

impl Scrape {
    pub(crate) fn of(operator: &mut Client) -> Self {
        let answer = operator.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
        Self(answer.text().to_owned())
    }

    /// The value of a series, written as in the text; `None` where there is none.
    pub(crate) fn series(&self, series: &str) -> Option<f64> {
        let line =
            self.0.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    /// The value of `picofaas_function_{name}{function="…"}`.
    #[track_caller]
    pub(crate) fn of_function(&self, function: &str, name: &str) -> f64 {
        let series = format!("picofaas_function_{name}{{function=\"{function}\"}}");
        self.series(&series).unwrap_or_else(|| panic!("no {series} in:\n{}", self.0))
    }

    /// How many were refused at admission for a reason.
    #[track_caller]
    pub(crate) fn refused(&self, function: &str, reason: &str) -> f64 {
        let series =
            format!("picofaas_function_rejected_total{{function=\"{function}\",reason=\"{reason}\"}}");
        self.series(&series).unwrap_or_else(|| panic!("no {series} in:\n{}", self.0))
    }

    /// Whether a family is there, of this type.
    pub(crate) fn has_family(&self, name: &str, kind: &str) -> bool {
        self.0.lines().any(|line| line == format!("# TYPE {name} {kind}"))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
