//! A handler's output on its way to bytes.

use std::io;

use bytes::Bytes;
use serde::Serialize;

use crate::finite::Finite;
use crate::handler_error::HandlerError;

/// Most outputs are small: one allocation serves them.
const BYTES_AT_FIRST: usize = 256;

/// An output of a handler: any type that is serialized, or an [`OutputBytes`].
pub trait Output {
    /// The output as JSON of at most `max` bytes.
    ///
    /// # Errors
    /// The answer instead of an output that is too long or cannot be written.
    fn into_json(self, max: usize) -> Result<Bytes, HandlerError>;
}

/// An output that is JSON already, in a handler that hands it on. Nobody looks at it: what is no JSON is
/// an `OUTPUT_NOT_JSON` at the control plane.
#[derive(Clone, Debug)]
pub struct OutputBytes(pub Bytes);

impl Output for OutputBytes {
    fn into_json(self, max: usize) -> Result<Bytes, HandlerError> {
        if self.0.len() > max { Err(too_large(max)) } else { Ok(self.0) }
    }
}

impl<Out: Serialize> Output for Out {
    /// Gives up as soon as it is longer.
    fn into_json(self, max: usize) -> Result<Bytes, HandlerError> {
        let mut written = Written { bytes: Vec::with_capacity(BYTES_AT_FIRST), max, overflowed: false };
        match serde_json::to_writer(&mut written, &Finite(&self)) {
            Ok(()) => Ok(written.bytes.into()),
            Err(_) if written.overflowed => Err(too_large(max)),
            Err(error) => {
                let message = format!("the output cannot be written as JSON: {error}");
                Err(HandlerError::new(500, "BAD_OUTPUT", message).not_retryable())
            }
        }
    }
}

/// The answer instead of an output over the limit, in bytes.
fn too_large(max: usize) -> HandlerError {
    let message = format!("the output is longer than {max} bytes (MAX_OUTPUT)");
    HandlerError::new(500, "OUTPUT_TOO_LARGE", message).not_retryable()
}

/// The part of an output that is written.
struct Written {
    bytes: Vec<u8>,
    max: usize,
    overflowed: bool,
}

impl io::Write for Written {
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
        let raw = |text: &'static str| OutputBytes(Bytes::from_static(text.as_bytes()));
        assert_eq!("12345".into_json(7).unwrap(), "\"12345\"");
        assert_eq!(raw("\"12345\"").into_json(7).unwrap(), "\"12345\"");
        for refused in ["123456".into_json(7), raw("\"123456\"").into_json(7)] {
            let error = refused.unwrap_err();
            assert_eq!((error.code.as_ref(), error.is_final), ("OUTPUT_TOO_LARGE", true));
            assert_eq!(error.message, "the output is longer than 7 bytes (MAX_OUTPUT)");
        }
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
        assert_eq!(whole.into_json(1000).unwrap(), wanted);
        for (number, short) in
            [(f64::NAN, f32::NAN), (f64::INFINITY, f32::INFINITY), (f64::NEG_INFINITY, f32::NEG_INFINITY)]
        {
            for output in [
                Shape::Newtype(Some(number)),
                Shape::Tuple(short, 1),
                Shape::Struct { a: vec![1.0, number], b: BTreeMap::new() },
            ] {
                let inside = BTreeMap::from([("k", [&output])]).into_json(1000);
                for failed in [inside, output.into_json(1000)] {
                    let Err(fault) = failed else { panic!("{number} was written") };
                    assert_eq!((fault.code.as_ref(), fault.is_final), ("BAD_OUTPUT", true));
                    assert!(fault.message.contains(&number.to_string()), "{fault}");
                }
            }
        }
    }
}
