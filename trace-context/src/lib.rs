//! The W3C trace context of a request: the headers `traceparent` and `tracestate`, for the control plane, the
//! runtime and the watchdog alike. The rules are those of <https://www.w3.org/TR/trace-context-2/>.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// The header that names trace and span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header of which each tracing system has a member.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of a `tracestate`, all its lines together. The W3C asks for 512 at least; with much more than this, heads
/// would be too long for usual servers (8 KiB in all for some).
const STATE_BYTES_MAX: usize = 4096;
/// Members of a `tracestate` that are not empty.
const MEMBERS_MAX: usize = 32;
/// Bytes of a member's key, and of its value.
const WORD_BYTES_MAX: usize = 256;
/// Bytes of a `traceparent` of version 00: `00-<trace id>-<span id>-<flags>`.
const PARENT_BYTES: usize = 55;

/// A `traceparent` that is valid, and the `tracestate` that goes with it.
#[derive(Clone, Debug)]
pub struct TraceContext {
    parent: HeaderValue,
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// The trace context of a request; `None` where it has none, two, or one that is not valid: then its `tracestate`
    /// means nothing, either. A `tracestate` that is not valid, or too long, is left out.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next()?;
        if parents.next().is_some() || !is_parent(parent.as_bytes()) {
            return None;
        }
        Some(Self { parent: parent.clone(), state: read_state(headers) })
    }

    /// The `traceparent` as it came.
    #[must_use]
    pub fn parent(&self) -> &HeaderValue {
        &self.parent
    }

    /// The `tracestate` as it came, several lines as one; never empty.
    #[must_use]
    pub fn state(&self) -> Option<&HeaderValue> {
        self.state.as_ref()
    }

    /// The 32 hexadecimal digits of the trace.
    ///
    /// # Panics
    /// Never: [`Self::read`] has found the digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        let id = &self.parent.as_bytes()[3..35];
        str::from_utf8(id).expect("digits were found there")
    }
}

/// Whether a `traceparent` is valid. One of a later version may go on after another dash.
fn is_parent(text: &[u8]) -> bool {
    let Some((fields, more)) = text.split_at_checked(PARENT_BYTES) else { return false };
    let (version, trace_id, span_id, flags) = (&fields[..2], &fields[3..35], &fields[36..52], &fields[53..]);
    let has_dashes = [2, 35, 52].iter().all(|at| fields[*at] == b'-');
    let has_digits = [version, trace_id, span_id, flags].iter().all(|field| is_hex(field));
    let may_go_on =
        version != b"00" && more.first() == Some(&b'-') && more.iter().all(|byte| is_visible(*byte));
    has_dashes
        && has_digits
        && version != b"ff"
        && !is_zero(trace_id)
        && !is_zero(span_id)
        && (more.is_empty() || may_go_on)
}

fn is_hex(field: &[u8]) -> bool {
    field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(field: &[u8]) -> bool {
    field.iter().all(|byte| *byte == b'0')
}

/// Whether it is a character of ASCII that can be printed, the space included.
fn is_visible(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// The list of all lines in their order; `None` where it has no members or is not valid. One line is not copied.
fn read_state(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = || headers.get_all(TRACESTATE).iter().filter(|line| !line.is_empty());
    let first = lines().next()?;
    let (mut bytes, mut members) = (0, 0);
    for line in lines() {
        // The comma before it counts.
        bytes += usize::from(bytes > 0) + line.len();
        if bytes > STATE_BYTES_MAX {
            return None;
        }
        for member in line.as_bytes().split(|byte| *byte == b',') {
            match member.trim_ascii() {
                [] => {}
                member if is_member(member) => members += 1,
                _ => return None,
            }
        }
    }
    if members == 0 || members > MEMBERS_MAX {
        return None;
    }
    if first.len() == bytes {
        return Some(first.clone());
    }
    let mut whole = Vec::with_capacity(bytes);
    for line in lines() {
        if !whole.is_empty() {
            whole.push(b',');
        }
        whole.extend_from_slice(line.as_bytes());
    }
    HeaderValue::try_from(whole).ok()
}

/// Whether a member is `key=value`.
fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let starts = matches!(key.first(), Some(b'a'..=b'z' | b'0'..=b'9'));
    let is_key = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    starts
        && key.len() <= WORD_BYTES_MAX
        && key.iter().all(is_key)
        && (1..=WORD_BYTES_MAX).contains(&value.len())
        && value.iter().all(|byte| is_visible(*byte) && *byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(TRACEPARENT, parents), (TRACESTATE, states)] {
            for value in values {
                headers.append(&name, HeaderValue::from_str(value).unwrap());
            }
        }
        headers
    }

    fn state_of(lines: &[&str]) -> Option<String> {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let context = TraceContext::read(&headers(&[&parent], lines)).expect("a valid traceparent");
        assert_eq!(context.parent(), &parent);
        context.state().map(|state| state.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_valid_traceparent_is_taken_as_it_is_in_this_version_and_in_later_ones() {
        for parent in [
            format!("00-{TRACE}-{SPAN}-00"),
            format!("00-{TRACE}-{SPAN}-03"),
            format!("00-{TRACE}-{SPAN}-ff"),
            format!("01-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-"),
            format!("cc-{TRACE}-{SPAN}-01-what the.FUTURE-will=be"),
            format!("00-{:0>32}-{:0>16}-01", 1, 1),
        ] {
            let context = TraceContext::read(&headers(&[&parent], &["a=1"]));
            let context = context.unwrap_or_else(|| panic!("{parent} is valid"));
            assert_eq!(context.parent(), &parent);
            assert_eq!(context.trace_id(), &parent[3..35]);
            assert_eq!(context.state().unwrap(), "a=1");
        }
    }

    #[test]
    fn a_traceparent_that_is_not_valid_is_none_whatever_its_tracestate() {
        let zeros = "0".repeat(32);
        for parent in [
            String::new(),
            "garbage".to_owned(),
            "x".repeat(PARENT_BYTES),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("FF-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!(".0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("0A-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-.1"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{}g-{SPAN}-01", &TRACE[1..]),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01."),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("cc-{TRACE}-{SPAN}-010"),
            format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
        ] {
            assert!(TraceContext::read(&headers(&[&parent], &["a=1"])).is_none(), "{parent}");
        }
        let parent = format!("00-{TRACE}-{SPAN}-01");
        assert!(TraceContext::read(&headers(&[&parent, &parent], &["a=1"])).is_none(), "there are two");
        assert!(TraceContext::read(&headers(&[], &["a=1"])).is_none(), "there is none");
        let mut later = headers(&[], &[]);
        let bytes = format!("cc-{TRACE}-{SPAN}-01-\u{e9}");
        later.insert(TRACEPARENT, HeaderValue::from_bytes(bytes.as_bytes()).unwrap());
        assert!(TraceContext::read(&later).is_none(), "it is no ASCII");
    }

    #[test]
    fn a_list_is_taken_as_it_came_and_its_lines_are_joined_in_their_order() {
        for list in [
            "congo=t61rcWkgMzE",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "a=1 \t , \t b=2, \t c=3",
            ",a=1,, ,b=2,",
            "0a_-*/@z=  ! \"#$%&'()*+-./09:;<>?@AZ[\\]^_`az{|}~",
            "fw529a3039@dt=FfAAAAA",
            "a=1,a=2",
        ] {
            assert_eq!(state_of(&[list]).as_deref(), Some(list));
        }
        assert_eq!(state_of(&["a=1,b=2", "", "c=3", "d=4 , e=5"]).as_deref(), Some("a=1,b=2,c=3,d=4 , e=5"));
        assert_eq!(state_of(&["", "a=1"]).as_deref(), Some("a=1"));
    }

    #[test]
    fn a_list_that_is_empty_or_not_valid_is_left_out_and_the_traceparent_stays() {
        let long = "x".repeat(WORD_BYTES_MAX + 1);
        let (key, value) = (format!("{long}=1"), format!("a={long}"));
        for list in [
            "", ",", " , ", "a", "a=", "=1", "A=1", "a.b=1", "a =1", "_a=1", "a=1=2", "a=1,b", "a=x\ty",
            &key, &value,
        ] {
            assert_eq!(state_of(&[list]), None, "{list}");
        }
        assert_eq!(state_of(&[]), None);
        assert_eq!(state_of(&["a=1", "b"]), None, "its second line is not valid");
    }

    #[test]
    fn a_list_of_32_members_and_4096_bytes_is_handed_on_and_a_longer_one_left_out() {
        let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(state_of(&[&members(32)]).unwrap(), members(32));
        assert_eq!(state_of(&[&format!("{}, ,", members(32))]).unwrap(), format!("{}, ,", members(32)));
        assert_eq!(state_of(&[&members(33)]), None);
        assert_eq!(state_of(&[&members(32), "z=1"]), None, "33 on two lines");
        let value = "v".repeat(WORD_BYTES_MAX);
        let lines: Vec<String> = (0..16).map(|n| format!("{n:x}={}", &value[..253])).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let list = state_of(&lines).expect("a list of 4,095 bytes");
        assert_eq!((list.len(), list), (STATE_BYTES_MAX - 1, lines.join(",")));
        let mut longer = lines.clone();
        let last = format!("f={}", &value[..255]);
        longer[15] = &last;
        assert_eq!(state_of(&longer), None, "4,097 bytes");
    }
}
