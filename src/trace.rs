//! The trace of an invocation, as the headers of its request have it.

use hyper::header::HeaderValue;

use crate::id::write_hex;

/// The trace an invocation belongs to.
#[derive(Clone, Debug)]
pub struct Trace {
    /// `X-Trace-Id` as it came; otherwise made from `made`.
    pub id: Option<HeaderValue>,
    /// `traceparent` as it came; otherwise made from `made`.
    pub parent: Option<HeaderValue>,
    /// 128 bits for a trace id and 64 for a span id, where one had to be made.
    pub made: (u64, u64, u64),
}

impl Trace {
    /// Writes the trace id.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        match (&self.id, &self.parent) {
            (Some(given), _) => out.extend_from_slice(given.as_bytes()),
            // `00-<32 hex of the trace id>-<16 hex of the span id>-<2 hex of flags>`
            (None, Some(parent)) => match parent.as_bytes().get(3..35) {
                Some(id) => out.extend_from_slice(id),
                None => out.extend_from_slice(&self.made_hex()[..32]),
            },
            (None, None) => out.extend_from_slice(&self.made_hex()[..32]),
        }
    }

    /// Writes the W3C trace context.
    pub fn write_parent(&self, out: &mut Vec<u8>) {
        match &self.parent {
            Some(given) => out.extend_from_slice(given.as_bytes()),
            None => {
                let hex = self.made_hex();
                out.extend_from_slice(b"00-");
                out.extend_from_slice(&hex[..32]);
                out.push(b'-');
                out.extend_from_slice(&hex[32..]);
                out.extend_from_slice(b"-01");
            }
        }
    }

    fn made_hex(&self) -> [u8; 48] {
        let (high, low, span) = self.made;
        let mut hex = [0; 48];
        write_hex(&mut hex[..16], high);
        write_hex(&mut hex[16..32], low);
        write_hex(&mut hex[32..], span);
        hex
    }
}
