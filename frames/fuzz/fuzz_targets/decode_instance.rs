//! Bytes that the other end might send to an instance, read whole and in pieces, which must end alike.

#![no_main]

mod reader;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert_eq!(reader::read_as_instance(bytes, usize::MAX), reader::read_as_instance(bytes, 7));
});
