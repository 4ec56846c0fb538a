//! A handler's output on its way to bytes.

use std::io;

use bytes::Bytes;
use serde::Serialize;

use crate::failure::Failure;
use crate::finite::Finite;

/// Most outputs are small: one allocation serves them.
const BYTES_AT_FIRST: usize = 256;

struct Output {
    bytes: Vec<u8>,
    max: usize,
    overflowed: bool,
}

/// Serializes an output, giving up as soon as it is longer than `max` bytes.
pub(crate) fn to_json(value: &impl Serialize, max: usize) -> Result<Bytes, Failure> {
    let mut output = Output { bytes: Vec::with_capacity(BYTES_AT_FIRST), max, overflowed: false };
    match serde_json::to_writer(&mut output, &Finite(value)) {
        Ok(()) => Ok(output.bytes.into()),
        Err(_) if output.overflowed => Err(Failure::OutputTooLarge { max }),
        Err(error) => Err(Failure::BadOutput(error)),
    }
}

impl io::Write for Output {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.max - self.bytes.len() {
            self.overflowed = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::value::RawValue;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(Option<f64>),
        Tuple(f32, u8),
        Struct { a: Vec<f64>, b: BTreeMap<u8, Box<RawValue>> },
    }

    #[test]
    fn an_output_may_be_as_long_as_the_limit_and_no_longer() {
        assert_eq!(to_json(&"12345", 7).unwrap(), "\"12345\"");
        assert!(matches!(to_json(&"123456", 7), Err(Failure::OutputTooLarge { max: 7 })));
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_wherever_it_is_and_the_rest_is_written_as_ever() {
        let raw = || RawValue::from_string("[1e400, -0 ]".to_owned()).unwrap();
        let whole = (
            [Shape::Unit, Shape::Newtype(None), Shape::Newtype(Some(0.1)), Shape::Tuple(-0.0, 1)],
            Shape::Struct { a: vec![1e300], b: BTreeMap::from([(1, raw())]) },
            ((), 'x', "é", u64::MAX, i128::from(i64::MIN), Some(raw())),
        );
        let wanted = serde_json::to_vec(&whole).unwrap();
        assert_eq!(to_json(&whole, 1000).unwrap(), wanted);
        for (number, short) in
            [(f64::NAN, f32::NAN), (f64::INFINITY, f32::INFINITY), (f64::NEG_INFINITY, f32::NEG_INFINITY)]
        {
            for output in [
                Shape::Newtype(Some(number)),
                Shape::Tuple(short, 1),
                Shape::Struct { a: vec![1.0, number], b: BTreeMap::new() },
            ] {
                for failed in [to_json(&output, 1000), to_json(&BTreeMap::from([("k", [&output])]), 1000)] {
                    let Err(Failure::BadOutput(fault)) = failed else { panic!("{number} was written") };
                    assert!(fault.to_string().contains(&number.to_string()), "{fault}");
                }
            }
        }
    }
}
