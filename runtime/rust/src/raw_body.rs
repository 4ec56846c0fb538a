//! The body of a request, and the inputs that are made of it.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::handler_error::HandlerError;

/// The body of a request, byte for byte: the input of a handler that hands it on. Nobody has looked
/// at it yet, and [`Context::metadata`](crate::Context::metadata) is empty; [`Self::read`] has both.
#[derive(Clone, Debug)]
pub struct RawBody(Bytes);

impl RawBody {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the input and the metadata, as is done for a handler with an input of this type.
    ///
    /// # Errors
    /// A 400 `BAD_INPUT` with the place of the fault. It counts as a request that was rejected.
    pub fn read<In: DeserializeOwned>(&self) -> Result<(In, BTreeMap<String, String>), HandlerError> {
        let Envelope { input, metadata } = Envelope::read(&self.0)?;
        Ok((input, metadata.unwrap_or_default()))
    }
}

/// An input of a handler: any type that is deserialized, or the whole [`RawBody`].
pub trait Input: Sized {
    /// Takes a body: the input, and the metadata for the context.
    ///
    /// # Errors
    /// The answer to a body that is not what it should be.
    fn take(body: RawBody) -> Result<(Self, BTreeMap<String, String>), HandlerError>;
}

impl<In: DeserializeOwned> Input for In {
    fn take(body: RawBody) -> Result<(Self, BTreeMap<String, String>), HandlerError> {
        body.read()
    }
}

impl Input for RawBody {
    fn take(body: RawBody) -> Result<(Self, BTreeMap<String, String>), HandlerError> {
        Ok((body, BTreeMap::new()))
    }
}

impl From<Bytes> for RawBody {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// The form of a body. Fields it does not know are the gateway's or a later version's.
#[derive(Deserialize)]
#[serde(bound = "In: DeserializeOwned")]
struct Envelope<In> {
    input: In,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

impl<In: DeserializeOwned> Envelope<In> {
    /// Reads a body. A second reading locates a fault, so that only bad input pays for it.
    fn read(body: &[u8]) -> Result<Self, HandlerError> {
        let malformed = |fault: &dyn Display| {
            HandlerError::rejection(format!(
                "the body must be {{\"input\": …, \"metadata\": {{…}}}}: {fault}"
            ))
        };
        // serde would take an array for the fields in their order.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(malformed(&"it is an array"));
        }
        serde_json::from_slice(body).map_err(|fault| {
            let mut again = serde_json::Deserializer::from_slice(body);
            match serde_path_to_error::deserialize::<_, Self>(&mut again) {
                Err(located) if located.path().iter().len() > 0 => {
                    HandlerError::rejection(format!("{}: {}", located.path(), located.inner()))
                }
                Err(_) | Ok(_) => malformed(&fault),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_body_is_not_looked_at_before_it_is_read_and_its_faults_have_their_place_then() {
        let taken = |body: &'static str| RawBody::take(Bytes::from_static(body.as_bytes()).into()).unwrap();
        let (body, metadata) = taken(r#" {"input":[1], "metadata":{"a":"b"}}"#);
        assert!(body.bytes().starts_with(b" {") && metadata.is_empty());
        assert_eq!(body.read().unwrap(), (vec![1], BTreeMap::from([("a".to_owned(), "b".to_owned())])));
        for (body, fault) in [("[1]", "it is an array"), (r#"{"input":[1,"x"]}"#, "input[1]: ")] {
            let error = taken(body).0.read::<Vec<u8>>().unwrap_err();
            assert!(error.message.contains(fault) && error.is_rejection, "{error}");
        }
    }
}
