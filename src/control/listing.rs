//! `GET /v1/executions`: the finds of all gateways, merged into one page, newest first.
//!
//! A page ends where a gateway has stopped looking: what that gateway has not looked at yet may be
//! newer than what the others found beyond. So every page is in order, and so are all pages
//! together; each gateway goes on at the first of its executions that no page has told of.

use std::fmt::Write as _;

use hyper::Response;

use crate::api::query::{OF_LIST, parameters, unknown_parameter};
use crate::api::response;
use crate::api::response::Body;
use crate::api::response::summary::push_summary;
use crate::channel::oneshot;
use crate::clock::Clock;
use crate::error::{ApiError, ErrorCode};
use crate::id::incarnation_at;
use crate::messages::gateway_message::GatewayMessage;
use crate::messages::gateway_senders::{GatewaySenders, stopping};
use crate::spec::FunctionName;
use crate::store::execution::{Stage, Status};
use crate::store::history::{HistoryPosition, Lost};
use crate::store::listing::{Page, Search};

/// Executions of a page where the client does not say.
const LIMIT_DEFAULT: usize = 50;
/// Largest number of executions of a page.
const LIMIT_MAX: usize = 500;

/// The stages of an execution.
const STAGES: [Stage; 6] = [
    Stage::Queued,
    Stage::Running,
    Stage::Ended(Status::Success),
    Stage::Ended(Status::Error),
    Stage::Ended(Status::Timeout),
    Stage::Ended(Status::Cancelled),
];

/// The parameters of the call.
#[derive(Debug, Default)]
struct ListQuery<'a> {
    function: Option<FunctionName>,
    stage: Option<Stage>,
    limit: Option<usize>,
    cursor: Option<&'a str>,
}

/// The position at which a listing goes on, for each gateway; `None` where that one has no more.
type Cursor = Vec<Option<HistoryPosition>>;

/// `GET /v1/executions`: a page of the executions of all gateways.
///
/// # Errors
/// `BAD_REQUEST`, `CURSOR_EXPIRED`, `DRAINING`.
pub(super) async fn list_executions(
    gateways: &GatewaySenders,
    clock: &Clock,
    query: Option<&str>,
) -> Result<Response<Body>, ApiError> {
    let ListQuery { function, stage, limit, cursor } = parse_query(query)?;
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    let incarnation = incarnation_at(clock.unix(0));
    let cursor = cursor.map(|text| parse_cursor(text, incarnation, gateways.len())).transpose()?;
    let mut asked = Vec::with_capacity(gateways.len());
    for index in 0..gateways.len() {
        let from = match &cursor {
            None => None,
            Some(positions) => match positions[index] {
                Some(position) => Some(position),
                None => {
                    asked.push(None);
                    continue;
                }
            },
        };
        let (answer, awaited) = oneshot::channel();
        let search = Box::new(Search { function: function.clone(), stage, limit, from });
        gateways.send(index, GatewayMessage::List { search, answer }).await?;
        asked.push(Some(awaited));
    }
    let mut pages = Vec::with_capacity(asked.len());
    for awaited in asked {
        pages.push(match awaited {
            Some(awaited) => awaited.await.map_err(|_| stopping())?.map_err(|_: Lost| {
                expired("too many executions next to the cursor have gone since it was given")
            })?,
            None => Page { entries: Vec::new(), next: None },
        });
    }
    let (executions, next) = merge(pages, limit);
    let mut body = b"{\"executions\":[".to_vec();
    for (at, execution) in executions.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        push_summary(&mut body, execution, clock, None);
    }
    let next = match next.iter().any(Option::is_some) {
        true => format!("],\"nextCursor\":\"{}\"}}", cursor_text(incarnation, &next)),
        false => "],\"nextCursor\":null}".to_owned(),
    };
    body.extend_from_slice(next.as_bytes());
    Ok(response::json(200, body))
}

/// The newest of what the gateways found, at most `limit`, and where each goes on.
fn merge<T>(pages: Vec<Page<T>>, limit: usize) -> (Vec<T>, Cursor) {
    // Of two gateways with one time, the later one's executions come first.
    let floor = pages
        .iter()
        .enumerate()
        .filter_map(|(gateway, page)| page.next.as_ref().map(|next| (next.at, gateway)))
        .max();
    let mut next: Cursor = pages.iter().map(|page| page.next.as_ref().map(|next| next.position)).collect();
    let mut rest: Vec<_> = pages.into_iter().map(|page| page.entries.into_iter().peekable()).collect();
    let mut merged = Vec::new();
    while merged.len() < limit {
        let heads = rest.iter_mut().enumerate();
        let newest = heads.filter_map(|(gateway, rest)| Some((rest.peek()?.at, gateway))).max();
        // A gateway's own entries are all newer than what it has not looked at, also at one time.
        let Some((at, gateway)) =
            newest.filter(|(at, gateway)| floor.is_none_or(|floor| (*at, *gateway) >= floor))
        else {
            break;
        };
        debug_assert!(floor.is_none_or(|(floor, _)| at >= floor), "behind what was not looked at");
        merged.extend(rest[gateway].next().map(|entry| entry.item));
    }
    for (next, mut rest) in next.iter_mut().zip(rest) {
        if let Some(entry) = rest.next() {
            *next = Some(entry.position);
        }
    }
    (merged, next)
}

pub(super) fn bad(message: String) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message)
}

fn expired(why: &str) -> ApiError {
    ApiError::new(ErrorCode::CursorExpired, format!("{why}; list again without `cursor`"))
}

fn parse_query(query: Option<&str>) -> Result<ListQuery<'_>, ApiError> {
    let mut wanted = ListQuery::default();
    for (name, value) in parameters(query) {
        let twice = match name {
            "function" => wanted.function.replace(parse_function_name(value)?).is_some(),
            "status" => {
                let stage = STAGES.into_iter().find(|stage| stage.as_str() == value).ok_or_else(|| {
                    let known = STAGES.map(Stage::as_str).join(", ");
                    bad(format!("status={value} is none of {known}"))
                })?;
                wanted.stage.replace(stage).is_some()
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                let limit = limit.ok_or_else(|| {
                    bad(format!("limit={value} is not a number of executions, 1 … {LIMIT_MAX}"))
                })?;
                wanted.limit.replace(limit).is_some()
            }
            "cursor" => wanted.cursor.replace(value).is_some(),
            _ => return Err(unknown_parameter(name, OF_LIST)),
        };
        if twice {
            return Err(given_twice(name));
        }
    }
    Ok(wanted)
}

pub(super) fn parse_function_name(value: &str) -> Result<FunctionName, ApiError> {
    FunctionName::new(value).map_err(|error| bad(format!("function={value} is not a name: it {error}")))
}

pub(super) fn given_twice(name: &str) -> ApiError {
    bad(format!("`{name}` is given twice"))
}

/// The incarnation, and for each gateway a position in hexadecimal digits, or nothing.
fn cursor_text(incarnation: u32, positions: &[Option<HistoryPosition>]) -> String {
    let mut text = format!("{incarnation:08x}");
    for position in positions {
        text.push('.');
        if let Some(HistoryPosition { slot, sequence }) = position {
            let _ = write!(text, "{slot:x}-{sequence:x}");
        }
    }
    text
}

fn parse_cursor(text: &str, incarnation: u32, gateways: usize) -> Result<Cursor, ApiError> {
    let foreign =
        || bad(format!("cursor={text} is not what a page gave as nextCursor; list again without `cursor`"));
    let mut parts = text.split('.');
    let its_incarnation = parts.next().filter(|digits| digits.len() == 8).ok_or_else(foreign)?;
    let its_incarnation = u32::from_str_radix(its_incarnation, 16).map_err(|_| foreign())?;
    let position = |part: &str| {
        if part.is_empty() {
            return Ok(None);
        }
        let (slot, sequence) = part.split_once('-').ok_or_else(foreign)?;
        let slot = u32::from_str_radix(slot, 16).map_err(|_| foreign())?;
        let sequence = u64::from_str_radix(sequence, 16).map_err(|_| foreign())?;
        Ok(Some(HistoryPosition { slot, sequence }))
    };
    let positions = parts.map(position).collect::<Result<Cursor, ApiError>>()?;
    if its_incarnation != incarnation {
        // Its executions have gone with their process.
        return Err(expired("the control plane was restarted since the cursor was given"));
    }
    if positions.len() != gateways { Err(foreign()) } else { Ok(positions) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::listing::Entry;

    /// A gateway's page: entries by time, and the time of the first that was not looked at.
    fn page(gateway: usize, times: &[u64], next: Option<u64>) -> Page<(u64, usize)> {
        let position = |at: u64| HistoryPosition { slot: u32::try_from(at).expect("small"), sequence: at };
        let entries =
            times.iter().map(|at| Entry { position: position(*at), at: *at, item: (*at, gateway) }).collect();
        Page { entries, next: next.map(|at| Entry { position: position(at), at, item: () }) }
    }

    fn sequences(cursor: &Cursor) -> Vec<Option<u64>> {
        cursor.iter().map(|position| position.map(|position| position.sequence)).collect()
    }

    #[test]
    fn a_page_ends_where_a_gateway_stopped_looking_and_the_others_go_on_from_there() {
        let pages = vec![page(0, &[9, 4, 3], None), page(1, &[8, 7], Some(5)), page(2, &[], Some(2))];
        let (merged, next) = merge(pages, 10);
        assert_eq!(merged, [(9, 0), (8, 1), (7, 1)]);
        assert_eq!(sequences(&next), [Some(4), Some(5), Some(2)]);
        let (merged, next) = merge(vec![page(0, &[4, 3], None), page(1, &[5], None), page(2, &[], None)], 10);
        assert_eq!((merged, sequences(&next)), (vec![(5, 1), (4, 0), (3, 0)], vec![None, None, None]));
    }

    #[test]
    fn a_full_page_goes_on_at_the_first_execution_that_it_does_not_have() {
        let (merged, next) = merge(vec![page(0, &[9, 6], Some(1)), page(1, &[8, 7], None)], 3);
        assert_eq!((merged, sequences(&next)), (vec![(9, 0), (8, 1), (7, 1)], vec![Some(6), None]));
        let (merged, next) = merge(vec![page(0, &[9, 6], None), page(1, &[8, 7], None)], 4);
        assert_eq!((merged.len(), sequences(&next)), (4, vec![None, None]));
    }

    #[test]
    fn executions_of_one_time_are_each_on_one_page_whatever_its_limit() {
        for limit in 1..8 {
            let all: [&[u64]; 3] = [&[5, 5, 4], &[5, 5], &[5, 4]];
            let mut done = [0; 3];
            let mut seen = Vec::new();
            loop {
                // Each gateway looks at two executions at most.
                let pages = (0..3).map(|gateway| {
                    let rest = &all[gateway][done[gateway]..];
                    let looked = &rest[..rest.len().min(limit).min(2)];
                    page(gateway, looked, rest.get(looked.len()).copied())
                });
                let (merged, next) = merge(pages.collect(), limit);
                assert!(merged.len() <= limit);
                for (_, gateway) in &merged {
                    done[*gateway] += 1;
                }
                seen.extend(merged);
                if next.iter().all(Option::is_none) {
                    break;
                }
            }
            let order = [(5, 2), (5, 1), (5, 1), (5, 0), (5, 0), (4, 2), (4, 0)];
            assert_eq!(seen, order, "limit {limit}");
        }
    }

    #[test]
    fn a_cursor_survives_its_text_form_and_nothing_else_is_one() {
        let positions = vec![Some(HistoryPosition { slot: 3, sequence: u64::MAX }), None];
        let text = cursor_text(7, &positions);
        assert_eq!(parse_cursor(&text, 7, 2).expect("it is one"), positions);
        let code = |text: &str, gateways| parse_cursor(text, 7, gateways).expect_err("refused").code;
        assert_eq!(
            parse_cursor(&text, 8, 2).expect_err("another incarnation").code,
            ErrorCode::CursorExpired
        );
        assert_eq!(code(&text, 3), ErrorCode::BadRequest);
        for wrong in ["", "x", "00000007", "00000007.1", "00000007.1-", "00000007.1-x", "7.1-1", &text[1..]] {
            assert_eq!(code(wrong, 1), ErrorCode::BadRequest, "{wrong}");
        }
    }
}
