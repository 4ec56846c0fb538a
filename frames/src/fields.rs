//! Optional fields of a `HEAD`.

use bytes::Bytes;

use crate::outbox::Outbox;
use crate::violation::Violation;
use crate::web_head::WebHead;

/// Bytes of a field before its value.
const FIELD_HEAD_BYTES: usize = 3;

/// A field: a number that says its meaning, and a value of at most 65,535 bytes. Unknown ones are skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// One of the numbers below. Requests and answers have numbers of their own.
    pub id: u8,
    /// The value, as in the header of that name where it has one.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Of a request: `tracestate`.
    pub const TRACESTATE: u8 = 1;
    /// Of a request: `Idempotency-Key`.
    pub const IDEMPOTENCY_KEY: u8 = 2;
    /// Of a request: `Content-Type`, where it is not `application/json`.
    pub const REQUEST_CONTENT_TYPE: u8 = 3;
    /// Of a request: `X-Trace-Id`, where it is not the trace id in hexadecimal.
    pub const TRACE_NAME: u8 = 4;
    /// Of a request: `traceparent`, where it is not of version 00 and the fixed places do not hold all of it.
    pub const TRACEPARENT: u8 = 5;
    /// Of a request: the method of a web request. With [`Self::TARGET`] it makes the attempt one.
    pub const METHOD: u8 = 6;
    /// Of a request: the path and the query of a web request.
    pub const TARGET: u8 = 7;
    /// Of a request: bytes of `DATA` of its answer that the gateway takes at first, as a little-endian `u32`, instead of
    /// those in its `HELLO`.
    pub const ANSWER_WINDOW: u8 = 8;
    /// Of an answer: the first of a fresh process, with its milliseconds from start to listening as a little-endian
    /// `u32`.
    pub const COLD_START: u8 = 1;
    /// Of an answer: `Content-Type`, where it is not `application/json`.
    pub const ANSWER_CONTENT_TYPE: u8 = 2;
    /// Of both, for web functions: a header as the length of its name (`u16`), its name and its value.
    pub const HEADER: u8 = 16;
}

/// The fields of a `HEAD` that came, well-formed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Fields(Bytes);

impl Fields {
    /// Takes fields that are whole.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Violation> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            (_, rest) = split(rest).ok_or(Violation::Malformed)?;
        }
        Ok(Self(bytes))
    }

    /// In the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (field, after) = split(rest)?;
            rest = after;
            Some(field)
        })
    }

    /// The value of the first field of a number.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&[u8]> {
        self.iter().find(|field| field.id == id).map(|field| field.value)
    }

    /// The web request that an attempt is; `None` where it is a call.
    #[must_use]
    pub fn web_head(&self) -> Option<WebHead<'_>> {
        let method = self.get(Field::METHOD)?;
        let target = self.get(Field::TARGET)?;
        Some(WebHead { method, target, answer_window: self.answer_window().ok()? })
    }

    /// Headers by their names and values, in the order in which they came. `None` for one that is malformed.
    pub fn headers(&self) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
        self.iter().filter(|field| field.id == Field::HEADER).map(|field| {
            let ([l0, l1], rest) = field.value.split_first_chunk()?;
            rest.split_at_checked(usize::from(u16::from_le_bytes([*l0, *l1])))
        })
    }

    /// The same fields in memory of their own, so that they do not keep the buffer that they were read into.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// A part of these fields that shares their memory.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.0.slice_ref(part)
    }

    /// Bytes of `DATA` that may be sent at first, where they are said.
    pub(crate) fn answer_window(&self) -> Result<Option<u32>, Violation> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let window = self.get(Field::ANSWER_WINDOW).map(<[u8; 4]>::try_from).transpose();
        window.map(|window| window.map(u32::from_le_bytes)).map_err(|_| Violation::Malformed)
    }

    /// Milliseconds that the process took to start; `None` where the answer is not its first.
    #[must_use]
    pub fn cold_start_ms(&self) -> Option<u32> {
        self.get(Field::COLD_START)?.try_into().ok().map(u32::from_le_bytes)
    }
}

fn split(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let ([id, l0, l1], rest) = bytes.split_first_chunk::<FIELD_HEAD_BYTES>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*l0, *l1])))?;
    Some((Field { id: *id, value }, rest))
}

/// Fields that can be sent.
pub(crate) trait EncodeFields {
    /// Bytes of all of them together; `None` where a value is too long for its length.
    fn encoded_bytes(&self) -> Option<usize>;

    /// Appends them.
    fn write(&self, outbox: &mut Outbox);
}

/// Bytes of all fields together; `None` where a value is too long for its length.
pub(crate) fn encoded_bytes(fields: &[Field<'_>]) -> Option<usize> {
    let mut bytes = 0;
    for field in fields {
        u16::try_from(field.value.len()).ok()?;
        bytes += FIELD_HEAD_BYTES + field.value.len();
    }
    Some(bytes)
}

/// The bytes before the value of a field.
pub(crate) fn field_head(field: &Field<'_>) -> [u8; FIELD_HEAD_BYTES] {
    let [l0, l1] = u16::try_from(field.value.len()).unwrap_or(u16::MAX).to_le_bytes();
    [field.id, l0, l1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_unknown_ones_stay() {
        let fields = [
            Field { id: Field::TRACESTATE, value: b"a=1" },
            Field { id: 200, value: b"" },
            Field { id: Field::TRACESTATE, value: b"b=2" },
        ];
        let mut bytes = Vec::new();
        for field in &fields {
            bytes.extend_from_slice(&field_head(field));
            bytes.extend_from_slice(field.value);
        }
        assert_eq!(encoded_bytes(&fields), Some(bytes.len()));
        let read = Fields::decode(Bytes::from(bytes.clone())).unwrap();
        assert!(read.iter().eq(fields));
        assert_eq!(read.get(Field::TRACESTATE), Some(&b"a=1"[..]));
        assert_eq!(read.get(Field::IDEMPOTENCY_KEY), None);
        bytes.pop();
        assert_eq!(Fields::decode(Bytes::from(bytes)).unwrap_err(), Violation::Malformed);
    }

    #[test]
    fn a_value_that_is_too_long_for_its_length_has_no_encoding() {
        let long = vec![b'a'; 65_536];
        assert_eq!(encoded_bytes(&[Field { id: 1, value: &long }]), None);
        assert_eq!(encoded_bytes(&[Field { id: 1, value: &long[1..] }]), Some(65_538));
    }
}
