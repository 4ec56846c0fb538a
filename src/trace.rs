//! The trace of an invocation, as the headers of its request have it, or a new one.

use hyper::header::HeaderValue;
use picofaas_trace_context::TraceContext;

use crate::id::{read_hex, write_hex};

/// The trace an invocation belongs to.
#[derive(Clone, Debug)]
pub struct Trace {
    /// `X-Trace-Id` as it came, where it is not empty; otherwise the id is that of its origin.
    id: Option<HeaderValue>,
    origin: TraceOrigin,
}

#[derive(Clone, Debug)]
enum TraceOrigin {
    /// The client's.
    Given(TraceContext),
    /// A new one: 128 bits of a trace id, and 64 of a span id.
    Made([u64; 3]),
}

/// Bits of the ids of new traces. These tell traces apart and are no secrets, so the kernel is asked for a seed and no
/// more. The generator is xoroshiro128+ (Blackman and Vigna, "Scrambled linear pseudorandom number generators").
#[derive(Debug)]
pub(crate) struct TraceBits([u64; 2]);

impl TraceBits {
    /// From random bits; those of no other generator are the same.
    #[must_use]
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        // It stays at zeros.
        Self(if seed == [0, 0] { [1, 0] } else { seed })
    }

    fn next(&mut self) -> u64 {
        let [mut one, mut two] = self.0;
        let bits = one.wrapping_add(two);
        two ^= one;
        one = one.rotate_left(24) ^ two ^ (two << 16);
        self.0 = [one, two.rotate_left(37)];
        bits
    }
}

impl Trace {
    /// The trace of a request with this `X-Trace-Id` and trace context. Without the latter, it begins a new one.
    pub(crate) fn new(id: Option<&HeaderValue>, given: Option<TraceContext>, bits: &mut TraceBits) -> Self {
        let id = id.filter(|id| !id.is_empty()).cloned();
        let origin = match given {
            Some(given) => TraceOrigin::Given(given),
            // All zeros stand for "no trace" in W3C Trace Context.
            None => TraceOrigin::Made([bits.next().max(1), bits.next(), bits.next().max(1)]),
        };
        Self { id, origin }
    }

    /// Lets go of the head that it came in: nobody asks for the trace of an execution that has ended.
    pub(crate) fn let_go(&mut self) {
        self.id = None;
        if matches!(self.origin, TraceOrigin::Given(_)) {
            self.origin = TraceOrigin::Made([1; 3]);
        }
    }

    /// Writes the trace id.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        match (&self.id, &self.origin) {
            (Some(given), _) => out.extend_from_slice(given.as_bytes()),
            (None, TraceOrigin::Given(context)) => out.extend_from_slice(context.trace_id().as_bytes()),
            (None, TraceOrigin::Made(bits)) => out.extend_from_slice(&made_hex(*bits)[..32]),
        }
    }

    /// Writes the `traceparent`.
    pub fn write_parent(&self, out: &mut Vec<u8>) {
        match &self.origin {
            TraceOrigin::Given(context) => out.extend_from_slice(context.parent().as_bytes()),
            TraceOrigin::Made(bits) => {
                let hex = made_hex(*bits);
                out.extend_from_slice(b"00-");
                out.extend_from_slice(&hex[..32]);
                out.push(b'-');
                out.extend_from_slice(&hex[32..]);
                out.extend_from_slice(b"-01");
            }
        }
    }

    /// The trace for a frame.
    pub(crate) fn to_binary(&self) -> BinaryTrace<'_> {
        let (high, low, span_id, flags, parent) = match &self.origin {
            TraceOrigin::Made([high, low, span]) => {
                (high.to_be_bytes(), low.to_be_bytes(), span.to_be_bytes(), 1, None)
            }
            TraceOrigin::Given(context) => {
                let text = context.parent().as_bytes();
                let [.., flags] = bytes_of(&text[53..55]);
                let later = Some(text).filter(|text| !text.starts_with(b"00"));
                (bytes_of(&text[3..19]), bytes_of(&text[19..35]), bytes_of(&text[36..52]), flags, later)
            }
        };
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&high);
        trace_id[8..].copy_from_slice(&low);
        let name = self.id.as_ref().map(HeaderValue::as_bytes).filter(|name| {
            let mut hex = [0; 32];
            write_hex(&mut hex[..16], u64::from_be_bytes(high));
            write_hex(&mut hex[16..], u64::from_be_bytes(low));
            *name != hex
        });
        let state = self.state().map(HeaderValue::as_bytes);
        BinaryTrace { trace_id, span_id, flags, name, parent, state }
    }

    /// The `tracestate` that goes with it.
    pub(crate) fn state(&self) -> Option<&HeaderValue> {
        match &self.origin {
            TraceOrigin::Given(context) => context.state(),
            TraceOrigin::Made(_) => None,
        }
    }
}

/// A trace in the fixed places of a frame, and the parts that do not fit them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BinaryTrace<'a> {
    /// The trace id of the `traceparent`.
    pub trace_id: [u8; 16],
    /// Its span.
    pub span_id: [u8; 8],
    /// Its flags.
    pub flags: u8,
    /// `X-Trace-Id`, where it is not the trace id in hexadecimal.
    pub name: Option<&'a [u8]>,
    /// The `traceparent`, where it is of a later version and may have more.
    pub parent: Option<&'a [u8]>,
    /// The `tracestate`.
    pub state: Option<&'a [u8]>,
}

/// The bytes of hexadecimal digits, which are digits: 8 bytes at most.
fn bytes_of(digits: &[u8]) -> [u8; 8] {
    debug_assert!(digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit), "{digits:?}");
    read_hex(digits).unwrap_or_default().to_be_bytes()
}

fn made_hex([high, low, span]: [u64; 3]) -> [u8; 48] {
    let mut hex = [0; 48];
    write_hex(&mut hex[..16], high);
    write_hex(&mut hex[16..32], low);
    write_hex(&mut hex[32..], span);
    hex
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_new_trace_has_ids_of_its_own_that_are_not_zero() {
        for seed in [[0, 0], [1, 0], [7, u64::MAX]] {
            let mut bits = TraceBits::new(seed);
            let mut seen = HashSet::new();
            for nth in 0..1000 {
                let mut parent = Vec::new();
                Trace::new(None, None, &mut bits).write_parent(&mut parent);
                let parent = String::from_utf8(parent).expect("text");
                for id in parent.split('-').skip(1).take(2) {
                    assert!(id.contains(|digit| digit != '0'), "{nth}: {parent}");
                    assert!(seen.insert(id.to_owned()), "{nth}: {parent}");
                }
            }
        }
    }
}
