//! Fields to be sent that are made one after the other, such as the headers of a web request.

use crate::fields::{EncodeFields, Field, field_head};
use crate::outbox::Outbox;

/// Fields as they are on the wire, in one piece of memory that can be used again.
#[derive(Clone, Default, Debug)]
pub struct FieldList {
    bytes: Vec<u8>,
    /// One has a value that is too long for its length.
    has_too_long: bool,
}

impl FieldList {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), has_too_long: false }
    }

    /// Takes all fields out, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.has_too_long = false;
    }

    /// Adds a field.
    pub fn push(&mut self, id: u8, value: &[u8]) {
        self.push_parts(id, [value]);
    }

    /// Adds a [header](Field::HEADER).
    pub fn push_header(&mut self, name: &[u8], value: &[u8]) {
        match u16::try_from(name.len()) {
            Ok(length) => self.push_parts(Field::HEADER, [&length.to_le_bytes(), name, value]),
            Err(_) => self.has_too_long = true,
        }
    }

    fn push_parts<const N: usize>(&mut self, id: u8, parts: [&[u8]; N]) {
        match u16::try_from(parts.iter().map(|part| part.len()).sum::<usize>()) {
            Ok(length) => {
                self.bytes.push(id);
                self.bytes.extend_from_slice(&length.to_le_bytes());
                parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
            }
            Err(_) => self.has_too_long = true,
        }
    }
}

impl EncodeFields for FieldList {
    fn encoded_bytes(&self) -> Option<usize> {
        (!self.has_too_long).then_some(self.bytes.len())
    }

    fn write(&self, outbox: &mut Outbox) {
        outbox.push_part(&self.bytes);
    }
}

impl EncodeFields for [Field<'_>] {
    fn encoded_bytes(&self) -> Option<usize> {
        crate::fields::encoded_bytes(self)
    }

    fn write(&self, outbox: &mut Outbox) {
        for field in self {
            outbox.push_part(&field_head(field));
            outbox.push_part(field.value);
        }
    }
}

/// The fields as the other end reads them.
#[cfg(test)]
pub(crate) fn read(fields: &(impl EncodeFields + ?Sized)) -> crate::fields::Fields {
    let mut outbox = Outbox::default();
    fields.write(&mut outbox);
    assert_eq!(fields.encoded_bytes(), Some(outbox.unwritten().len()));
    crate::fields::Fields::decode(bytes::Bytes::copy_from_slice(outbox.unwritten())).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_shorter_than_its_name_is_malformed() {
        let mut list = FieldList::new();
        list.push(Field::HEADER, &[9, 0, b'a']);
        list.push(Field::HEADER, &[1]);
        assert!(read(&list).headers().eq([None, None]));
    }

    #[test]
    fn a_value_that_is_too_long_for_its_length_has_no_encoding() {
        let long = vec![b'a'; 65_536];
        for (name, value) in [(&b"a"[..], &long[..65_533]), (&long[..65_533], b"a"), (&long, b"")] {
            let mut list = FieldList::new();
            list.push_header(name, value);
            assert_eq!(list.encoded_bytes(), None);
            list.clear();
            assert_eq!(list.encoded_bytes(), Some(0));
        }
    }
}
