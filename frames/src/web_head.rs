//! The parts of a web request that make an attempt one.

use crate::field_list::FieldList;
use crate::fields::{EncodeFields, Field};
use crate::outbox::Outbox;

/// The parts of a web request that make an attempt one; its headers are beside them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebHead<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The path and the query, as the client sent them.
    pub target: &'a [u8],
    /// Bytes of `DATA` of the answer that the gateway takes at first, where those are other ones than in its `HELLO`.
    pub answer_window: Option<u32>,
}

/// The fields of a web request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WebFields<'a> {
    pub(crate) head: &'a WebHead<'a>,
    pub(crate) others: &'a FieldList,
}

impl WebFields<'_> {
    /// Calls `look` with the fields, of which there are 2 or 3.
    fn with_own<T>(&self, look: impl FnOnce(&[Field<'_>]) -> T) -> T {
        let WebHead { method, target, answer_window } = *self.head;
        let window = answer_window.unwrap_or(0).to_le_bytes();
        let fields = [
            Field { id: Field::METHOD, value: method },
            Field { id: Field::TARGET, value: target },
            Field { id: Field::ANSWER_WINDOW, value: &window },
        ];
        look(if answer_window.is_some() { &fields } else { &fields[..2] })
    }
}

impl EncodeFields for WebFields<'_> {
    fn encoded_bytes(&self) -> Option<usize> {
        let own = self.with_own(|own| own.encoded_bytes())?;
        Some(own + self.others.encoded_bytes()?)
    }

    fn write(&self, outbox: &mut Outbox) {
        self.with_own(|own| own.write(outbox));
        self.others.write(outbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field_list::read;

    #[test]
    fn a_web_request_is_read_as_it_was_written() {
        let mut others = FieldList::new();
        others.push(Field::TRACE_NAME, b"t");
        others.push_header(b"cookie", b"a=1");
        others.push_header(b"x-empty", b"");
        for answer_window in [None, Some(70_000)] {
            let head = WebHead { method: b"GET", target: b"/a?b", answer_window };
            let fields = read(&WebFields { head: &head, others: &others });
            assert_eq!(fields.web_head(), Some(head));
            assert_eq!(fields.get(Field::TRACE_NAME), Some(&b"t"[..]));
            let headers: Option<Vec<_>> = fields.headers().collect();
            assert_eq!(headers.unwrap(), [(&b"cookie"[..], &b"a=1"[..]), (b"x-empty", b"")]);
        }
        others.clear();
        assert_eq!(read(&others).web_head(), None, "without a method it is a call");
    }
}
