//! Members of the JSON object that a line is. It may be cut off behind them.

use std::ops::ControlFlow;

use super::{end_of_string, is_id, is_usual};

/// Members in which loggers write what they know of a request. What a client sent is usually under another name.
const CONTEXTS: [&str; 11] = [
    "ctx",
    "context",
    "contextMap",
    "mdc",
    "fields",
    "span",
    "extra",
    "meta",
    "attributes",
    "properties",
    "Properties",
];

/// The place of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Object,
    /// An object of the object, under a name of [`CONTEXTS`].
    Context,
}

/// The text of a member of the object.
pub(super) fn named<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    find(object, |place, key, value| match place {
        Place::Object if key == name => ControlFlow::Break(text(value)),
        Place::Object | Place::Context => ControlFlow::Continue(()),
    })
    .flatten()
}

/// The id in a member of a usual name: of the object, or else of a context.
pub(super) fn under_usual_name(object: &str) -> Option<&str> {
    let mut of_context = None;
    let of_object = find(object, |place, key, value| {
        match text(value).filter(|id| is_id(id) && is_usual(key)) {
            Some(id) if place == Place::Object => return ControlFlow::Break(id),
            Some(id) => of_context = of_context.or(Some(id)),
            None => {}
        }
        ControlFlow::Continue(())
    });
    of_object.or(of_context)
}

/// Shows each member to `look`, with what stands behind its colon, until that breaks.
fn find<'a, T>(
    object: &'a str,
    mut look: impl FnMut(Place, &'a str, &'a str) -> ControlFlow<T>,
) -> Option<T> {
    let bytes = object.as_bytes();
    let (mut depth, mut at, mut is_context) = (0_usize, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let end = end_of_string(object, at + 1)?;
                let key = &object[at + 1..end];
                if let Some(value) = object[end + 1..].trim_start().strip_prefix(':') {
                    let place = match depth {
                        1 => Some(Place::Object),
                        2 if is_context => Some(Place::Context),
                        _ => None,
                    };
                    if let Some(place) = place
                        && let ControlFlow::Break(found) = look(place, key, value.trim_start())
                    {
                        return Some(found);
                    }
                    if depth == 1 {
                        is_context = CONTEXTS.contains(&key);
                    }
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The text that a value is.
fn text(value: &str) -> Option<&str> {
    let value = value.strip_prefix('"')?;
    Some(&value[..end_of_string(value, 0)?])
}
