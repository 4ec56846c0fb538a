//! Bytes that the other end might send to a gateway, read whole and in pieces, which must end alike.

#![no_main]

mod reader;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert_eq!(reader::read_as_gateway(bytes, usize::MAX), reader::read_as_gateway(bytes, 7));
});
