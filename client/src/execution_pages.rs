//! Pages of the list of executions.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client_error::ClientError;
use crate::resource::FunctionName;
use crate::server_client::{Answer, Call, ServerClient};

/// How many are listed unless somebody says otherwise.
const LIMIT: u32 = 50;

/// The largest page of a server.
const PAGE_MAX: u32 = 500;

/// Executions that are listed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Executions")]
pub(crate) struct ExecutionFilter {
    /// Only those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Only those that stand so
    #[arg(long, value_enum)]
    pub status: Option<StatusFilter>,
    /// At most so many, newest first [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: Option<u32>,
    /// Instead, so many of those that took longest in the last minutes
    #[arg(long, value_name = "N", conflicts_with_all = ["status", "limit"], value_parser = clap::value_parser!(u32).range(1..=500))]
    pub slowest: Option<u32>,
}

/// How an execution stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StatusFilter {
    /// It waits
    Queued,
    /// It runs
    Running,
    /// It succeeded
    Success,
    /// It failed
    Error,
    /// Its time was over
    Timeout,
    /// It was cancelled
    Cancelled,
}

impl StatusFilter {
    fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    executions: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

impl ExecutionFilter {
    /// The newest of one function.
    pub(crate) fn newest_of(function: &FunctionName, limit: u32) -> Self {
        Self { function: Some(function.to_string()), status: None, limit: Some(limit), slowest: None }
    }

    /// The flags that are given.
    fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.function.is_some(), "--function"),
            (self.status.is_some(), "--status"),
            (self.limit.is_some(), "--limit"),
            (self.slowest.is_some(), "--slowest"),
        ];
        flags.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
    }

    /// # Errors
    /// A flag is given.
    pub(crate) fn refuse_for_functions(&self) -> Result<(), ClientError> {
        let refused =
            |flag| ClientError::Usage(format!("{flag} is for executions: `get executions {flag} …`"));
        self.given().map_or(Ok(()), |flag| Err(refused(flag)))
    }

    /// # Errors
    /// A flag is given.
    pub(crate) fn refuse_for_ids(&self) -> Result<(), ClientError> {
        let refused =
            |flag| ClientError::Usage(format!("{flag} chooses executions, and so do the ids: leave one out"));
        self.given().map_or(Ok(()), |flag| Err(refused(flag)))
    }

    fn query(&self, limit: u32, cursor: Option<&str>) -> Result<String, ClientError> {
        let mut query = match self.slowest {
            Some(slowest) => format!("?slowest={slowest}"),
            None => format!("?limit={limit}"),
        };
        if let Some(function) = &self.function {
            query.push_str(&format!("&function={}", function.parse::<FunctionName>()?));
        }
        if let Some(status) = self.status {
            query.push_str(&format!("&status={}", status.word()));
        }
        if let Some(cursor) = cursor {
            query.push_str(&format!("&cursor={cursor}"));
        }
        Ok(query)
    }
}

/// Reads pages until there are as many executions as are wanted, or no more. A page may be short, or empty,
/// and not be the last.
///
/// # Errors
/// As any call.
pub(crate) async fn read(
    client: &mut ServerClient,
    filter: &ExecutionFilter,
) -> Result<Vec<Answer>, ClientError> {
    let mut left = filter.limit.unwrap_or(LIMIT);
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let query = filter.query(left.min(PAGE_MAX), cursor.as_deref())?;
        let answer = client.ask(Call::get(format!("/v1/executions{query}"))).await?;
        let page: Page<'_> = client.read(&answer)?;
        left = left.saturating_sub(u32::try_from(page.executions.len()).unwrap_or(u32::MAX));
        // It stands in a path, and is the server's own.
        let next = page
            .next_cursor
            .filter(|next| next.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c)));
        pages.push(answer);
        match next {
            Some(next) if left > 0 && cursor.as_ref() != Some(&next) => cursor = Some(next),
            Some(_) | None => return Ok(pages),
        }
    }
}

/// Executions of a page, each as its JSON text.
///
/// # Errors
/// It is no page.
pub(crate) fn items<'a>(client: &ServerClient, page: &'a Answer) -> Result<Vec<&'a RawValue>, ClientError> {
    client.read::<Page<'a>>(page).map(|page| page.executions)
}
