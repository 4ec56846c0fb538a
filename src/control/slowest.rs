//! `GET /v1/executions?slowest=N`: the slowest executions that have ended lately, slowest first, of all gateways.
//!
//! Their records are read here, and no gateway is asked: the question comes up when one is behind.

use hyper::Response;

use super::Control;
use super::listing::{bad, given_twice, parse_function_name};
use crate::api::query::{OF_LIST, parameters};
use crate::api::response;
use crate::api::response::Body;
use crate::api::response::slow_execution::push_slow_execution;
use crate::clock::Nanos;
use crate::error::ApiError;
use crate::slowest::Slowest;
use crate::spec::FunctionName;
use crate::store::slow_execution::SlowExecution;

/// Largest number of executions that can be asked for.
const SLOWEST_MAX: usize = 500;

/// The slowest executions that are asked for.
#[derive(Debug)]
pub(super) struct SlowestQuery {
    count: usize,
    /// Of this function only.
    function: Option<FunctionName>,
}

/// The slowest of all records that are shown to it.
#[derive(Debug)]
struct Collection {
    count: usize,
    /// At most twice as many as are wanted.
    found: Vec<Found>,
    /// Duration (ns) that one of them must exceed.
    least: Nanos,
}

/// A record with the function that it is of.
#[derive(Debug)]
struct Found {
    took: Nanos,
    function: FunctionName,
    slow: SlowExecution,
}

/// The parameters of the call, where it asks for the slowest.
///
/// # Errors
/// `BAD_REQUEST`.
pub(super) fn parse_slowest(query: Option<&str>) -> Result<Option<SlowestQuery>, ApiError> {
    if !parameters(query).any(|(name, _)| name == "slowest") {
        return Ok(None);
    }
    let (mut count, mut function) = (None, None);
    for (name, value) in parameters(query) {
        let twice = match name {
            "slowest" => {
                let number = value.parse().ok().filter(|number| (1..=SLOWEST_MAX).contains(number));
                let number = number.ok_or_else(|| {
                    bad(format!("slowest={value} is not a number of executions, 1 … {SLOWEST_MAX}"))
                })?;
                count.replace(number).is_some()
            }
            "function" => function.replace(parse_function_name(value)?).is_some(),
            other => {
                debug_assert!(OF_LIST.contains(&other), "{other} was refused before");
                return Err(bad(format!(
                    "`{other}` does not go with `slowest`, which goes with `function` alone; leave one of them out"
                )));
            }
        };
        if twice {
            return Err(given_twice(name));
        }
    }
    Ok(count.map(|count| SlowestQuery { count, function }))
}

impl Control {
    /// The slowest executions, as those who ask are shown them.
    pub(super) fn slowest_executions(&self, wanted: &SlowestQuery, shows_values: bool) -> Response<Body> {
        let now = self.clock.now();
        let mut collection = Collection { count: wanted.count, found: Vec::new(), least: 0 };
        let mut unrecorded = 0;
        for registered in self.registry.functions().values() {
            let name = &registered.wanted.spec.name;
            if wanted.function.as_ref().is_some_and(|function| function != name) {
                continue;
            }
            for slowest in &*registered.slowest {
                unrecorded += slowest.unrecorded();
                collection.read(name, slowest, now);
            }
        }
        let mut body = b"{\"executions\":[".to_vec();
        for (at, Found { function, slow, .. }) in collection.into_slowest().into_iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            push_slow_execution(&mut body, &slow, &slow.summary(function), &self.clock, shows_values);
        }
        body.extend_from_slice(format!("],\"nextCursor\":null,\"notRecorded\":{unrecorded}}}").as_bytes());
        response::json(200, body)
    }

    /// Lets go of the memory of records that are told no more.
    pub(super) fn let_go_of_slowest(&self, now: Nanos) {
        for registered in self.registry.functions().values() {
            registered.slowest.iter().for_each(|slowest| slowest.let_go(now));
        }
    }
}

impl Collection {
    /// Takes what is slower than what it has, of one function on one gateway.
    fn read(&mut self, function: &FunctionName, slowest: &Slowest<SlowExecution>, now: Nanos) {
        slowest.read(now, |took, slow| {
            if took > self.least {
                self.found.push(Found { took, function: function.clone(), slow: slow.clone() });
            }
        });
        if self.found.len() >= 2 * self.count {
            self.cut();
        }
    }

    /// Drops all but as many as are wanted.
    fn cut(&mut self) {
        self.found.sort_by_key(|found| std::cmp::Reverse(found.took));
        self.found.truncate(self.count);
        if self.found.len() == self.count {
            self.least = self.found.last().map_or(0, |last| last.took);
        }
    }

    /// As many as are wanted, slowest first.
    fn into_slowest(mut self) -> Vec<Found> {
        self.cut();
        self.found
    }
}
